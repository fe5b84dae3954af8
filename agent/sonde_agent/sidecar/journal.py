"""Every event of one process, numbered, kept for a while, handed on in batches. Pure; no I/O, no clock.

Numbers start at 1 for each boot and have no holes; what the ring had to let go of is a hole that the reader of
the stream sees (`EventBatch.first`, and `oldest`). The ring is bounded by count and by bytes, and drops its oldest. What
a history has is kept only in part: the newest, for viewers that come late.

    append -> ring -> take (in order, each event once) -> EventBatch
                   -> again, read (whatever is still there)

A sidecar that is killed cannot tell its successor the last number. So numbers are set aside in blocks, the tap is
told of each block before it is used, and the successor begins `after` it: no number is given twice, and the jump
is a hole that readers see, which it may well be.
"""

from collections import deque
from itertools import islice
from typing import Any

from msgspec import Raw

from sonde_wire import bus, codec

MOST_EVENTS = 10_000
MOST_BYTES = 8 * 1024 * 1024
TAIL_EVENTS = 1_000
TAIL_BYTES = 1024 * 1024
"""What is kept of the events that a history has."""
ANSWER_BYTES = 512 * 1024
"""Of events in one answer."""
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
        self._stored: int | None = None
        self.lost = 0
        """Events that the ring had to let go of before a history had them; 0 where there is none."""
        self.set_aside = after + BLOCK
        """The highest number that may be given before `reserve` is called again."""

    @property
    def last(self) -> int:
        """Number of the newest event; 0 before the first."""
        return self._last

    @property
    def oldest(self) -> int:
        """Number of the oldest event that is still here; of the next one when there is none."""
        return self._last - len(self._ring) + 1

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
            self.lost += self._stored is not None and self.oldest > self._stored
            self._let_go()
        return self._last

    def stored(self, upto: int) -> None:
        """A history has everything up to there. A lower number than before: it is another history."""
        self._stored = upto
        while self.oldest <= min(upto, self._taken) and (
            len(self._ring) > TAIL_EVENTS or self._bytes > TAIL_BYTES
        ):
            self._let_go()

    def _let_go(self) -> None:
        self._bytes -= len(self._ring.popleft())

    def take(self) -> bus.EventBatch | None:
        """The next events that were not taken yet, as many as one message may carry; None when there are none."""
        if self._taken >= self._last:
            return None
        batch = self.again(self._taken + 1)
        self._taken = batch.last
        return batch

    def again(self, first: int) -> bus.EventBatch:
        """As many as one message may carry, from `first` on, which is not newer than the newest, or from the oldest that
        is still here."""
        first = max(first, self.oldest)
        events = self._from(first, self._last, BATCH_BYTES, BATCH_EVENTS)
        return bus.EventBatch(
            process=self._process,
            boot=self._boot,
            first=first,
            last=first + len(events) - 1,
            events=events,
            oldest=self.oldest,
        )

    def read(self, after: int, upto: int) -> bus.EventsRead:
        """As many as one answer may carry."""
        first = max(after + 1, self.oldest)
        events = self._from(first, min(upto, self._last), ANSWER_BYTES, self._most_events)
        return bus.EventsRead(boot=self._boot, oldest=self.oldest, last=self._last, events=events)

    def _from(self, first: int, last: int, most_bytes: int, most: int) -> tuple[Raw, ...]:
        """One at least, however large, where there is one."""
        events: list[Raw] = []
        size = 0
        begin = first - self.oldest
        end = max(begin, last - self.oldest + 1)
        for line in islice(self._ring, begin, min(begin + most, end)):
            size += len(line)
            if events and size > most_bytes:
                break
            events.append(Raw(line))
        return tuple(events)

    def again_from(self, seq: int) -> None:
        """The events from `seq` on were not delivered: take them again."""
        self._taken = min(self._taken, max(0, seq - 1))
