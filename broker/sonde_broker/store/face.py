"""The history's face towards the core: takes `Keep` and `AskStore`, tells `Committed`, `StoreAnswered`, `StoreChanged`."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sonde_broker.relay_io import AskStore, Happening, Keep, StoreAnswered
from sonde_broker.store.engine import read_url
from sonde_broker.store.inbox import Inbox
from sonde_broker.store.readers import THREADS, Readers
from sonde_broker.store.retention import DAY
from sonde_broker.store.scribe import FAREWELL, Scribe
from sonde_wire import Code, Failure, Reason

_MORE = 0.5
"""Seconds beyond the farewell until threads that hang are left alone; they are daemons."""


class Store:
    """`async with Store(...)`. Three threads live as long: `history: writer` and two of `history: reader`. All of `tell` happens in the
    event loop, never from within a call of `keep` or `ask`, which do not block. When it ends, what waits is stored within two seconds.

    Raises `StoreFailed` when the URL cannot be read; whatever else is wrong is told by `StoreChanged`.
    """

    def __init__(
        self, url: str, tell: Callable[[Happening], None], *, days: float = 7.0, size: int = 2**30
    ) -> None:
        self._tell = tell
        self._inbox = Inbox()
        parsed = read_url(url)
        self._scribe = Scribe(parsed, self._inbox, self._told, kept=days * DAY, limit=size)
        self._readers = Readers(
            parsed,
            self._scribe.tried,
            lambda: self._scribe.database,
            lambda: self._scribe.condition.problem,
            self._told,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: list[threading.Thread] = []

    @property
    def stored(self) -> int:
        """Events that were stored since the start, those included that were there already."""
        return self._scribe.stored

    @property
    def dropped(self) -> int:
        """Events that found no room in the queue; their sidecars send them again."""
        return self._inbox.dropped

    @property
    def waiting_bytes(self) -> int:
        return self._inbox.bytes

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._threads = [threading.Thread(target=self._scribe.run, name="history: writer", daemon=True)]
        self._threads += [
            threading.Thread(target=self._readers.run, name="history: reader", daemon=True)
            for _ in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._inbox.close()
        self._readers.close()
        await asyncio.to_thread(self._join)

    def keep(self, keep: Keep) -> None:
        self._inbox.put(keep)

    def ask(self, question: AskStore) -> None:
        if not self._readers.ask(question):
            refused = Failure(
                code=Code.RESOURCE_EXHAUSTED,
                reason=Reason.TOO_MANY,
                message="too many questions to the history wait already: ask again in a moment",
            )
            self._told(StoreAnswered(question.number, refused))

    def _told(self, happening: Happening) -> None:
        """From any thread."""
        assert self._loop is not None  # noqa: S101 - nothing runs before it is entered
        with contextlib.suppress(RuntimeError):  # the loop has been closed over a thread that hung
            self._loop.call_soon_threadsafe(self._tell, happening)

    def _join(self) -> None:
        until = time.monotonic() + FAREWELL + _MORE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
