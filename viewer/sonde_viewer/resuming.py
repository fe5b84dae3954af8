"""Events of a fleet without an end: over broken connections, to whichever broker answers, each event once.

    JOINING --subscribed--> FOLLOWING --the line breaks--> WAITING (jitter) --> JOINING, from where it was
       |                        |
       +---- it cannot be mended: raised -----------------------

When it comes back it asks for what it missed of each process. A process that has said nothing since `follow` began has no
place to go on from. The history may know its last number before; otherwise those of its events that are told again
are judged by their time, and clocks that differ by more than 5 s can show one too many or too few.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Literal, Self

from msgspec import Struct
from msgspec.structs import replace

from sonde_viewer.client import Viewer, connect
from sonde_viewer.errors import ConnectionLost, InvalidTarget, NoAnswer, Refused, ViewerError
from sonde_viewer.mending import Backoff, can_be_mended
from sonde_viewer.numbering import Numbers, holes
from sonde_viewer.watch import Watch
from sonde_wire import bus, rpc
from sonde_wire.history import Cursor

_SKEW = 5.0
_KEPT = ("too_many", "slow_viewer")
"""Why something is missing that the history has, where there is one."""
_TIMES = 20_000
_HEADS = 64
"""Processes of which the history is asked for the last number before this began."""


class Interrupted(Struct, frozen=True):
    """The connection broke; it is tried again after so many seconds."""

    error: ViewerError
    wait: float


class Resumed(Struct, frozen=True):
    """There is one again."""


class Missing(Struct, frozen=True):
    """Events of a process that did not get here, and that the history has not given back either."""

    gap: rpc.Gap


Notice = Interrupted | Resumed | Missing


class follow:
    """`async with` it, then iterate, both in one task:

        async with sonde_viewer.follow("shop") as events:
            async for event in events:
                print(event)

    `url` and `token` are those of `connect`, read anew each time, so that a site that was started again is found. `tell`
    gets what happens to the connection, and what is missing. Entering raises what `connect` raises; after that a
    connection that breaks is made again, unless its token is not taken any more or the two do not understand each other.
    """

    def __init__(
        self,
        selector: str = "*",
        *,
        topics: Sequence[Literal["events", "output"]] = ("events", "output"),
        cursors: Sequence[Cursor] = (),
        url: str | None = None,
        token: str | None = None,
        tell: Callable[[Notice], None] | None = None,
    ) -> None:
        self.dropped = 0
        """Events that came here, and went because the queue was full: whoever iterates is too slow."""
        self.missing: Counter[str] = Counter()
        """Those that did not come, by the broker's reasons (`rpc.Gap`)."""
        self._selector = selector
        self._topics = tuple(topics)
        self._connect: Callable[[], connect] = lambda: connect(url, token)
        self._tell = tell or (lambda _: None)
        self._numbers = Numbers(cursors)
        self._seen = Numbers(cursors)
        """Without gaps: what is missing may come yet."""
        self._backoff = Backoff(random.random)
        self._stack = contextlib.AsyncExitStack()
        self._viewer: Viewer | None = None
        self._watch: Watch[bus.AnyEvent] | None = None
        self._again: AsyncIterator[bus.AnyEvent] | None = None
        """What the broker did not tell (again), from the history."""
        self._times: dict[str, float] = {}
        """Of each process, when its last event was."""
        self._counted = 0
        """Of what the present watch has dropped."""
        self._began: float | None = None
        """When it was connected for the first time, by the clock."""
        self._quiet: set[tuple[str, str]] = set()
        """Processes that were there then, with their boots, and had no number yet."""
        self._guessed: dict[tuple[str, str], int] = {}
        """Of these, what is told again up to that number may be older than this."""
        self._since = 0.0
        self._closed = False

    @property
    def lost(self) -> int:
        return self.dropped + self.missing.total()

    def cursors(self) -> tuple[Cursor, ...]:
        """How far it has got: another goes on from there."""
        return self._numbers.cursors()

    async def __aenter__(self) -> Self:
        await self._join()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self._closed = True
        await self._leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bus.AnyEvent:
        while not self._closed:
            try:
                if self._watch is None:
                    await self._join()
                event = await self._next()
            except (ConnectionLost, NoAnswer, InvalidTarget, Refused) as error:
                await self._broke(error)
                continue
            if event is not None and self._is_wanted(event):
                return event
        raise StopAsyncIteration

    # joining and leaving

    async def _join(self) -> None:
        """Raises what keeps it from that; then nothing of it is left."""
        again = self._began is not None
        try:
            viewer = await self._stack.enter_async_context(self._connect())
            await viewer.whoami()
            processes = await viewer.processes(self._selector)
            guessed: set[tuple[str, str]] = set()
            cursors = self._numbers.cursors()
            if again:
                cursors = await self._places(viewer, processes, guessed)
            else:
                known = {each.process for each in cursors}
                self._quiet = {(each.process, each.boot) for each in processes if each.process not in known}
            watch = viewer.events(self._selector, topics=self._topics, cursors=cursors)
            await self._stack.enter_async_context(watch)
        except BaseException:
            await self._leave()
            raise
        self._viewer, self._watch = viewer, watch
        self._guessed = {place: watch.caught_up.get(place, 0) for place in guessed}
        self._since, self._counted = time.monotonic(), 0
        if again:
            self._tell(Resumed())
        else:
            self._began = time.time()

    async def _places(
        self, viewer: Viewer, processes: Sequence[bus.Presence], guessed: set[tuple[str, str]]
    ) -> tuple[Cursor, ...]:
        """Where to go on: of each process that has a number, and of those that are new from their beginning. `guessed` gets
        those of which nobody knows."""
        places = {each.process: each for each in self._numbers.cursors()}
        heads = 0
        for each in processes:
            if each.process in places:
                continue
            head: int | None = 0
            if (each.process, each.boot) in self._quiet:
                head = None
                if viewer.store != "none" and heads < _HEADS:
                    heads += 1
                    head = await self._head(viewer, each)
                if head is None:
                    guessed.add((each.process, each.boot))
            places[each.process] = Cursor(process=each.process, boot=each.boot, seq=head or 0)
        return tuple(places.values())

    async def _head(self, viewer: Viewer, process: bus.Presence) -> int | None:
        """The last number before this began, where the history knows it."""
        until = (self._began or 0.0) - _SKEW
        try:
            async for event in viewer.history(process.process, until=until, limit=1):
                if event.boot == process.boot:
                    return event.seq
        except (Refused, NoAnswer):
            return None
        return None

    async def _leave(self) -> None:
        self._watch = None
        self._viewer = None
        self._again = None
        stack, self._stack = self._stack, contextlib.AsyncExitStack()
        await stack.aclose()

    async def _broke(self, error: ViewerError) -> None:
        self._count()
        lasted = time.monotonic() - self._since if self._watch is not None else 0.0
        await self._leave()
        if not can_be_mended(error, before=self._began is not None):
            raise error
        wait = self._backoff.broke(lasted)
        self._tell(Interrupted(error, wait))
        await asyncio.sleep(wait)

    # events

    async def _next(self) -> bus.AnyEvent | None:
        """None: what came was none."""
        if self._again is not None:
            async for event in self._again:
                return event
            self._again = None
        assert self._watch is not None  # noqa: S101 - joined
        item = await self._watch.item()
        self._count()
        if not isinstance(item, rpc.Gap):
            return item
        if item.reason in _KEPT and self._viewer is not None and self._viewer.store == "up":
            self._again = self._from_history(self._viewer, item)
        else:
            self._missed(item)
        return None

    def _count(self) -> None:
        if self._watch is not None:
            dropped = self._watch.lost - self._watch.missing.total()
            self.dropped += dropped - self._counted
            self._counted = dropped

    def _missed(self, gap: rpc.Gap) -> None:
        self.missing[gap.reason] += gap.last - gap.first + 1
        self._numbers.skip(gap)
        self._tell(Missing(gap))

    async def _from_history(self, viewer: Viewer, gap: rpc.Gap) -> AsyncIterator[bus.AnyEvent]:
        since = self._times.get(gap.process)
        remembered = viewer.history(
            gap.process, since=None if since is None else since - _SKEW, order="oldest"
        )
        found: set[int] = set()
        try:
            async for event in remembered:
                if event.boot != gap.boot or event.seq < gap.first:
                    continue
                if event.seq > gap.last:
                    break
                found.add(event.seq)
                if ("output" if isinstance(event, bus.Output) else "events") in self._topics:
                    yield event
        except (Refused, NoAnswer) as error:
            if isinstance(error, ConnectionLost):
                raise
        if not remembered.withheld:  # what it may not see is missing to nobody
            for hole in holes(found, gap.first, gap.last):
                self._missed(replace(gap, first=hole.first, last=hole.last))
        self._numbers.skip(gap)

    def _is_wanted(self, event: bus.AnyEvent) -> bool:
        """Also notes that it is here."""
        self._times.pop(event.process, None)
        self._times[event.process] = event.time
        if len(self._times) > _TIMES:
            del self._times[next(iter(self._times))]
        again = event.seq <= self._guessed.get((event.process, event.boot), 0)
        self._numbers.is_new(event)
        return self._seen.is_new(event) and not (again and event.time < (self._began or 0.0) - _SKEW)
