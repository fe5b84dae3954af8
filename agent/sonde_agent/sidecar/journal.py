"""Every event of one process, numbered, kept for a while, handed on in batches. Pure; no I/O, no clock.

Numbers start at 1 for each boot and have no holes; what the ring had to let go of is a hole that the reader of
the stream sees (`EventBatch.first`). The ring is bounded by count and by bytes, and drops its oldest.

    append -> ring -> take (in order, each event once) -> EventBatch

A sidecar that is killed cannot tell its successor the last number. So numbers are set aside in blocks, the tap is
told of each block before it is used, and the successor begins `after` it: no number is given twice, and the jump
is a hole that readers see, which it may well be.
"""

from collections import deque
from typing import Any

from msgspec import Raw

from sonde_wire import bus, codec

MOST_EVENTS = 10_000
MOST_BYTES = 8 * 1024 * 1024
BLOCK = 256
"""Numbers set aside at a time: the tap is woken for each block."""
BATCH_EVENTS = 512
BATCH_BYTES = 256 * 1024


class Journal:
    def __init__(
        self,
        process: str,
        boot: str,
        *,
        after: int = 0,
        most_events: int = MOST_EVENTS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._process = process
        self._boot = boot
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._ring: deque[bytes] = deque()
        self._bytes = 0
        self._last = after
        self._taken = after
        self.set_aside = after + BLOCK
        """The highest number that may be given before `reserve` is called again."""

    @property
    def last(self) -> int:
        """Number of the newest event; 0 before the first."""
        return self._last

    @property
    def waiting(self) -> bool:
        return self._taken < self._last

    def reserve(self) -> bool:
        """To be called before `append`: whether `set_aside` has grown for it."""
        if self._last < self.set_aside:
            return False
        self.set_aside = self._last + BLOCK
        return True

    def append(
        self,
        kind: type[bus.Event],
        time: float,
        *,
        session: str | None = None,
        cause: str | None = None,
        **fields: Any,
    ) -> int:
        """The number that the event got."""
        self._last += 1
        event = kind(
            process=self._process,
            cause=cause,
            boot=self._boot,
            seq=self._last,
            time=time,
            session=session,
            **fields,
        )
        line = codec.encode(event)
        self._ring.append(line)
        self._bytes += len(line)
        while len(self._ring) > self._most_events or (self._bytes > self._most_bytes and len(self._ring) > 1):
            self._bytes -= len(self._ring.popleft())
        return self._last

    def take(self) -> bus.EventBatch | None:
        """The next events that were not taken yet, as many as one message may carry; None when there are none."""
        oldest = self._last - len(self._ring) + 1
        first = max(self._taken + 1, oldest)
        if first > self._last:
            return None
        events: list[Raw] = []
        size = 0
        for index in range(first - oldest, len(self._ring)):
            line = self._ring[index]
            if events and (size + len(line) > BATCH_BYTES or len(events) >= BATCH_EVENTS):
                break
            events.append(Raw(line))
            size += len(line)
        self._taken = first + len(events) - 1
        return bus.EventBatch(
            process=self._process, boot=self._boot, first=first, last=self._taken, events=tuple(events)
        )

    def again_from(self, seq: int) -> None:
        """The events from `seq` on were not delivered: take them again."""
        self._taken = min(self._taken, max(0, seq - 1))
