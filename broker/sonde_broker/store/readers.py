"""The readers' threads: each answers one question at a time, on a connection of its own."""

import logging
import queue
import threading
from collections.abc import Callable

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from sonde_broker.queries import Answer, Query
from sonde_broker.relay_io import AskStore, StoreAnswered
from sonde_broker.store import reading
from sonde_broker.store.engine import MOST_TIME, Database, engine, limited
from sonde_broker.store.failures import Cure, StoreFailed, explained
from sonde_broker.store.scribe import FAILURES
from sonde_wire import Code, Failure, Reason, Refused

logger = logging.getLogger(__name__)

THREADS = 2
_OPENING = 2.0
"""Seconds that a question waits for a history that is just being opened."""
MOST_WAITING = 200
"""Questions; further ones are refused."""


class Readers:
    """`tried`: it was opened, or could not be. `database` gives what is open, or None; `problem` says why. `tell` is called in a
    reader's thread."""

    def __init__(
        self,
        url: URL,
        tried: threading.Event,
        database: Callable[[], Database | None],
        problem: Callable[[], str],
        tell: Callable[[StoreAnswered], None],
    ) -> None:
        self._url = url
        self._tried = tried
        self._database = database
        self._problem = problem
        self._tell = tell
        self._questions: queue.Queue[AskStore | None] = queue.Queue(MOST_WAITING)

    def ask(self, question: AskStore) -> bool:
        """False: too many wait."""
        try:
            self._questions.put_nowait(question)
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """What waits is answered by a refusal."""
        try:
            while True:
                waiting = self._questions.get_nowait()
                if waiting is not None:
                    self._tell(StoreAnswered(waiting.number, _failure("the broker stops: ask again")))
        except queue.Empty:
            pass
        for _ in range(THREADS):
            self._questions.put(None)

    def run(self) -> None:
        """In each thread."""
        line = _Line(self._url)
        try:
            while (question := self._questions.get()) is not None:
                self._tell(StoreAnswered(question.number, self._answered(line, question.query)))
        finally:
            line.close()

    def _answered(self, line: "_Line", query: Query) -> Answer | Failure:
        self._tried.wait(_OPENING)
        database = self._database()
        if database is None:
            return _failure(self._problem() or "the history is being opened: ask again")
        try:
            return line.ask(query, database.identity)
        except Refused as refused:
            return refused.failure
        except FAILURES as error:
            failed = explained(error)
            line.close()
            if failed.cure is Cure.REFUSE:
                logger.exception("a question to the history failed by a fault of ours: please report it")
            else:
                logger.warning("a question to the history failed: %s", failed.detail)
            return _failure(failed.problem, _code(failed))
        except Exception:  # the thread's top: whoever asked gets an answer, and the next one too
            line.close()
            logger.exception("a question to the history failed by a fault of ours: please report it")
            return _failure("the history could not answer: the broker's log says why", Code.INTERNAL)


class _Line:
    """A connection, made when it is needed."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._identity = ""

    def ask(self, query: Query, identity: str) -> Answer:
        if self._identity != identity:
            self.close()  # the history was begun anew
            self._identity = identity
        if self._connection is None:
            self._engine = engine(self._url, "read")
            self._connection = self._engine.connect()
        limited(self._connection, MOST_TIME)
        with self._connection.begin():
            return reading.answer(self._connection, query, identity)

    def close(self) -> None:
        connection, made = self._connection, self._engine
        self._connection = self._engine = None
        try:
            if connection is not None:
                connection.close()
            if made is not None:
                made.dispose()
        except FAILURES as error:
            logger.debug("closing a reader of the history: %s", error)


def _code(failed: StoreFailed) -> Code:
    return Code.DEADLINE_EXCEEDED if "took too long" in failed.problem else Code.UNAVAILABLE


def _failure(message: str, code: Code = Code.UNAVAILABLE) -> Failure:
    return Failure(code=code, reason=Reason.HISTORY_FAILED, message=message)
