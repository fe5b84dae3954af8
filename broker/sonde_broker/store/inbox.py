"""Batches that wait to be written. The event loop puts, the writer's thread takes; neither ever holds it for long.

Bounded by bytes. What does not fit is dropped and counted: nothing says that it was stored, so its sidecar sends it again.
"""

import threading
import time
from collections import deque

from sonde_broker.relay_io import Keep

MOST_BYTES = 32 * 2**20
MOST_EVENTS = 5000
"""Of one transaction; one batch may have more."""
WINDOW = 0.25
"""Seconds from one transaction's beginning to the next's, at least, as long as there are fewer."""
_BESIDE = 200
"""Bytes of an event in memory beside its body."""


class Inbox:
    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.dropped = 0
        """Events."""
        self.bytes = 0
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[Keep, int]] = deque()
        self._events = 0
        self._changed = threading.Condition()
        self._taken_at = 0.0
        self._closed_at: float | None = None

    def put(self, keep: Keep) -> bool:
        size = sum(memoryview(event).nbytes for event in keep.batch.events) + _BESIDE * len(keep.batch.events)
        with self._changed:
            if self._closed_at is not None or self.bytes + size > self._most_bytes:
                self.dropped += len(keep.batch.events)
                return False
            self._waiting.append((keep, size))
            self.bytes += size
            self._events += len(keep.batch.events)
            if len(self._waiting) == 1 or self._events >= MOST_EVENTS:
                self._changed.notify()
            return True

    def take(self, timeout: float) -> list[Keep]:
        """What the next transaction gets; after a quiet time at once. Empty: nothing came in that time, or it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed_at is not None, timeout)
            full = self._taken_at + WINDOW - time.monotonic()
            if self._waiting and full > 0:
                self._changed.wait_for(
                    lambda: self._events >= MOST_EVENTS or self._closed_at is not None, full
                )
            self._taken_at = time.monotonic()
            taken: list[Keep] = []
            number = 0
            while self._waiting and (
                not taken or number + len(self._waiting[0][0].batch.events) <= MOST_EVENTS
            ):
                keep, size = self._waiting.popleft()
                taken.append(keep)
                number += len(keep.batch.events)
                self.bytes -= size
            self._events -= number
            return taken

    def close(self) -> None:
        """Nothing is taken in any more; what is there can be taken out."""
        with self._changed:
            self._closed_at = time.monotonic()
            self._changed.notify_all()

    def closed_for(self) -> float | None:
        """Seconds since it was closed."""
        return None if self._closed_at is None else time.monotonic() - self._closed_at

    def wait(self, seconds: float) -> None:
        """Or until it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed_at is not None, seconds)

    def drop(self) -> None:
        """All that waits."""
        with self._changed:
            self.dropped += self._events
            self._waiting.clear()
            self.bytes = self._events = 0
