"""How far a boot is stored, against a model that keeps each number: the pure part alone, and the databases."""

from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from sonde_broker.relay_io import Keep
from sonde_broker.store import streams
from sonde_broker.store.engine import engine, open_database, read_url
from sonde_broker.store.schema import events
from sonde_broker.store.schema import streams as rows
from sonde_broker.store.streams import Span, Stream
from sonde_broker.store.writing import Writer
from tests.broker.store.telling import KEPT_FOR_EVER, NOW, Teller

MOST = 40
Batch = tuple[int, int, int]
"""First, last, oldest."""


@st.composite
def a_batch(draw: st.DrawFn) -> Batch:
    first = draw(st.integers(1, MOST))
    last = draw(st.integers(first, min(MOST, first + 9)))
    return first, last, draw(st.one_of(st.just(1), st.integers(1, MOST + 5)))


transactions = st.lists(st.lists(a_batch(), min_size=1, max_size=4), max_size=12)


class Model:
    def __init__(self) -> None:
        self.stored: set[int] = set()
        self.lost: set[int] = set()
        self.upto = 0

    def take(self, batches: Sequence[Batch]) -> None:
        for first, last, _ in batches:
            self.stored |= set(range(first, last + 1))
        gone = min(max(oldest for _, _, oldest in batches) - 1, max(self.stored))
        self.lost |= {number for number in range(self.upto + 1, gone + 1) if number not in self.stored}
        while self.upto + 1 in self.stored | self.lost:
            self.upto += 1


def spans(numbers: set[int], beyond: int) -> list[Span]:
    found: list[Span] = []
    for number in sorted(numbers):
        if number <= beyond:
            continue
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


@given(transactions)
def test_upto_and_lost_are_those_of_the_model_whatever_comes_in_whatever_order(
    happened: list[list[Batch]],
) -> None:
    model, stream = Model(), Stream()
    for batches in happened:
        model.take(batches)
        one_way = streams.settle(
            stream, max(oldest for _, _, oldest in batches), spans(model.stored, stream.upto)
        )
        if len(batches) == 1 and streams.follows(stream, batches[0][0]):
            assert streams.advance(stream, batches[0][1]) == one_way
        stream = one_way
        assert (stream.upto, stream.lost, stream.last) == (model.upto, len(model.lost), max(model.stored))


def test_what_the_database_has_is_what_the_model_has(url: str) -> None:
    database = open_database(read_url(url))
    made = engine(database.url, "write")
    boots = iter(range(1, 10_000))
    with made.connect() as one, made.connect() as other:
        writers = [Writer(connection, KEPT_FOR_EVER * 86400) for connection in (one, other)]

        @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(transactions)
        def check(happened: list[list[Batch]]) -> None:
            boot, model = next(boots), Model()
            for place, batches in enumerate(happened):
                model.take(batches)
                teller = Teller(number=boot)
                told = writers[place % 2].store([_keep(boot, *batch) for batch in batches], NOW)
                assert told.streams == ((teller.process, teller.boot, model.upto),)
                assert _contents(one, teller.boot) == (model.stored, len(model.lost))

        check()
    made.dispose()


def _keep(boot: int, first: int, last: int, oldest: int) -> Keep:
    teller = Teller(number=boot)
    teller.seq = first - 1
    return teller.keep(teller.some(last - first + 1), oldest)


def _contents(connection: Connection, boot: str) -> tuple[set[int], int]:
    with connection.begin():
        number, lost = connection.execute(select(rows.c.id, rows.c.lost).where(rows.c.boot == boot)).one()
        return set(connection.execute(select(events.c.seq).where(events.c.stream == number)).scalars()), lost
