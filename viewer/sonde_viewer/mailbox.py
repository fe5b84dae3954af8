"""A bounded queue with one reader: when it is full the oldest goes, and it counts what went."""

import asyncio
from collections import deque
from typing import Generic, Self, TypeVar

from sonde_viewer.errors import ViewerError

T = TypeVar("T")
LIMIT = 10_000
"""Items that wait for their reader."""


class Mailbox(Generic[T]):
    """Iterate over it. It ends after `close`, and raises after `fail`, once what had arrived is read."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.lost = 0
        self._limit = limit
        self._items: deque[T] = deque()
        self._arrived = asyncio.Event()
        self._end: ViewerError | StopAsyncIteration | None = None

    def put(self, item: T) -> None:
        if self._end is not None:
            return
        if len(self._items) >= self._limit:
            self._items.popleft()
            self.lost += 1
        self._items.append(item)
        self._arrived.set()

    def miss(self, count: int) -> None:
        """Count what was lost before it came here."""
        self.lost += count

    def close(self) -> None:
        self._finish(StopAsyncIteration())

    def fail(self, error: ViewerError) -> None:
        self._finish(error)

    def _finish(self, end: ViewerError | StopAsyncIteration) -> None:
        if self._end is None:
            self._end = end
            self._arrived.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._end is not None:
                raise self._end.with_traceback(None)  # it may be raised often, and would grow each time
            self._arrived.clear()
            await self._arrived.wait()
        return self._items.popleft()
