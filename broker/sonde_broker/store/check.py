"""Whether a history could be used, for `sonde broker --check`. Nothing is made and nothing is changed."""

import os
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from sonde_broker.store import sqlite_file
from sonde_broker.store.engine import engine, read_identity, read_url, sqlite_path
from sonde_broker.store.failures import StoreFailed, explained
from sonde_broker.store.schema import meta
from sonde_broker.store.scribe import FAILURES

_OLDEST_POSTGRESQL = 12


def check(url: str) -> list[str]:
    """What is wrong, a sentence each; empty: nothing was found. Takes at most some seconds."""
    try:
        parsed = read_url(url)
        path = sqlite_path(parsed)
        return _of_server(parsed) if path is None else _of_file(path)
    except FAILURES as error:
        failed = explained(error)
        return [failed.problem]


def _of_file(path: Path) -> list[str]:
    directory = next(each for each in path.absolute().parents if each.exists())
    if not directory.is_dir() or not os.access(directory, os.W_OK | os.X_OK):
        return [f"{directory} cannot be written: the history needs a directory of its own there"]
    if not path.exists():
        return []
    if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
        return [f"{path} cannot be read and written by this user"]
    found = sqlite_file.kind(path)
    if found is sqlite_file.Kind.OTHER:
        return [sqlite_file.not_ours().problem]
    if found is not sqlite_file.Kind.OURS:
        return []
    problems: list[str] = []
    if path.stat().st_mode & 0o077:
        problems.append(f"{path} can be read by others: the broker will make it private (chmod 600)")
    # A log beside it may be a broker's that runs: then it must be heeded, and nothing new is made by that either.
    how = {"mode": "ro", "uri": "true"}
    if not path.with_name(f"{path.name}-wal").exists():
        how["immutable"] = "1"
    opened = URL.create("sqlite", database=f"file:{quote(str(path.absolute()))}", query=how)
    made = create_engine(opened, poolclass=NullPool, connect_args={"timeout": 2.0})
    try:
        with made.connect() as connection:
            _look(connection)
    except StoreFailed as failed:
        problems.append(failed.problem)
    finally:
        made.dispose()
    return problems


def _of_server(url: URL) -> list[str]:
    made = engine(url, "read")
    try:
        with made.connect() as connection:
            version = connection.dialect.server_version_info
            if not version or int(version[0]) < _OLDEST_POSTGRESQL:
                return [f"the history needs PostgreSQL {_OLDEST_POSTGRESQL} or newer"]
            if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar():
                return ["the database of the history is read-only: give the URL of the primary server"]
            if _look(connection):
                return []
            may = "SELECT has_schema_privilege(current_schema(), 'CREATE')"
            if not connection.exec_driver_sql(may).scalar():
                return ["the broker's user may not make tables there: grant it CREATE on the schema"]
            return []
    finally:
        made.dispose()


def _look(connection: Connection) -> bool:
    """Whether there is a history yet. Raises `StoreFailed` when it is of another version."""
    if not inspect(connection).has_table(meta.name):
        return False
    read_identity(connection)
    return True
