"""The prompt's commands about the driver's seat, and how the lease of what stands is told."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sonde_viewer.prompt import show
from sonde_viewer.prompt.errors import InvalidLine
from sonde_viewer.prompt.outcome import Outcome
from sonde_viewer.session import DebugSession


class Seat:
    def __init__(self, session: DebugSession) -> None:
        self._session = session
        self.commands: Mapping[str, Callable[[str], Awaitable[Outcome]]] = {
            "seat": self._seat,
            "take": self._take,
            "release": self._release,
            "ask": self._ask,
            "grant": self._grant,
        }

    async def _seat(self, rest: str) -> Outcome:
        return self._told("seat")

    async def _take(self, rest: str) -> Outcome:
        await self._session.take_seat()
        return self._told("take")

    async def _release(self, rest: str) -> Outcome:
        await self._session.release_seat()
        return self._told("release")

    async def _ask(self, rest: str) -> Outcome:
        await self._session.ask_for_seat()
        return self._told("ask")

    async def _grant(self, rest: str) -> Outcome:
        await self._session.grant_seat(self._wanted(rest) if rest else None)
        return self._told("grant")

    def _wanted(self, text: str) -> str:
        """The session that is meant. One viewer can have several: who asks goes before who does not."""
        found = self._session.sessions_of(text)
        if not found:
            raise InvalidLine(f"nobody who debugs this process is called {text[:80]!r}; `seat` says who asks")
        wanted = [each for each in found if each in self._session.asking] or list(found)
        if len(wanted) > 1 and wanted[0] not in self._session.asking:
            raise InvalidLine(f"{text} has several sessions; name one of {', '.join(found)}")
        return wanted[0]

    def _told(self, command: str) -> Outcome:
        session = self._session
        asking = [{"session": each, "viewer": session.viewer_of(each)} for each in session.asking]
        lines = [show.driver(session.driver_name, me=session.drives)]
        if session.id in session.asking:
            lines = [show.asked(session.driver_name or "somebody")]
        lines += [
            show.asks(each["viewer"], session.drives) for each in asking if each["session"] != session.id
        ]
        if shown := lease_text(session):
            lines.append(shown)
        if session.asleep:
            lines.append(show.LAPSED)
        data = {
            "driver": session.driver,
            "viewer": session.driver_name,
            "drives": session.drives,
            "asking": asking,
            "lease": lease_data(session),
            "asleep": session.asleep,
        }
        return Outcome(command, "\n".join(lines), data)


def lease_text(session: DebugSession) -> str:
    """Empty while nothing stands."""
    if session.lease is None:
        return ""
    driver = None if session.drives else session.driver_name
    return show.lease(session.lease.left(time.monotonic()), driver, kept=session.renews)


def lease_data(session: DebugSession) -> dict[str, Any] | None:
    lease = session.lease
    if lease is None:
        return None
    left = round(lease.left(time.monotonic()), 3)
    return {"left": left, "length": lease.length, "kept": session.renews}
