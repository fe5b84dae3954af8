"""What went wrong with the database, as a sentence that says what to do, and what helps.

Viewers get the sentence. It never has the text of an exception, a path or a URL: those are for the log.
"""

import sqlite3
from enum import Enum

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError

from sonde_broker.errors import BrokerError


class Cure(Enum):
    WAIT = "wait"
    """The line is good; the same may work later."""
    REOPEN = "reopen"
    AGAIN = "again"
    """Two brokers were in each other's way: at once."""
    EXAMINE = "examine"
    """It may be damaged: to be opened with a thorough look."""
    REFUSE = "refuse"
    """These rows will never be taken."""


class StoreFailed(BrokerError):
    """`problem` is for people, `detail` for the log."""

    def __init__(self, problem: str, cure: Cure = Cure.REOPEN, detail: str = "") -> None:
        super().__init__(problem, cure, detail)
        self.problem = problem
        self.cure = cure
        self.detail = detail

    def __str__(self) -> str:
        return self.problem


FULL = "the disk of the history is full: make room there, or give the history less with --history-size"
_READ_ONLY = "the history cannot be written: make its file and directory writable for the broker"
_LOCKED = (
    "another program holds the history locked: end that program, or give this broker a history of its own"
)
_CANNOT_OPEN = (
    "the file of the history cannot be opened: see whether its directory is there and belongs to the broker"
)
_DAMAGED = "the file of the history is damaged"
_DISK = "the disk of the history fails: see the system's log"
_SLOW = "the history took too long: ask for less, by a selector, a time or a kind"
_UNKNOWN = "the history does not work: the broker's log says why"
_GONE = "the database of the history does not answer: see whether it runs and can be reached"

_OF_SQLITE = {
    "SQLITE_FULL": (FULL, Cure.WAIT),
    "SQLITE_READONLY": (_READ_ONLY, Cure.REOPEN),
    "SQLITE_PERM": (_READ_ONLY, Cure.REOPEN),
    "SQLITE_BUSY": (_LOCKED, Cure.WAIT),
    "SQLITE_LOCKED": (_LOCKED, Cure.WAIT),
    "SQLITE_CANTOPEN": (_CANNOT_OPEN, Cure.REOPEN),
    "SQLITE_CORRUPT": (_DAMAGED, Cure.EXAMINE),
    "SQLITE_NOTADB": (_DAMAGED, Cure.EXAMINE),
    "SQLITE_IOERR": (_DISK, Cure.REOPEN),
    "SQLITE_INTERRUPT": (_SLOW, Cure.WAIT),
    "SQLITE_TOOBIG": (_UNKNOWN, Cure.REFUSE),
    "SQLITE_MISMATCH": (_UNKNOWN, Cure.REFUSE),
    "SQLITE_CONSTRAINT": (_UNKNOWN, Cure.REFUSE),
}
# https://www.postgresql.org/docs/current/errcodes-appendix.html; the longest beginning counts.
_OF_POSTGRESQL = {
    "08": (_GONE, Cure.REOPEN),
    "57P": (_GONE, Cure.REOPEN),
    "57014": (_SLOW, Cure.WAIT),
    "40": ("two brokers were in each other's way", Cure.AGAIN),
    "55P03": (_LOCKED, Cure.WAIT),
    "53100": (FULL, Cure.WAIT),
    "53300": (
        "the database of the history has no connection left: raise max_connections there",
        Cure.REOPEN,
    ),
    "53": ("the database of the history is short of memory", Cure.REOPEN),
    "25006": ("the database of the history is read-only: give the URL of the primary server", Cure.REOPEN),
    "28": (
        "the database refuses the broker's user: check its name, and its password in SONDE_HISTORY_PASSWORD_FILE",
        Cure.REOPEN,
    ),
    "3D": ("the database of the history is not there: make it with createdb", Cure.REOPEN),
    "42501": (
        "the broker's user may not write there: make it the owner of the database, or grant it CREATE on the schema",
        Cure.REOPEN,
    ),
    "22": (_UNKNOWN, Cure.REFUSE),
    "23": (_UNKNOWN, Cure.REFUSE),
}


def explained(error: Exception) -> StoreFailed:
    """Of whatever a database, its driver or the disk has raised."""
    if isinstance(error, StoreFailed):
        return error
    detail = f"{type(error).__name__}: {error}"
    if isinstance(error, DBAPIError):
        cause = error.orig
        detail = f"{type(cause).__name__}: {cause}"  # without the statement and its parameters
        if isinstance(cause, sqlite3.Error):
            return _by_sqlite(cause, detail)
        return _by_postgresql(cause, detail)
    if isinstance(error, StatementError) or not isinstance(error, OSError | SQLAlchemyError):
        return StoreFailed(_UNKNOWN, Cure.REFUSE, detail)
    if isinstance(error, PermissionError):
        return StoreFailed(_READ_ONLY, Cure.REOPEN, detail)
    return StoreFailed(_CANNOT_OPEN if isinstance(error, OSError) else _UNKNOWN, Cure.REOPEN, detail)


def _by_sqlite(cause: sqlite3.Error, detail: str) -> StoreFailed:
    named = getattr(cause, "sqlite_errorname", "")  # absent where the module itself complains
    primary = "_".join(named.split("_")[:2])
    if not named and isinstance(cause, sqlite3.DataError | sqlite3.InterfaceError | sqlite3.ProgrammingError):
        return StoreFailed(_UNKNOWN, Cure.REFUSE, detail)
    problem, cure = _OF_SQLITE.get(primary, (_UNKNOWN, Cure.REOPEN))
    return StoreFailed(problem, cure, detail)


def _by_postgresql(cause: BaseException | None, detail: str) -> StoreFailed:
    state = getattr(cause, "sqlstate", None) or ""
    for length in (5, 3, 2):
        if (known := _OF_POSTGRESQL.get(state[:length])) is not None and state:
            return StoreFailed(*known, detail)
    if state:
        return StoreFailed(_UNKNOWN, Cure.REOPEN, detail)
    lowered = detail.lower()  # a connection that was refused has no code
    for words, code in (
        ("password authentication failed", "28"),
        ("no password supplied", "28"),
        ("does not exist", "3D"),
        ("too many clients", "53300"),
        ("permission denied", "42501"),
    ):
        if words in lowered:
            return StoreFailed(*_OF_POSTGRESQL[code], detail)
    return StoreFailed(_GONE, Cure.REOPEN, detail)
