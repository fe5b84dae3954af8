"""One probe's results as an async iterator: first what was kept, then what comes, each once.

Answers overtake notifications, so that what is kept may arrive a second time afterwards; boot and number tell.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from sonde_viewer.errors import ViewerError
from sonde_viewer.mailbox import LIMIT
from sonde_viewer.watch import Item, Route, Stream, Subscribe
from sonde_wire import Selector, bus, rpc
from sonde_wire.probes import Log, ProbeStatus, Snapshot, most_hits

ProbeEvent = bus.SnapshotTaken | bus.ProbeLogged | bus.WatchChanged | bus.ProbeChanged


def of_probe(event: bus.AnyEvent, probe: str) -> ProbeEvent | None:
    """The event, when it is one of that probe's."""
    match event:
        case bus.SnapshotTaken() | bus.ProbeLogged() | bus.WatchChanged() if event.probe == probe:
            return event
        case bus.ProbeChanged(status=status) if status.id == probe:
            return event
        case _:
            return None


@dataclass(frozen=True)
class Results:
    """What a probe has brought, newest last."""

    events: tuple[ProbeEvent, ...]
    more: bool
    """There were more, which are not kept or were not asked for."""


_MOST = 1000
"""Results that are asked for at a time, at most."""
_AGAIN = 0.2
_MOST_LOOKS = 10
"""How often, and seconds apart, it is looked whether all that was brought is here, before it is taken for that."""
_REMEMBERED = 20_000


class Asking(Protocol):
    """What it asks of the connection."""

    async def probe(self, probe: str) -> rpc.ProbeDetail: ...
    async def probe_results(self, probe: str, limit: int = ...) -> Results: ...


def is_spent(info: rpc.ProbeInfo, statuses: Iterable[ProbeStatus | None]) -> bool:
    """Whether a probe has had its hits in all processes that have it, so that only one which comes later can bring
    more. One in which it is nowhere, for an error, brings nothing; one whose expression never worked may yet.

    The statuses may be behind the totals: then not yet. Nor when it is its time that is over: the broker tells that.
    """
    totals, most = info.totals, most_hits(info.probe.spec)
    if most is None or totals.expired == 0 or totals.installed or totals.pending or totals.unheard:
        return False
    said = [status for status in statuses if status is not None]
    fulfilled = sum(status.state == "expired" and status.hits >= most for status in said)
    nowhere = sum(status.state == "error" and not status.places for status in said)
    return fulfilled >= totals.expired and nowhere >= totals.error


class Following(Stream[ProbeEvent | None]):
    """`async with` it, then iterate: `SnapshotTaken`, `ProbeLogged` and `WatchChanged` of one probe in all processes,
    and `ProbeChanged` whenever it has another state in one of them.

    It ends when the probe is removed or expires, or has had its hits everywhere (`end` says which), and raises
    `ConnectionLost` when the line breaks. `lost` counts what did not get here, whoever dropped it.
    """

    topics: tuple[rpc.Topic, ...] = ("events",)

    def __init__(
        self,
        probe: str,
        limit: int,
        *,
        asking: Asking,
        subscribe: Subscribe,
        unsubscribe: Callable[[Route, int], Awaitable[None]],
    ) -> None:
        """`limit`: of what was kept, the newest so many; 0 for none."""
        super().__init__(subscribe=subscribe, unsubscribe=unsubscribe)
        self.probe = probe
        self.selector = Selector()
        self.end: rpc.ProbeInfo | None = None
        """The probe as it was when this ended; still live, when it has had its hits."""
        self._limit = limit
        self._asking = asking
        self._early: deque[ProbeEvent] | None = deque(maxlen=LIMIT)
        """What comes before what was kept; None: that is there."""
        self._given: dict[tuple[str, int], None] = {}
        """Boot and number of what was given, the newest last."""
        self._brought: Counter[str] = Counter()
        """Results by process."""
        self._first: dict[str, int] = {}
        """By boot, the number of the first that was given."""
        self._over: set[str] = set()
        """Processes that have told here that they have had their hits."""
        self._looks = 0
        self._info: rpc.ProbeInfo | None = None
        self._statuses: dict[str, ProbeStatus | None] = {}

    async def _begin(self) -> None:
        detail = await self._asking.probe(self.probe)
        self.selector = Selector.parse(detail.info.probe.spec.target.selector)
        await self._listen(self)
        await self._listen(_Ending(self))
        detail = await self._asking.probe(self.probe)  # it may have ended before somebody listened
        kept: tuple[ProbeEvent, ...] = ()
        if self._limit:
            kept = (await self._asking.probe_results(self.probe, self._limit)).events
        self._take(kept)
        await self._heed(detail)
        self.told(self._info or detail.info)

    def _take(self, kept: Iterable[ProbeEvent]) -> None:
        for event in kept:
            self._put(event)
        early, self._early = self._early or (), None
        for event in early:
            self._put(event)

    def _put(self, event: ProbeEvent) -> None:
        key = (event.boot, event.seq)
        if key in self._given:
            return
        self._given[key] = None
        if len(self._given) > _REMEMBERED:
            del self._given[next(iter(self._given))]
        self._first.setdefault(event.boot, event.seq)
        self._items.put(event)
        if not isinstance(event, bus.ProbeChanged):
            self._brought[event.process] += 1
            return
        self._statuses[event.process] = event.status
        if event.status.state == "expired":
            self._over.add(event.process)

    def _look(self) -> None:
        """A process tells that it has had its hits after what these brought, so that nothing is cut off here."""
        info = self._info
        if info is None or self._early is not None:  # not all that was brought is here yet
            return
        if info.state != "live" or is_spent(info, self._statuses.values()):
            self.end = self.end or info
            self._items.close()

    async def __anext__(self) -> ProbeEvent:
        while True:
            event = await super().__anext__()
            if event is not None:
                return event
            detail = await self._asking.probe(self.probe)
            self._info = detail.info
            await self._heed(detail)
            self._look()

    async def _heed(self, detail: rpc.ProbeDetail) -> None:
        """Believes what processes are said to have come to, as soon as what they brought is here."""
        if self._looks < _MOST_LOOKS and not await self._has_all(detail):
            self._looks += 1
            asyncio.get_running_loop().call_later(_AGAIN, self._items.put, None)
            return
        said = {each.process: each.status for each in detail.processes}
        self._statuses |= {process: said[process] for process in said.keys() - self._over}

    async def _has_all(self, detail: rpc.ProbeDetail) -> bool:
        """Whether all is here of the processes that are said to have had their hits, and have not told so here: a state may
        overtake what was brought before it."""
        said = {each.process: each.status for each in detail.processes if each.status is not None}
        silent = {
            process: status.hits - status.dropped
            for process, status in said.items()
            if status.state == "expired" and process not in self._over
        }
        if not silent or not self._limit or not isinstance(detail.info.probe.spec.kind, Snapshot | Log):
            return True
        for event in (await self._asking.probe_results(self.probe, _MOST)).events:
            if event.seq > self._first.get(event.boot, 0):
                self._put(event)
        return all(self._brought[process] >= hits for process, hits in silent.items())

    # what the client brings

    def deliver(self, item: Item) -> None:
        if isinstance(item, bus.Event) and self._seen.is_new(item):
            event = of_probe(item, self.probe)
            if event is None:
                return
            if self._early is not None:
                self._items.miss(len(self._early) == LIMIT)
                self._early.append(event)
            else:
                self._put(event)
                self._look()

    def told(self, info: rpc.ProbeInfo) -> None:
        if info.probe.id == self.probe:
            self._info = info
            self._look()
            if self.end is None and info.totals.expired:
                self._items.put(None)  # the event may have been told before anybody listened: to be asked for


class _Ending:
    """What tells that the probe is over."""

    topics: tuple[rpc.Topic, ...] = ("probes",)

    def __init__(self, following: Following) -> None:
        self.selector = following.selector
        self._following = following

    def deliver(self, item: Item) -> None:
        if isinstance(item, rpc.ProbeInfo):
            self._following.told(item)

    def miss(self, gap: rpc.Gap) -> None:
        """Of probes nothing is missed: the newest state wins."""

    def fail(self, error: ViewerError) -> None:
        self._following.fail(error)
