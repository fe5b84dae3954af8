"""The file of a SQLite history: private, ours, and set aside when it is damaged.

Only a file that is ours goes aside. What is not a database, or is another program's, is left alone, whatever the
broker was told: it may be a mistake in a path.
"""

import logging
import os
import time
from contextlib import suppress
from enum import Enum
from pathlib import Path

from sonde_broker.store.failures import Cure, StoreFailed
from sonde_broker.store.schema import APPLICATION

logger = logging.getLogger(__name__)

_MAGIC = b"SQLite format 3\0"
_APPLICATION_AT = 68  # https://www.sqlite.org/fileformat2.html#application_id
_HEADER = 100


class Kind(Enum):
    EMPTY = "empty"
    OURS = "ours"
    BLANK = "blank"
    """Zeros where a header should be: what a power cut leaves."""
    OTHER = "other"


def kind(path: Path) -> Kind:
    """Raises OSError."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except FileNotFoundError:
        return Kind.EMPTY
    if not header:
        return Kind.EMPTY
    if not any(header):
        return Kind.BLANK
    application = int.from_bytes(header[_APPLICATION_AT : _APPLICATION_AT + 4], "big")
    if not header.startswith(_MAGIC):
        return Kind.OTHER
    if application == APPLICATION or (application == 0 and header[28:32] == b"\0\0\0\1"):
        return Kind.OURS  # or a database of one page in which nothing is yet
    return Kind.OTHER


def prepare(path: Path) -> bool:
    """Before it is opened: makes it for the user alone. True: it was not closed in an orderly way. Raises OSError, `StoreFailed`."""
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    match kind(path):
        case Kind.OTHER:
            raise not_ours()
        case Kind.BLANK:
            set_aside(path)
        case Kind.EMPTY | Kind.OURS:
            pass
    # SQLite gives its other files the mode of this one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def not_ours() -> StoreFailed:
    return StoreFailed(
        "the file that is named for the history is something else: give --history another path",
        Cure.REOPEN,
        "not a history of Sonde's",
    )


def set_aside(path: Path) -> None:
    """It and what belongs to it, under a name that says when; for whoever wants to save something of it."""
    aside = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
    path.replace(aside)
    for ending in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).replace(aside.with_name(aside.name + ending))
    logger.error(
        "the history %s was damaged and is now %s; a new one is begun, and what the old one had is not shown any more",
        path,
        aside.name,
    )
