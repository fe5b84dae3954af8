"""What is asked about the past: the half of `Viewer` that reads the history."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Literal, Protocol, TypeVar

from msgspec.structs import replace

from sonde_viewer import calls
from sonde_viewer.probing import Probing
from sonde_viewer.replay import Replay
from sonde_wire import Selector, bus, rpc
from sonde_wire.history import EventPage, FleetReport, SessionDetail, SessionPage, SessionRecord

T = TypeVar("T")
PAGE = 1000
_SECONDS = 30.0
"""For an answer: the broker gives its history 12 s, and a report listens to the processes as well."""


class Call(Protocol):
    def __call__(
        self, method: str, params: rpc.Params, result: type[T], seconds: float | None = None
    ) -> Awaitable[T]: ...


class Remembered:
    """Events of the past as an async iterator, which reads page after page; `pages` gives the pages as they are, each
    event as its process told it. Either begins anew each time."""

    def __init__(self, call: Call, wanted: rpc.HistoryEvents, most: int | None) -> None:
        self.withheld = False
        """Events that carry values were left out: the token has no `inspect`. Known once a page was read."""
        self.more = False
        """There are more than were asked for."""
        self.unreadable = 0
        """Events of a kind that this version does not know."""
        self._call = call
        self._wanted = wanted
        self._most = most

    async def pages(self) -> AsyncIterator[EventPage]:
        left, cursor = self._most, self._wanted.cursor
        self.more = False
        while left is None or left > 0:
            limit = PAGE if left is None else min(left, PAGE)
            wanted = replace(self._wanted, limit=limit, cursor=cursor)
            page = await self._call("history.events", wanted, EventPage, _SECONDS)
            self.withheld = self.withheld or page.withheld
            if left is not None:
                left -= len(page.events)
            cursor = page.cursor
            yield page
            if cursor is None:
                return
        self.more = True

    async def __aiter__(self) -> AsyncIterator[bus.AnyEvent]:
        async for page in self.pages():
            read = calls.read_events(page.events)
            self.unreadable += read.unreadable
            for event in read.items:
                yield event


class Remembering(Probing):
    """Everything here raises `Refused` with the reason `no_history` where the broker keeps none. Times are seconds since
    the epoch."""

    def history(
        self,
        selector: str = "*",
        *,
        since: float | None = None,
        until: float | None = None,
        kinds: Sequence[str] = (),
        text: str = "",
        session: str | None = None,
        order: Literal["newest", "oldest"] = "newest",
        limit: int | None = None,
    ) -> Remembered:
        """Events from `since` on and before `until`; those of `order` first, at most `limit`.

        `kinds` are types of events; `dap` is all that DAP tells, `dap.stopped` one kind of it. `text` is looked for in
        the event's JSON, whatever the case of ASCII letters. `session`: what that session was told.

            async for event in viewer.history("shop", since=time.time() - 600, kinds=["probe_logged"]):
                print(event.message)
        """
        wanted = rpc.HistoryEvents(
            selector=str(Selector.parse(selector)),
            since=since,
            until=until,
            kinds=tuple(kinds),
            text=text,
            session=session,
            order=order,
        )
        return Remembered(self._call, wanted, limit)

    async def sessions(
        self,
        selector: str = "*",
        *,
        since: float | None = None,
        until: float | None = None,
        viewer: str | None = None,
        limit: int = 100,
    ) -> list[SessionRecord]:
        """The debug sessions that are remembered, the newest first, at most `limit`; `viewer` is who opened it."""
        found: list[SessionRecord] = []
        cursor: str | None = None
        while True:
            params = rpc.HistorySessions(
                selector=str(Selector.parse(selector)),
                since=since,
                until=until,
                viewer=viewer,
                limit=min(limit - len(found), PAGE),
                cursor=cursor,
            )
            page = await self._call("history.sessions", params, SessionPage, _SECONDS)
            found += page.sessions
            cursor = page.cursor
            if cursor is None or len(found) >= limit:
                return found

    async def session(self, session: str) -> SessionDetail:
        """One of them by its id, with statistics and breakpoints. Raises `Refused` with the reason `unknown_session`."""
        params = rpc.OfSession(session=session)
        return await self._call("history.session", params, SessionDetail, _SECONDS)

    async def report(self, selector: str = "*", *, since: float | None = None) -> FleetReport:
        """What happened since then (the last 24 hours), and how the processes do. It takes a second or two, and there is
        one without a history too: of what is there now."""
        params = rpc.MakeReport(selector=str(Selector.parse(selector)), since=since)
        return await self._call("fleet.report", params, FleetReport, _SECONDS)

    async def replay(self, session: str) -> Replay:
        """A session that is remembered, to be gone through step by step. All of its events are read."""
        detail = await self.session(session)
        events = [event async for event in self.history(session=session, order="oldest")]
        return Replay(detail, events)
