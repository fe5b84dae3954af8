"""A subscription as an async iterator: presence, events or metrics of the processes that a selector matches,
or the probes that mean some of them."""

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from sonde_viewer.errors import ViewerError
from sonde_viewer.mailbox import LIMIT, Mailbox
from sonde_viewer.numbering import Numbered, Numbers, in_order
from sonde_wire import Address, Selector, bus, rpc
from sonde_wire.history import Cursor
from sonde_wire.probes import concerns

OfProcess = bus.Presence | bus.AnyEvent | bus.Metrics
Item = OfProcess | rpc.ProbeInfo
T = TypeVar("T", bound=Item)
R = TypeVar("R")
_CAUGHT_UP = 100_000
"""Events that are told again, until all of them are there."""


class Route(Protocol):
    """Where the client brings what arrives on a topic."""

    @property
    def topics(self) -> tuple[rpc.Topic, ...]: ...
    @property
    def selector(self) -> Selector: ...
    def deliver(self, item: Item) -> None: ...
    def miss(self, gap: rpc.Gap) -> None: ...
    def fail(self, error: ViewerError) -> None: ...


class Subscribe(Protocol):
    """With cursors, what was missed since then arrives before it returns."""

    def __call__(self, route: Route, cursors: Sequence[Cursor] = ()) -> Awaitable[int]: ...


def goes_to(route: Route, topic: rpc.Topic, process: str) -> bool:
    return topic in route.topics and route.selector.matches(Address.parse(process))


def concerned(route: Route, probe: rpc.ProbeInfo) -> bool:
    return "probes" in route.topics and concerns(probe.probe, (route.selector,))


class Stream(Generic[R]):
    """What a watch and `Following` share: items of subscriptions, as an async iterator that subscribes when first used.

    `async with` it, or call `aclose`, to end the subscriptions before the connection ends: a loop that is left by
    `break` can be taken up again, so that leaving it does not. Once closed it is over. `lost` counts what
    this reader did not get since the beginning, whoever dropped it: the broker, because the line was too
    slow, or the queue here (10,000 items), because the reader was. `missing` has those that the broker told of, by
    its reasons (`rpc.Gap`).
    """

    def __init__(
        self,
        *,
        subscribe: Subscribe,
        unsubscribe: Callable[[Route, int], Awaitable[None]],
        limit: int = LIMIT,
    ) -> None:
        self._subscribe = subscribe
        self._unsubscribe = unsubscribe
        self._subscriptions: list[tuple[Route, int]] = []
        self._is_open = False
        self._items: Mailbox[R] = Mailbox(limit)
        self._seen = Numbers()
        self.missing: Counter[str] = Counter()

    async def _begin(self) -> None:
        """Listens to what it wants. When it raises, its subscriptions are ended for it."""
        raise NotImplementedError

    async def _listen(self, route: Route, cursors: Sequence[Cursor] = ()) -> None:
        self._subscriptions.append((route, await self._subscribe(route, cursors)))

    async def _open(self) -> None:
        if self._is_open:
            return
        self._is_open = True
        try:
            await self._begin()
        except BaseException:
            await self._end_subscriptions()
            self._is_open = False  # whoever asks again gets the same error, or an answer
            raise

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
        self._is_open = True  # and is not opened again
        self._items.close()
        await self._end_subscriptions()

    async def _end_subscriptions(self) -> None:
        while self._subscriptions:
            await self._unsubscribe(*self._subscriptions.pop())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        await self._open()
        return await self._items.__anext__()

    def miss(self, gap: rpc.Gap) -> None:
        self._missed(gap, gap.last - gap.first + 1)

    def _missed(self, gap: rpc.Gap, count: int) -> None:
        self._items.miss(count)
        self.missing[gap.reason] += count

    def fail(self, error: ViewerError) -> None:
        self._is_open = True
        self._subscriptions.clear()
        self._items.fail(error)


class Watch(Stream[T | rpc.Gap], Generic[T]):
    """Iterate over it; it subscribes when first used and raises `ConnectionLost` when the line breaks, after what had
    arrived until then.

    With `cursors` it begins with the events that were missed since then. Each event comes once, and in the order of
    its process.
    """

    def __init__(
        self,
        topics: tuple[rpc.Topic, ...],
        selector: Selector,
        *,
        subscribe: Subscribe,
        unsubscribe: Callable[[Route, int], Awaitable[None]],
        cursors: Sequence[Cursor] = (),
        limit: int = LIMIT,
    ) -> None:
        super().__init__(
            subscribe=subscribe, unsubscribe=unsubscribe, limit=_CAUGHT_UP + limit if cursors else limit
        )
        self.topics = topics
        self.selector = selector
        self._from = tuple(cursors)
        self._seen = Numbers(cursors)
        self._read = Numbers(cursors)
        self._held: deque[Numbered] | None = None
        """What comes while it catches up: live events of another subscription overtake those that are told again."""
        self.caught_up: dict[tuple[str, str], int] = {}
        """Of each process and boot, the last number that was told again or was there before."""

    def cursors(self) -> tuple[Cursor, ...]:
        """How far whoever iterates has got: another watch goes on from there. At most 20,000 processes, those that were
        heard of late."""
        return self._read.cursors()

    async def item(self) -> T | rpc.Gap:
        """The next event, or what is missing before it."""
        item = await super().__anext__()
        if isinstance(item, rpc.Gap):
            self._read.skip(item)
        elif isinstance(item, bus.Event):
            self._read.is_new(item)
        return item

    async def __anext__(self) -> T:
        while True:
            item = await self.item()
            if not isinstance(item, rpc.Gap):
                return item

    async def _begin(self) -> None:
        if not self._from:
            await self._listen(self)
            return
        self._held = deque(maxlen=_CAUGHT_UP)
        parts = range(0, len(self._from), rpc.MOST_CURSORS)
        first, *further = (self._from[begin : begin + rpc.MOST_CURSORS] for begin in parts)
        await self._listen(self, first)
        for part in further:
            catching_up = _CatchingUp(self.topics, self.selector)
            subscription = await self._subscribe(catching_up, part)
            await self._unsubscribe(catching_up, subscription)
        held, self._held = self._held, None
        for item in in_order(held):
            self._put(item)
        self.caught_up = {(each.process, each.boot): each.seq for each in self._seen.cursors()}

    # what the client brings

    def deliver(self, item: Item) -> None:
        if isinstance(item, bus.Event):
            self._take(item)
        else:
            self._items.put(item)  # type: ignore[arg-type]  # the topics decide the type

    def miss(self, gap: rpc.Gap) -> None:
        self._take(gap)

    def _take(self, item: Numbered) -> None:
        if self._held is None:
            self._put(item)
            return
        if len(self._held) == _CAUGHT_UP:
            self._items.miss(1)
        self._held.append(item)

    def _put(self, item: Numbered) -> None:
        if isinstance(item, rpc.Gap):
            count = self._seen.missed(item)
            if count:
                self._missed(item, count)
                self._items.put(item)
        elif self._seen.is_new(item):
            self._items.put(item)  # type: ignore[arg-type]  # likewise


class _CatchingUp:
    """A further call with cursors, for there are more than one may have. What it brings goes to the watch."""

    def __init__(self, topics: tuple[rpc.Topic, ...], selector: Selector) -> None:
        self.topics = topics
        self.selector = selector

    def deliver(self, item: Item) -> None:
        """The watch has it."""

    def miss(self, gap: rpc.Gap) -> None:
        """Likewise."""

    def fail(self, error: ViewerError) -> None:
        """Likewise."""
