"""The tables. One definition for SQLite and PostgreSQL.

An event is found by its stream, which is one boot of one process, and its number. The stream's row has the names, so that they are
stored once and not with each event and index.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql

VERSION = "1"
"""Of these tables, in `meta` under `schema`."""
APPLICATION = 0x536F6E64
"""In the header of a SQLite file, so that another program's database is not taken for ours: `Sond`."""

# Selectors compare ranges, so the order of text must be that of its bytes, whatever the database's locale.
_Text = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_Big = BigInteger().with_variant(Integer(), "sqlite")

tables = MetaData()

meta = Table(
    "sonde_meta", tables, Column("key", Text, primary_key=True), Column("value", Text, nullable=False)
)

streams = Table(
    "sonde_streams",
    tables,
    Column("id", _Big, primary_key=True, autoincrement=True),
    Column("namespace", _Text, nullable=False),
    Column("service", _Text, nullable=False),
    Column("instance", _Text, nullable=False),
    Column("boot", _Text, nullable=False),
    Column("upto", _Big, nullable=False, default=0),  # each number up to it was stored, or is lost
    Column("lost", _Big, nullable=False, default=0),  # of these
    Column("last", _Big, nullable=False, default=0),  # the highest that was stored
    Column("first_time", Double, nullable=False),
    Column("last_time", Double, nullable=False),
    UniqueConstraint("namespace", "service", "instance", "boot", name="sonde_streams_named"),
    Index("sonde_streams_boot", "boot"),
    sqlite_autoincrement=True,  # an id is never used again: cursors and other brokers may still have it
)

events = Table(
    "sonde_events",
    tables,
    Column("stream", _Big, primary_key=True, autoincrement=False),
    Column("seq", _Big, primary_key=True, autoincrement=False),
    Column("time", Double, nullable=False),  # when it is filed: see `rows.filed`
    Column("kind", _Text, nullable=False),  # its type; of DAP's `dap.` and DAP's name
    Column("session", _Text),
    Column("probe", _Text),
    Column("body", LargeBinary, nullable=False),
    Index("sonde_events_time", "time", "stream", "seq"),
    Index("sonde_events_kind", "kind", "time", "stream", "seq"),
)
Index(
    "sonde_events_session",
    events.c.session,
    events.c.stream,
    sqlite_where=events.c.session.is_not(None),
    postgresql_where=events.c.session.is_not(None),
)
Index(
    "sonde_events_probe",
    events.c.probe,
    events.c.time,
    sqlite_where=events.c.probe.is_not(None),
    postgresql_where=events.c.probe.is_not(None),
)

sessions = Table(
    "sonde_sessions",
    tables,
    Column("session", _Text, primary_key=True),
    Column("stream", _Big, primary_key=True, autoincrement=False),
    Column("viewer", _Text),
    Column("name", Text),
    Column("metadata", Text),  # a JSON object
    Column("opened", Double),  # None while only its end is known
    Column("first", _Big),
    Column("closed", Double),
    Column("last", _Big),
    Column("reason", Text),
    Index("sonde_sessions_opened", "opened"),
)
