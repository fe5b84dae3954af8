"""A subscription as an async iterator: presence, events or metrics of the processes that a selector matches,
or the probes that mean some of them."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from sonde_viewer.errors import ViewerError
from sonde_viewer.mailbox import LIMIT, Mailbox
from sonde_wire import Address, Selector, bus, rpc
from sonde_wire.probes import concerns

OfProcess = bus.Presence | bus.AnyEvent | bus.Metrics
Item = OfProcess | rpc.ProbeInfo
T = TypeVar("T", bound=Item)
_REMEMBERED = 20_000
"""Processes."""


class Route(Protocol):
    """Where the client brings what arrives on a topic."""

    @property
    def topic(self) -> rpc.Topic: ...
    @property
    def selector(self) -> Selector: ...
    def deliver(self, item: Item) -> None: ...
    def miss(self, count: int) -> None: ...
    def fail(self, error: ViewerError) -> None: ...


def goes_to(route: Route, topic: rpc.Topic, process: str) -> bool:
    return route.topic == topic and route.selector.matches(Address.parse(process))


def concerned(route: Route, probe: rpc.ProbeInfo) -> bool:
    return route.topic == "probes" and concerns(probe.probe, (route.selector,))


class SeenOnce:
    """Subscriptions that overlap bring an event more than once; its sequence number tells."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, int]] = {}

    def is_new(self, event: bus.Event) -> bool:
        boot, seq = self._last.pop(event.process, ("", 0))
        new = boot != event.boot or event.seq > seq
        self._last[event.process] = (event.boot, event.seq) if new else (boot, seq)
        if len(self._last) > _REMEMBERED:  # the one that has been silent for longest
            del self._last[next(iter(self._last))]
        return new


class Watch(Generic[T]):
    """Iterate over it; it subscribes when first used and raises `ConnectionLost` when the line breaks, after what had
    arrived until then.

    `async with` it, or call `aclose`, to end the subscription before the connection ends: a loop that is left by
    `break` can be taken up again, so that leaving it does not. Once closed it is over. `lost` counts what
    this reader did not get since the beginning, whoever dropped it: the broker, because the line was too
    slow, or the queue here (10,000 items), because the reader was.
    """

    def __init__(
        self,
        topic: rpc.Topic,
        selector: Selector,
        *,
        subscribe: Callable[[Route], Awaitable[int]],
        unsubscribe: Callable[[Route, int], Awaitable[None]],
        limit: int = LIMIT,
    ) -> None:
        self.topic: rpc.Topic = topic
        self.selector = selector
        self._subscribe = subscribe
        self._unsubscribe = unsubscribe
        self._subscription: int | None = None
        self._over = False
        self._items: Mailbox[Item] = Mailbox(limit)
        self._seen = SeenOnce()

    @property
    def lost(self) -> int:
        return self._items.lost

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self._over = True
        self._items.close()
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            await self._unsubscribe(self, subscription)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        await self._open()
        return await self._items.__anext__()  # type: ignore[return-value]  # the topic decides the type

    async def _open(self) -> None:
        if self._subscription is None and not self._over:
            self._subscription = await self._subscribe(self)

    def deliver(self, item: Item) -> None:
        if not isinstance(item, bus.Event) or self._seen.is_new(item):
            self._items.put(item)

    def miss(self, count: int) -> None:
        self._items.miss(count)

    def fail(self, error: ViewerError) -> None:
        self._subscription = None
        self._over = True
        self._items.fail(error)
