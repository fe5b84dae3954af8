"""The newest events of each process that this broker is told of, in memory, for viewers that come back. Pure.

Bounded by bytes in all; the oldest batch goes first, whosever it is. What is kept of a boot has no hole: where one appears,
what was before it is let go.
"""

from collections import deque
from dataclasses import dataclass, field

from sonde_broker.relay_io import EventsSeen
from sonde_wire import Address

MOST_BYTES = 32 * 1024 * 1024
_OVERHEAD = 400
"""Bytes that an event costs besides its own."""


@dataclass
class _Kept:
    boot: str
    batches: deque[EventsSeen] = field(default_factory=deque)


class Recent:
    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._of: dict[Address, _Kept] = {}
        self._order: deque[EventsSeen] = deque()
        """All that count, the oldest first; those of a process that was forgotten go when it is their turn."""

    def add(self, seen: EventsSeen) -> None:
        """A batch that follows the last one, or begins anew."""
        kept = self._of.get(seen.process)
        if (
            kept is None
            or kept.boot != seen.batch.boot
            or kept.batches[-1].batch.last + 1 != seen.batch.first
        ):
            self.forget(seen.process)
            kept = self._of[seen.process] = _Kept(seen.batch.boot)
        kept.batches.append(seen)
        self._order.append(seen)
        self._bytes += _cost(seen)
        while self._bytes > self._most_bytes:
            self._drop_oldest()

    def forget(self, process: Address) -> None:
        self._of.pop(process, None)

    def forget_all(self) -> None:
        self._of.clear()
        self._order.clear()
        self._bytes = 0

    def span(self, process: Address, boot: str) -> tuple[int, int] | None:
        """The first and the last number that are here."""
        kept = self._of.get(process)
        if kept is None or kept.boot != boot:
            return None
        return kept.batches[0].batch.first, kept.batches[-1].batch.last

    def after(self, process: Address, boot: str, seq: int) -> list[EventsSeen]:
        """The batches with anything later than `seq`; the first may begin before it."""
        kept = self._of.get(process)
        if kept is None or kept.boot != boot:
            return []
        return [each for each in kept.batches if each.batch.last > seq]

    def _drop_oldest(self) -> None:
        oldest = self._order.popleft()
        self._bytes -= _cost(oldest)
        kept = self._of.get(oldest.process)
        if kept is not None and kept.batches[0] is oldest:
            kept.batches.popleft()
            if not kept.batches:
                del self._of[oldest.process]


def _cost(seen: EventsSeen) -> int:
    return sum(map(len, seen.batch.events)) + _OVERHEAD * len(seen.batch.events)
