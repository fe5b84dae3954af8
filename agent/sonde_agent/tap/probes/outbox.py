"""What probes brought and nobody has fetched yet. Bounded by number and size: what comes when it is full is lost, and
counted.

`put` is called in any thread, at any moment, also in the midst of another `put`, and waits for nothing.
"""

from collections import deque
from itertools import count
from typing import Any

MOST = 1000
MOST_BYTES = 8 * 1024 * 1024
MOST_AT_ONCE = 4 * 1024 * 1024
"""Bytes, as the events were estimated: half of a line of the link."""


class Outbox:
    def __init__(self) -> None:
        self._waiting: deque[tuple[dict[str, Any], int]] = deque()
        self._bytes = 0
        self._lost = count()
        self.lost = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, event: dict[str, Any], size: int) -> bool:
        """Whether it is the first that waits."""
        if len(self._waiting) >= MOST or self._bytes + size > MOST_BYTES:
            self.lost = next(self._lost) + 1
            return False
        self._bytes += size
        self._waiting.append((event, size))
        return len(self._waiting) == 1

    def take(self) -> list[dict[str, Any]]:
        """As many as may be sent at once; by one thread at a time."""
        taken: list[dict[str, Any]] = []
        size = 0
        while self._waiting and (not taken or size + self._waiting[0][1] <= MOST_AT_ONCE):
            event, each = self._waiting.popleft()
            taken.append(event)
            size += each
        self._bytes = self._bytes - size if self._waiting else 0
        return taken

    def lose(self, number: int) -> None:
        """What was taken did not arrive."""
        for _ in range(number):
            self.lost = next(self._lost) + 1
