"""The writer's thread: opens the history, stores what comes, removes what is old, and tries again when something fails.

What could not be stored is kept and tried again with the next attempt; meanwhile the inbox fills, and then drops.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable

from msgspec import Struct
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from sonde_broker.relay_io import Committed, Happening, Keep
from sonde_broker.store.condition import Condition
from sonde_broker.store.engine import Database, engine, open_database, shown
from sonde_broker.store.failures import FULL, Cure, StoreFailed, explained
from sonde_broker.store.inbox import Inbox
from sonde_broker.store.retention import Retention
from sonde_broker.store.writing import Writer

logger = logging.getLogger(__name__)

FAREWELL = 2.0
"""Seconds for what waits when the broker stops."""
_IDLE = 10.0
_TIDY_LATER = 60.0
_AT_ONCE = 5
FAILURES = (SQLAlchemyError, sqlite3.Error, OSError, StoreFailed, ValueError, OverflowError)
"""What a database and its driver raise. A ValueError is about a row that it cannot take."""


class Open(Struct):
    database: Database
    engine: Engine
    connection: Connection
    writer: Writer
    retention: Retention
    file: tuple[int, int] | None
    """Device and number of the file, to notice that it was replaced."""

    def close(self) -> None:
        try:
            self.connection.close()
        finally:
            self.engine.dispose()


class Scribe:
    """`tell` is called in this thread. `database` is None until it was opened."""

    def __init__(
        self, url: URL, inbox: Inbox, tell: Callable[[Happening], None], *, kept: float, limit: int
    ) -> None:
        self.database: Database | None = None
        self.condition = Condition()
        self.tried = threading.Event()
        """It was opened, or could not be."""
        self.stored = 0
        """Events, also those that were there already."""
        self._url = url
        self._inbox = inbox
        self._tell = tell
        self._kept = kept
        self._limit = limit
        self._open: Open | None = None
        self._pending: list[Keep] = []
        self._examine = False
        self._conflicts = 0
        self._tidy_at = 0.0

    def run(self) -> None:
        """Until the inbox is closed and what was in it is stored, or time is up."""
        try:
            while not self._is_over():
                try:
                    self._work()
                except FAILURES as error:
                    self._failed(explained(error))
        except Exception:  # the thread's top: whatever it is, the relay goes on and people are told
            logger.exception("the history has stopped by a fault of ours: please report it")
            self._degrade(StoreFailed("the history has stopped: restart the broker"))
        finally:
            self._close()

    def _is_over(self) -> bool:
        closed = self._inbox.closed_for()
        if closed is None:
            return False
        return closed > FAREWELL or not (self._pending or self._inbox.bytes)

    def _work(self) -> None:
        now_open = self._open or self._begin()
        if not self._pending:
            self._pending = self._inbox.take(0.0 if self._tidy_at <= time.monotonic() else _IDLE)
        elif self.condition.problem == FULL:
            self._tidy(now_open)  # there may be room to make
        if self._was_replaced(now_open):
            now_open = self._begin()
        if self._pending:
            committed = now_open.writer.store(self._pending, time.time())
            self._done(now_open, committed)
        else:
            self._works(now_open)
        if self._tidy_at <= time.monotonic() and self._inbox.closed_for() is None:
            self._tidy(now_open)

    def _done(self, now_open: Open, committed: Committed) -> None:
        self.stored += sum(len(keep.batch.events) for keep in self._pending)
        self._pending = []
        self._conflicts = 0
        if self._url.get_backend_name() == "sqlite":
            self._tidy_at = min(self._tidy_at, time.monotonic())  # looking at its size costs nothing
        self._works(now_open)
        self._tell(committed)

    def _works(self, now_open: Open) -> None:
        if change := self.condition.worked(now_open.database.identity):
            logger.info("the history is %s", now_open.database.shown)
            self._tell(change)

    def _begin(self) -> Open:
        database = open_database(self._url, examine=self._examine)
        self._examine = False
        made = engine(self._url, "write")
        connection = made.connect()
        writer = Writer(connection, self._kept)
        retention = Retention(
            connection, database.path, kept=self._kept, limit=self._limit, removed_streams=writer.forget
        )
        self._open = Open(database, made, connection, writer, retention, _number(database))
        self.database = database
        self.tried.set()
        return self._open

    def _was_replaced(self, now_open: Open) -> bool:
        """SQLite would go on writing into a file that was removed. Closes it when it was."""
        if now_open.file == _number(now_open.database):
            return False
        logger.error("the file of the history %s was removed or replaced", now_open.database.shown)
        self._close()
        return True

    def _tidy(self, now_open: Open) -> None:
        """What cannot be removed now is removed later: that alone is no reason to say that the history does not work."""
        try:
            more = now_open.retention.step(time.time())
            self._tidy_at = time.monotonic() + (0.0 if more else _IDLE)
        except FAILURES as error:
            failed = explained(error)
            if failed.cure is Cure.REOPEN or failed.cure is Cure.EXAMINE:
                raise
            logger.warning("old events cannot be removed from the history yet: %s", failed.detail)
            self._tidy_at = time.monotonic() + _TIDY_LATER

    def _failed(self, failed: StoreFailed) -> None:
        if failed.cure is Cure.AGAIN and self._conflicts < _AT_ONCE:
            self._conflicts += 1
            return
        if failed.cure is Cure.REFUSE and self._pending:
            self._store_singly(failed)
            return
        if failed.cure in {Cure.REOPEN, Cure.EXAMINE}:
            self._examine = self._examine or failed.cure is Cure.EXAMINE
            self._close()
        if self._inbox.closed_for() is not None:
            self._pending = []
            logger.warning("the last events were not stored, and their sidecars keep them: %s", failed.detail)
            self._inbox.drop()
            return
        self._inbox.wait(self._degrade(failed))

    def _degrade(self, failed: StoreFailed) -> float:
        """Seconds to wait."""
        change, delay = self.condition.failed(failed.problem)
        self.tried.set()
        if change is not None:
            logger.error(
                "events are relayed and not stored: %s (%s: %s)", failed, shown(self._url), failed.detail
            )
            self._tell(change)
        return delay

    def _store_singly(self, failed: StoreFailed) -> None:
        """Some batch cannot be stored: all others are, and that one is left out."""
        refused, self._pending = self._pending, []
        if len(refused) == 1 or self._open is None:
            keep = refused[0]
            logger.error(
                "%s: events %d to %d cannot be stored: %s",
                keep.process,
                keep.batch.first,
                keep.batch.last,
                failed.detail,
            )
            return
        for place, keep in enumerate(refused):
            self._pending = [keep]
            try:
                self._done(self._open, self._open.writer.store([keep], time.time()))
            except FAILURES as error:
                again = explained(error)
                if again.cure is not Cure.REFUSE:
                    self._pending = refused[place:]
                self._failed(again)
                if self._pending or self._open is None:
                    return

    def _close(self) -> None:
        if self._open is None:
            return
        try:
            self._open.close()
        except FAILURES as error:
            logger.debug("closing the history: %s", error)
        self._open = None


def _number(database: Database) -> tuple[int, int] | None:
    if database.path is None:
        return None
    try:
        found = database.path.stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino
