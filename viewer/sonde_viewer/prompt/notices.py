"""What a person at the prompt should hear without having asked: the seat, the lease, the debugger.

Who did something knows it, and hears only of what others do.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from msgspec import Struct

from sonde_viewer.prompt import show
from sonde_viewer.session import DebugSession
from sonde_wire import bus

_LAST = 15.0
"""Seconds of a lease. One that is renewed never gets so far; one that is somebody else's may, and so does one that
is renewed by a program alone for too long."""


class Notice(Struct, frozen=True):
    """`text` is harmless on a terminal; `data` is the same for programs."""

    kind: str
    text: str
    data: Mapping[str, Any] = {}


class Notices:
    """Pure: `heard` what changed, or `passed` time, and perhaps there is something to say."""

    def __init__(self, session: DebugSession) -> None:
        self._session = session
        self._driver = session.driver
        self._warned = False

    def heard(self, event: bus.AnyEvent) -> Notice | None:
        match event:
            case bus.SeatChanged():
                before, self._driver = self._driver, event.driver
                return self._seat(event, before)
            case bus.LeaseChanged(state="lapsed"):
                return Notice("lease", show.LAPSED, {"state": "lapsed"})
            case bus.DebuggerDetached(reason="not_answering" | "connection_lost" as reason):
                return Notice("debugger", show.debugger_lost(reason), {"state": "lost", "reason": reason})
            case bus.DebuggerAttached(again=True):
                return Notice("debugger", show.ATTACHED_AGAIN, {"state": "attached"})
            case _:
                return None

    def patience(self, now: float) -> float | None:
        """Seconds until `passed` should be asked; None: not until something changes."""
        lease = self._session.lease
        if lease is None:
            return None
        early = lease.left(now) - min(_LAST, lease.length / 2)
        if early > 0:
            self._warned = False
        return None if self._warned else max(early, 0.0)

    def passed(self, now: float) -> Notice | None:
        lease = self._session.lease
        if lease is None or self.patience(now) != 0:
            return None
        self._warned = True
        data = {"state": "ending", "left": round(lease.left(now), 3)}
        driver = None if self._session.drives else self._session.driver_name
        return Notice("lease", show.ending(lease.left(now), driver), data)

    def _seat(self, event: bus.SeatChanged, before: str | None) -> Notice | None:
        me = self._session.id
        data = {"reason": event.reason, "driver": event.driver, "viewer": event.viewer}
        if event.reason == "asked":
            asker = event.asking[-1] if event.asking else me
            if asker == me:
                return None
            name = self._session.viewer_of(asker)
            return Notice(
                "seat", show.asks(name, self._session.drives), data | {"asks": name, "session": asker}
            )
        mine = {
            "taken": event.driver == me,
            "released": before == me,
            "granted": before == me and event.cause is not None,  # without, the seat went by itself
        }
        if event.driver == before or mine.get(event.reason, False):
            return None
        return Notice("seat", show.seat_changed(event, me, lost=before == me), data)


async def arriving(session: DebugSession) -> AsyncIterator[Notice]:
    """Until the session is over."""
    notices = Notices(session)
    changes = session.changes()
    while True:
        try:
            async with asyncio.timeout(notices.patience(time.monotonic())):
                notice = notices.heard(await anext(changes))
        except StopAsyncIteration:
            return
        except TimeoutError:
            notice = notices.passed(time.monotonic())
        if notice is not None:
            yield notice
