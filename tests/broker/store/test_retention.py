"""What is old goes, what is too much goes, and the newest stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table, func, select

from sonde_broker.store import retention
from sonde_broker.store.engine import engine, open_database, read_url
from sonde_broker.store.retention import DAY, LEAST, Retention, Usage, allowed, gives_back, too_many
from sonde_broker.store.schema import events, sessions, streams
from sonde_broker.store.writing import Writer
from sonde_wire import bus
from tests.broker.store.telling import NOW, Teller

MIB = 2**20


@contextmanager
def opened(url: str) -> Iterator[tuple[Connection, Writer, Path | None]]:
    database = open_database(read_url(url))
    made = engine(database.url, "write")
    with made.connect() as connection:
        yield connection, Writer(connection, 7 * DAY), database.path
    made.dispose()


def keeping(connection: Connection, path: Path | None, writer: Writer, limit: int = 1024 * MIB) -> Retention:
    ticks = iter(range(0, 10**9, 1000))
    return Retention(
        connection,
        path,
        kept=7 * DAY,
        limit=limit,
        removed_streams=writer.forget,
        clock=lambda: float(next(ticks)),
    )


def number(connection: Connection, of: Table) -> int:
    with connection.begin():
        return connection.execute(select(func.count()).select_from(of)).scalar_one()


def test_events_go_when_they_are_old_and_sessions_and_boots_with_their_last(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 10)
    with opened(url) as (connection, writer, path):
        old, new = Teller(number=1), Teller(number=2, time=NOW + 3 * DAY)
        first = [old.tell(bus.SessionOpened, session="s1", viewer="ada"), *old.some(40)]
        writer.store([old.keep(first)], NOW)
        second = [new.tell(bus.SessionOpened, session="s2", viewer="ada"), *new.some(4)]
        writer.store([new.keep(second)], NOW + 3 * DAY)
        keeper = keeping(connection, path, writer)
        steps = 0
        while keeper.step(NOW + 8 * DAY):
            steps += 1
        assert steps >= 4
        assert number(connection, events) == 5
        assert number(connection, sessions) == 1
        assert number(connection, streams) == 2  # the boot may still have something to tell
        while keeper.step(NOW + 30 * DAY):
            pass
        assert [number(connection, each) for each in (events, sessions, streams)] == [0, 0, 0]
        told = writer.store([new.keep(new.some(2), oldest=6)], NOW + 30 * DAY)
        assert told.streams == ((new.process, new.boot, 7),)


def test_too_much_goes_the_oldest_first_and_the_file_gives_its_space_back(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with opened(f"sqlite:///{path}") as (connection, writer, _):
        web = Teller()
        for _ in range(24):
            writer.store([web.keep(web.some(50, size=20_000))], NOW)
        with connection.begin():
            connection.exec_driver_sql("SELECT 1")
        keeper = keeping(connection, path, writer, limit=8 * MIB)
        while keeper.step(NOW):
            pass
        with connection.begin():
            kept = list(connection.execute(select(events.c.seq).order_by(events.c.seq)).scalars())
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        assert kept == list(range(kept[0], 1201))
        assert 200 < len(kept) < 500
        assert pages * 4096 < 13 * MIB
    assert path.stat().st_size < 13 * MIB


def test_too_much_goes_from_postgresql_by_an_estimate(url: str) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite counts its pages")
    with opened(url) as (connection, writer, path):
        web = Teller()
        for _ in range(20):
            writer.store([web.keep(web.some(100, size=2000))], NOW)
        keeper = keeping(connection, path, writer, limit=2 * MIB)
        with opened(url) as (_, _, _):
            while keeper.step(NOW):
                pass
        with connection.begin():
            kept = list(connection.execute(select(events.c.seq).order_by(events.c.seq)).scalars())
        assert kept == list(range(kept[0], 2001))
        assert 400 < len(kept) < 1600


def test_one_broker_at_a_time_removes_from_a_shared_history(url: str) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time anyway")
    with opened(url) as (connection, writer, path), opened(url) as (other, other_writer, _):
        web = Teller()
        writer.store([web.keep(web.some(5))], NOW)
        with other.begin():
            other.exec_driver_sql(f"SELECT pg_advisory_xact_lock({retention._LOCK})")
            assert not keeping(connection, path, writer).step(NOW + 30 * DAY)
            assert number(connection, events) == 5
        keeping(other, path, other_writer).step(NOW + 30 * DAY)
        assert number(connection, events) == 0


@pytest.mark.parametrize(
    ("usage", "limit", "expected"),
    [
        (Usage(used=10, each=1.0), 100, 0),
        (Usage(used=1100, each=10.0), 1000, 11),
        (
            Usage(used=100 * MIB, each=MIB, file=100 * MIB, disk_free=MIB, disk_size=10_000 * MIB),
            1000 * MIB,
            6,
        ),
        (
            Usage(used=95 * MIB, each=MIB, file=100 * MIB, disk_free=MIB, disk_size=10_000 * MIB),
            1000 * MIB,
            0,
        ),
        (Usage(used=LEAST, each=MIB, file=LEAST, disk_free=0, disk_size=10_000 * MIB), 1000 * MIB, 0),
    ],
)
def test_how_many_go(usage: Usage, limit: int, expected: int) -> None:
    assert too_many(usage, limit) == expected


def test_a_disk_that_is_nearly_full_is_not_given_what_the_history_will_need() -> None:
    plenty = Usage(used=10 * MIB, each=1.0, file=100 * MIB, disk_free=500 * MIB, disk_size=1000 * MIB)
    scarce = Usage(used=10 * MIB, each=1.0, file=100 * MIB, disk_free=MIB, disk_size=1000 * MIB)
    assert gives_back(plenty)
    assert not gives_back(scarce)
    assert allowed(plenty, 50 * MIB) == 50 * MIB
