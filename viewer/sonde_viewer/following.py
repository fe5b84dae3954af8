"""One probe's results as an async iterator: first what was kept, then what comes, each once.

Answers overtake notifications, so that what is kept may arrive a second time afterwards; boot and number tell.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from sonde_viewer.errors import ViewerError
from sonde_viewer.mailbox import LIMIT, Mailbox
from sonde_viewer.watch import Item, Route, SeenOnce
from sonde_wire import Selector, bus, rpc

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


class Following:
    """`async with` it, then iterate: `SnapshotTaken`, `ProbeLogged` and `WatchChanged` of one probe in all processes,
    and `ProbeChanged` whenever it has another state in one of them.

    It ends when the probe is removed or expires, and raises `ConnectionLost` when the line breaks. `lost` counts what
    did not get here, whoever dropped it.
    """

    topic: rpc.Topic = "events"

    def __init__(
        self,
        probe: str,
        limit: int,
        *,
        asking: Asking,
        subscribe: Callable[[Route], Awaitable[int]],
        unsubscribe: Callable[[Route, int], Awaitable[None]],
    ) -> None:
        """`limit`: of what was kept, the newest so many; 0 for none."""
        self.probe = probe
        self.selector = Selector()
        self._limit = limit
        self._asking = asking
        self._subscribe = subscribe
        self._unsubscribe = unsubscribe
        self._subscriptions: list[tuple[Route, int]] = []
        self._results: Mailbox[ProbeEvent] = Mailbox()
        self._early: deque[ProbeEvent] | None = deque(maxlen=LIMIT)
        """What comes before what was kept; None: that is there."""
        self._kept: set[tuple[str, int]] = set()
        self._seen = SeenOnce()

    @property
    def lost(self) -> int:
        return self._results.lost

    async def __aenter__(self) -> Self:
        detail = await self._asking.probe(self.probe)
        self.selector = Selector.parse(detail.info.probe.spec.target.selector)
        try:
            for route in (self, _Ending(self)):
                self._subscriptions.append((route, await self._subscribe(route)))
            if self._limit:
                self._begin((await self._asking.probe_results(self.probe, self._limit)).events)
            else:
                self._begin(())
            self.told(
                (await self._asking.probe(self.probe)).info
            )  # it may have ended before somebody listened
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self._results.close()
        while self._subscriptions:
            await self._unsubscribe(*self._subscriptions.pop())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ProbeEvent:
        return await self._results.__anext__()

    def _begin(self, kept: Iterable[ProbeEvent]) -> None:
        for event in kept:
            self._kept.add((event.boot, event.seq))
            self._results.put(event)
        early, self._early = self._early or (), None
        for event in early:
            self._put(event)

    def _put(self, event: ProbeEvent) -> None:
        if self._early is not None:
            self.miss(len(self._early) == LIMIT)
            self._early.append(event)
        elif (event.boot, event.seq) not in self._kept:
            self._results.put(event)

    # what the client brings

    def deliver(self, item: Item) -> None:
        if isinstance(item, bus.Event) and self._seen.is_new(item):
            event = of_probe(item, self.probe)
            if event is not None:
                self._put(event)

    def told(self, info: rpc.ProbeInfo) -> None:
        if info.probe.id == self.probe and info.state != "live":
            self._results.close()

    def miss(self, count: int) -> None:
        self._results.miss(count)

    def fail(self, error: ViewerError) -> None:
        self._subscriptions.clear()
        self._results.fail(error)


class _Ending:
    """What tells that the probe is over."""

    topic: rpc.Topic = "probes"

    def __init__(self, following: Following) -> None:
        self.selector = following.selector
        self._following = following

    def deliver(self, item: Item) -> None:
        if isinstance(item, rpc.ProbeInfo):
            self._following.told(item)

    def miss(self, count: int) -> None:
        """Of probes nothing is missed: the newest state wins."""

    def fail(self, error: ViewerError) -> None:
        self._following.fail(error)
