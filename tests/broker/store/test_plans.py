"""No question and no removal reads the whole table of events: SQLite says how it would go about each statement."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from sonde_broker.queries import FindEvents, FindResults, FindSession, FindSessions, Query, ReadRange, SumUp
from sonde_broker.store import event_pages, reading
from sonde_broker.store.engine import engine, open_database, read_url
from sonde_broker.store.retention import Retention
from sonde_broker.store.writing import Writer
from sonde_wire import Address, Selector, bus
from sonde_wire.rpc import HistoryEvents, HistorySessions
from tests.broker.store.telling import EVERYTHING, NOW, OBSERVER, Teller, boot

QUESTIONS: tuple[Query, ...] = (
    FindEvents(HistoryEvents(), EVERYTHING),
    FindEvents(HistoryEvents(order="oldest", since=1.0, text="x"), OBSERVER),
    FindEvents(HistoryEvents(selector="prod/shop/*"), EVERYTHING),
    FindEvents(HistoryEvents(selector="shop", kinds=("dap", "session_opened")), OBSERVER),
    FindEvents(HistoryEvents(kinds=("dap.stopped", "dap.thread")), EVERYTHING),
    FindEvents(HistoryEvents(session="s1"), EVERYTHING),
    FindSessions(HistorySessions(), EVERYTHING),
    FindSession("s1", OBSERVER),
    ReadRange(Address.parse("prod/shop/web-1"), boot(), 1, 10, 10_000),
    FindResults("probeaaaaa", 10, EVERYTHING),
    SumUp(Selector(), 0.0, EVERYTHING),
    SumUp(Selector.parse("prod/shop/*"), 0.0, OBSERVER),
)
SCAN = "SCAN sonde_events"


@pytest.mark.parametrize("few", [event_pages.FEW, 0])
def test_an_index_leads_to_whatever_is_read_or_removed(
    tmp_path: Path, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_pages, "FEW", few)
    database = open_database(read_url(f"sqlite:///{tmp_path / 'history.db'}"))
    made = engine(database.url, "write")
    plans: dict[str, list[str]] = {}

    @event.listens_for(made, "before_cursor_execute")
    def note(connection: Connection, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "DELETE")) and "sonde_events" in statement:
            rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans[statement] = [row[3] for row in rows]

    with made.connect() as connection:
        writer = Writer(connection, 10.0**9)
        web = Teller()
        writer.store([web.keep([web.tell(bus.SessionOpened, session="s1", viewer="ada"), *web.some(9)])], NOW)
        for question in QUESTIONS:
            with connection.begin():
                reading.answer(connection, question, database.identity)
        keeper = Retention(
            connection,
            database.path,
            kept=10.0**9,
            limit=1,
            removed_streams=writer.forget,
            clock=iter_clock(),
        )
        while keeper.step(NOW):
            pass
    made.dispose()
    assert len(plans) > 15
    assert {statement: plan for statement, plan in plans.items() if SCAN in plan} == {}


def iter_clock() -> Any:
    return iter(range(0, 10**9, 1000)).__next__
