"""The loop around the core: tells it what happened, has the faces do what it orders, keeps its one timer."""

import asyncio
import time
from collections.abc import Callable
from typing import assert_never

from sonde_broker.relay import Relay
from sonde_broker.relay_io import (
    CloseViewer,
    Deliver,
    Effect,
    Happening,
    Instant,
    KeepProbes,
    Publish,
    Send,
    TimePassed,
)

ToViewers = Deliver | Send | CloseViewer


class Exchange:
    """`to_viewers`, `to_bus` and `keep` must neither block nor call back."""

    def __init__(
        self,
        relay: Relay,
        *,
        to_viewers: Callable[[ToViewers], None],
        to_bus: Callable[[Publish], None],
        keep: Callable[[KeepProbes], None] = lambda _: None,
    ) -> None:
        self._relay = relay
        self._to_viewers = to_viewers
        self._to_bus = to_bus
        self._keep = keep
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, happening: Happening) -> None:
        now = Instant(self._loop.time(), time.time())
        try:
            for effect in self._relay.handle(happening, now):
                self._perform(effect)
        finally:
            self._set_timer()  # one happening that went wrong must not stop the clock for all others

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Deliver() | Send() | CloseViewer():
                self._to_viewers(effect)
            case Publish():
                self._to_bus(effect)
            case KeepProbes():
                self._keep(effect)
            case _:
                assert_never(effect)

    def _set_timer(self) -> None:
        due = self._relay.deadline()
        if self._timer is not None:
            if self._timer.when() == due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self.tell(TimePassed())
