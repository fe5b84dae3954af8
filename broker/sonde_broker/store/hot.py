"""The two statements that run for each batch, as fast as each database takes them.

SQLite: rows by the hundred in one statement. The module lets go of the interpreter's lock for each statement, and with a statement a row
it would have to get it back from the event loop thousands of times a second (measured beside a busy thread: 6,000 rows
a second, and 21,000 this way). PostgreSQL: one statement, with an array for each column.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from sonde_broker.store.rows import Row
from sonde_broker.store.schema import events, streams
from sonde_broker.store.streams import Stream

_COLUMNS = "stream, seq, time, kind, session, probe, body"
_SIZES = (256, 64, 8, 1)  # 7 variables each; SQLite takes 32,766 in one statement
_SQLITE = {
    size: f"INSERT INTO {events.name} ({_COLUMNS}) VALUES {', '.join(['(?, ?, ?, ?, ?, ?, ?)'] * size)} "  # noqa: S608
    "ON CONFLICT DO NOTHING"
    for size in _SIZES
}
_POSTGRESQL = (
    f"INSERT INTO {events.name} ({_COLUMNS}) SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::float8[], "  # noqa: S608
    "%b::text[], %b::text[], %b::text[], %b::bytea[]) ON CONFLICT DO NOTHING"
)
_SQLITE_STREAM = (
    f"UPDATE {streams.name} SET upto=?, lost=?, last=?, first_time=min(first_time, ?), "  # noqa: S608
    "last_time=max(last_time, ?) WHERE id=?"
)
_POSTGRESQL_STREAM = (
    f"UPDATE {streams.name} AS s SET upto=u.upto, lost=u.lost, last=u.last, "  # noqa: S608
    "first_time=least(s.first_time, u.first_time), last_time=greatest(s.last_time, u.last_time) "
    "FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::float8[], %b::float8[], %b::bigint[]) "
    "AS u(upto, lost, last, first_time, last_time, id) WHERE s.id=u.id"
)


def insert(connection: Connection, rows: Sequence[Row]) -> None:
    """Those that are there already are left as they are."""
    if connection.dialect.name == "postgresql":
        columns = tuple(list(column) for column in zip(*rows, strict=True))
        connection.exec_driver_sql(_POSTGRESQL, columns)
        return
    begin = 0
    for size in _SIZES:
        while len(rows) - begin >= size:
            part = rows[begin : begin + size]
            connection.exec_driver_sql(_SQLITE[size], tuple(chain.from_iterable(part)))
            begin += size


def update(connection: Connection, changed: Sequence[tuple[int, Stream, float, float]]) -> None:
    """By id: how far each is now, and the times of the first and the last of its new events."""
    rows = [
        (stream.upto, stream.lost, stream.last, first, last, number)
        for number, stream, first, last in changed
    ]
    if connection.dialect.name == "postgresql":
        columns = tuple(list(column) for column in zip(*rows, strict=True))
        connection.exec_driver_sql(_POSTGRESQL_STREAM, columns)
    else:
        connection.exec_driver_sql(_SQLITE_STREAM, rows)


def into(connection: Connection, table: Table) -> Any:
    """An INSERT of the dialect: both have `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
