"""The loop around the core: tells it what happened, has the faces do what it orders, keeps its one timer."""

import asyncio
import time
from collections.abc import Callable
from typing import assert_never

from sonde_broker.relay import Relay
from sonde_broker.relay_io import (
    Announce,
    AskStore,
    CloseViewer,
    Deliver,
    Effect,
    Happening,
    Instant,
    Keep,
    KeepProbes,
    Listen,
    Publish,
    Send,
    TimePassed,
    Unlisten,
)

ToViewers = Deliver | Send | CloseViewer
ToBus = Publish | Listen | Unlisten | Announce
ToStore = Keep | AskStore


class Exchange:
    """`to_viewers`, `to_bus`, `to_store` and `keep` must neither block nor call back."""

    def __init__(
        self,
        relay: Relay,
        *,
        to_viewers: Callable[[ToViewers], None],
        to_bus: Callable[[ToBus], None],
        to_store: Callable[[ToStore], None] = lambda _: None,
        keep: Callable[[KeepProbes], None] = lambda _: None,
    ) -> None:
        self._relay = relay
        self._to_viewers = to_viewers
        self._to_bus = to_bus
        self._to_store = to_store
        self._keep = keep
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        """Set when the timer is to be set."""

    def tell(self, happening: Happening) -> None:
        now = Instant(self._loop.time(), time.time())
        try:
            for effect in self._relay.handle(happening, now):
                self._perform(effect)
        finally:
            self._set_timer_soon()  # one happening that went wrong must not stop the clock for all others

    def close(self) -> None:
        for handle in (self._timer, self._soon):
            if handle is not None:
                handle.cancel()
        self._timer = self._soon = None

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Deliver() | Send() | CloseViewer():
                self._to_viewers(effect)
            case Publish() | Listen() | Unlisten() | Announce():
                self._to_bus(effect)
            case Keep() | AskStore():
                self._to_store(effect)
            case KeepProbes():
                self._keep(effect)
            case _:
                assert_never(effect)

    def _set_timer_soon(self) -> None:
        """Once for all that happens in one pass of the loop."""
        if self._soon is None:
            self._soon = self._loop.call_soon(self._set_timer)

    def _set_timer(self) -> None:
        self._soon = None
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
