"""A history is opened: SQLite by the path of a file, PostgreSQL by a URL.

SQLite writes a log ahead (WAL), so that readers and the writer do not wait for each other, and flushes it at each commit: what
is acknowledged survives the end of the broker and of the machine. At some five commits a second that costs nothing that can
be measured; `synchronous=NORMAL` would lose the last of them with the power.
"""

import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from sonde_broker.store import sqlite_file
from sonde_broker.store.failures import Cure, StoreFailed, explained
from sonde_broker.store.schema import APPLICATION, VERSION, meta, tables

logger = logging.getLogger(__name__)

BUSY = 2.0
"""Seconds to wait for another program's lock."""
MOST_TIME = 10.0
"""Seconds that a question may take."""
_WRITING = 30.0
_CONNECTING = 5
_SCHEMA_LOCK = 0x536F6E6401
_CHECKPOINT = 4000
_LOG_KEPT = 64 * 2**20
STEPS = 20_000
Purpose = Literal["write", "read"]
_PRAGMAS: dict[Purpose, tuple[str, ...]] = {
    "write": (
        "auto_vacuum=INCREMENTAL",  # heeded before the first table is made
        "journal_mode=WAL",
        "synchronous=FULL",
        f"wal_autocheckpoint={_CHECKPOINT}",
        f"journal_size_limit={_LOG_KEPT}",
    ),
    "read": ("query_only=ON",),
}


class Database(Struct, frozen=True):
    url: URL
    identity: str
    """Of the history: made at random with it."""

    @property
    def path(self) -> Path | None:
        return sqlite_path(self.url)

    @property
    def shown(self) -> str:
        """For the log."""
        return shown(self.url)


def read_url(text: str) -> URL:
    """Raises `StoreFailed`."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise StoreFailed(
            "the URL of the history cannot be read: give sqlite:///PATH or postgresql://..."
        ) from None
    backend = url.get_backend_name()
    if backend == "postgres" or url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    elif backend not in {"sqlite", "postgresql"} or (backend == "sqlite" and not url.database):
        raise StoreFailed(
            "a history is kept in SQLite or PostgreSQL: give sqlite:///PATH or postgresql://..."
        )
    return url


def shown(url: URL) -> str:
    path = sqlite_path(url)
    return str(path) if path is not None else url.render_as_string(hide_password=True)


def sqlite_path(url: URL) -> Path | None:
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def open_database(url: URL, *, examine: bool = False) -> Database:
    """Makes what is not there yet. `examine`: it may be damaged; one that was not closed in order is looked through anyway.
    Raises `StoreFailed`."""
    path = sqlite_path(url)
    try:
        if path is None:
            return _opened(url)
        unclean = sqlite_file.prepare(path)
        try:
            return _opened(url, examine=examine or unclean)
        except StoreFailed as failed:
            if failed.cure is not Cure.EXAMINE or sqlite_file.kind(path) is sqlite_file.Kind.OTHER:
                raise
        sqlite_file.set_aside(path)
        sqlite_file.prepare(path)
        return _opened(url)
    except OSError as error:
        raise explained(error) from error


def _opened(url: URL, *, examine: bool = False) -> Database:
    made = engine(url, "write")
    try:
        with made.connect() as connection:
            if examine:
                logger.info("the history is looked through, because it was not closed in order")
                _examine(connection)
            return Database(url, _identity(connection))
    except SQLAlchemyError as error:
        raise explained(error) from error
    finally:
        made.dispose()


def _examine(connection: Connection) -> None:
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    connection.rollback()
    if found != "ok":
        raise StoreFailed("the file of the history is damaged", Cure.EXAMINE, str(found))


def _identity(connection: Connection) -> str:
    """Of the history, which is made if there is none. Raises `StoreFailed` when it is of another version."""
    with connection.begin():
        if connection.dialect.name == "postgresql":  # several brokers may start at once
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
        if inspect(connection).has_table(meta.name):
            return read_identity(connection)
        if connection.dialect.name == "sqlite":
            if inspect(connection).get_table_names():
                raise sqlite_file.not_ours()
            connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION}")
        tables.create_all(connection, checkfirst=False)
        identity = secrets.token_hex(16)
        connection.execute(
            meta.insert(), [{"key": "schema", "value": VERSION}, {"key": "identity", "value": identity}]
        )
        return identity


def read_identity(connection: Connection) -> str:
    found = dict(connection.execute(select(meta.c.key, meta.c.value)).all())
    version = found.get("schema", "none")
    if version != VERSION or not found.get("identity"):
        raise StoreFailed(
            f"the history was made by another version of Sonde (its tables are {version!r}, this broker has {VERSION!r}): "
            "use that version, or give --history another place",
            Cure.REOPEN,
        )
    return str(found["identity"])


def engine(url: URL, purpose: Purpose) -> Engine:
    """Without a pool: each thread has one connection of its own."""
    if url.get_backend_name() == "sqlite":
        made = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY})
        _tune_sqlite(made, purpose)
        return made
    seconds = _WRITING if purpose == "write" else MOST_TIME
    options = [
        str(url.query.get("options", "")),
        f"-c statement_timeout={int(seconds * 1000)}",
        f"-c lock_timeout={int(seconds * 1000)}",
        "-c default_transaction_read_only=on" if purpose == "read" else "",
    ]
    try:
        return create_engine(
            url,
            poolclass=NullPool,
            connect_args={
                "connect_timeout": _CONNECTING,
                "options": " ".join(filter(None, options)),
                "application_name": "sonde broker",
                "client_encoding": "utf8",
                "prepare_threshold": None,  # statements that the server keeps would not pass a pooler
                # A server that is gone without a word is noticed within some 20 seconds.
                "keepalives_idle": 10,
                "keepalives_interval": 3,
                "keepalives_count": 3,
                "tcp_user_timeout": 20_000,
            },
        )
    except (NoSuchModuleError, ModuleNotFoundError):
        raise StoreFailed(
            "a history in PostgreSQL needs psycopg: pip install 'sonde[broker,postgres]'"
        ) from None


def _tune_sqlite(made: Engine, purpose: Purpose) -> None:
    @event.listens_for(made, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say so
        for pragma in _PRAGMAS[purpose]:
            connection.execute(f"PRAGMA {pragma}").fetchall()

    begin = "BEGIN IMMEDIATE" if purpose == "write" else "BEGIN"

    @event.listens_for(made, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


def limited(connection: Connection, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
    """Ends what is asked on it after that time; PostgreSQL has a setting for it."""
    if connection.dialect.name == "sqlite":
        raw: Any = connection.connection.driver_connection
        until = now() + seconds
        raw.set_progress_handler(lambda: now() > until, STEPS)
