"""One probe's results as an async iterator: first what was kept, then what comes, each once.

Answers overtake notifications, so that what is kept may arrive a second time afterwards; boot and number tell.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from sonde_viewer.errors import ViewerError
from sonde_viewer.mailbox import LIMIT
from sonde_viewer.watch import Item, Route, Stream, Subscribe
from sonde_wire import Selector, bus, rpc
from sonde_wire.probes import ProbeStatus, most_hits

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
        self._kept: set[tuple[str, int]] = set()
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
        self._statuses = {each.process: each.status for each in detail.processes}
        self._take(kept)
        self.told(self._info or detail.info)

    def _take(self, kept: Iterable[ProbeEvent]) -> None:
        for event in kept:
            self._kept.add((event.boot, event.seq))
            self._items.put(event)
        early, self._early = self._early or (), None
        for event in early:
            self._put(event)

    def _put(self, event: ProbeEvent) -> None:
        if (event.boot, event.seq) not in self._kept:
            self._items.put(event)
        if isinstance(event, bus.ProbeChanged):
            self._statuses[event.process] = event.status

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
            self._statuses |= {each.process: each.status for each in detail.processes}
            self._look()

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
