"""The vocabulary of these tests: processes that tell, and a desk at which the history is used as the core uses it."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from msgspec import Raw

from sonde_broker.queries import Answer, FindEvents, FindSessions, Query, Sight
from sonde_broker.relay_io import AskStore, Committed, Happening, Header, Keep, StoreAnswered, StoreChanged
from sonde_broker.store import Store
from sonde_wire import Address, Failure, Selector, bus, codec, history
from sonde_wire.rpc import HistoryEvents, HistorySessions

T = TypeVar("T")

NOW = 1_000_000.0
EVERYTHING = Sight((Selector(),), values=True)
OBSERVER = Sight((Selector(),), values=False)
KEPT_FOR_EVER = 36_500.0
"""Days: the events here are of 1970."""


def boot(number: int = 1) -> str:
    return f"{number:032x}"


class Teller:
    """One boot of a process."""

    def __init__(self, process: str = "prod/shop/web-1", number: int = 1, time: float = NOW) -> None:
        self.process = Address.parse(process)
        self.boot = boot(number)
        self.time = time
        self.seq = 0

    def tell(
        self, kind: type[bus.Event], *, session: str | None = None, after: float = 1.0, **fields: Any
    ) -> Raw:
        self.seq += 1
        self.time += after
        return codec.raw(
            kind(
                process=str(self.process),
                boot=self.boot,
                seq=self.seq,
                time=self.time,
                session=session,
                **fields,
            )
        )

    def dap(self, event: str, session: str | None = None, after: float = 1.0, **body: Any) -> Raw:
        message = codec.raw({"type": "event", "event": event, "body": body})
        return self.tell(bus.DapEvent, session=session, after=after, message=message)

    def some(self, number: int, size: int = 0) -> list[Raw]:
        return [self.dap("thread", reason="started", pad="x" * size) for _ in range(number)]

    def keep(self, events: list[Raw], oldest: int = 1) -> Keep:
        headers = tuple(codec.decode(event, Header) for event in events)
        batch = bus.EventBatch(
            process=str(self.process),
            boot=self.boot,
            first=headers[0].seq,
            last=headers[-1].seq,
            events=tuple(events),
            oldest=oldest,
        )
        return Keep(self.process, batch, headers)


class Desk:
    def __init__(self, store: Store, told: "asyncio.Queue[Happening]") -> None:
        self.store = store
        self.changes: list[StoreChanged] = []
        self.upto: dict[tuple[str, str], int] = {}
        self.order: list[Committed] = []
        self._told = told
        self._numbers = itertools.count(1)

    async def next(self) -> Happening:
        happening = await self._told.get()
        match happening:
            case StoreChanged():
                self.changes.append(happening)
            case Committed():
                self.order.append(happening)
                for process, of_boot, upto in happening.streams:
                    self.upto[str(process), of_boot] = upto
        return happening

    async def changed(self, state: str) -> StoreChanged:
        for each in self.changes:
            if each.state == state:
                self.changes.remove(each)
                return each
        while True:
            happening = await self.next()
            if isinstance(happening, StoreChanged) and happening.state == state:
                self.changes.remove(happening)
                return happening

    async def committed(self, teller: Teller) -> int:
        """Waits for the next word on its boot."""
        key = (str(teller.process), teller.boot)
        self.upto.pop(key, None)
        while key not in self.upto:
            await self.next()
        return self.upto[key]

    async def keep(self, teller: Teller, events: list[Raw], oldest: int = 1) -> int:
        self.store.keep(teller.keep(events, oldest))
        return await self.committed(teller)

    async def ask(self, query: Query) -> Answer | Failure:
        number = next(self._numbers)
        self.store.ask(AskStore(number, query))
        while True:
            happening = await self.next()
            if isinstance(happening, StoreAnswered) and happening.number == number:
                return happening.answer

    async def find(self, sight: Sight = EVERYTHING, **wanted: Any) -> history.EventPage:
        page = await self.ask(FindEvents(HistoryEvents(**wanted), sight))
        assert isinstance(page, history.EventPage), page
        return page

    async def sessions(self, sight: Sight = EVERYTHING, **wanted: Any) -> history.SessionPage:
        page = await self.ask(FindSessions(HistorySessions(**wanted), sight))
        assert isinstance(page, history.SessionPage), page
        return page


@asynccontextmanager
async def desk(url: str, **options: Any) -> AsyncIterator[Desk]:
    told: asyncio.Queue[Happening] = asyncio.Queue()
    async with Store(url, told.put_nowait, **{"days": KEPT_FOR_EVER, **options}) as store:
        yield Desk(store, told)


def numbers(page: history.EventPage) -> list[int]:
    return [codec.decode(event, Header).seq for event in page.events]


def kinds(page: history.EventPage) -> list[str]:
    return [codec.decode(event, Header).type for event in page.events]


def sight(*selectors: str, values: bool = True) -> Sight:
    return Sight(tuple(Selector.parse(each) for each in selectors), values)
