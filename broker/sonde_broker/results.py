"""What probes brought of late: the newest of each, in memory, to be read again. Pure.

Bounded by count for each probe and by bytes in all; the oldest goes first. Events are kept as the bytes that they
came in. Whoever asks gets those of the processes that it sees, which is for the caller to say.
"""

from collections import deque
from collections.abc import Callable

from msgspec import Raw, Struct

from sonde_wire import Address

MOST_EACH = 200
MOST_BYTES = 64 * 1024 * 1024
_OVERHEAD = 512
"""Bytes that one costs besides its own."""
MOST_PROBES = 2000


class Result(Struct, frozen=True):
    probe: str
    process: Address
    event: bytes
    snapshot: str | None = None
    """Its id, when it is a snapshot."""

    @property
    def cost(self) -> int:
        return len(self.event) + _OVERHEAD


class Results:
    def __init__(self, *, most_each: int = MOST_EACH, most_bytes: int = MOST_BYTES) -> None:
        self._most_each = most_each
        self._most_bytes = most_bytes
        self._all: dict[int, Result] = {}
        """By a number that grows: the first is the oldest."""
        self._of_probe: dict[str, deque[int]] = {}
        self._snapshots: dict[str, int] = {}
        self._let_go: set[str] = set()
        """Probes of which not all is here any more."""
        self._bytes = 0
        self._last = 0

    def add(self, result: Result) -> None:
        self._last += 1
        self._all[self._last] = result
        self._bytes += result.cost
        self._of_probe.setdefault(result.probe, deque()).append(self._last)
        if result.snapshot is not None:
            self._snapshots[result.snapshot] = self._last
        if len(self._of_probe[result.probe]) > self._most_each:
            self._drop(self._of_probe[result.probe][0])
        while self._bytes > self._most_bytes or len(self._of_probe) > MOST_PROBES:
            self._drop(next(iter(self._all)))

    def of_probe(
        self, probe: str, limit: int, sees: Callable[[Address], bool]
    ) -> tuple[tuple[Raw, ...], bool]:
        """The newest, the newest last; and whether there were more."""
        seen = [each for number in self._of_probe.get(probe, ()) if sees((each := self._all[number]).process)]
        more = len(seen) > limit or probe in self._let_go
        return tuple(Raw(each.event) for each in seen[-limit:]), more

    def snapshot(self, snapshot: str) -> Result | None:
        number = self._snapshots.get(snapshot)
        return None if number is None else self._all[number]

    def _drop(self, number: int) -> None:
        """The oldest of its probe."""
        result = self._all.pop(number)
        self._bytes -= result.cost
        of_probe = self._of_probe[result.probe]
        of_probe.popleft()
        if len(self._let_go) < MOST_PROBES:
            self._let_go.add(result.probe)
        if not of_probe:
            del self._of_probe[result.probe]
        if result.snapshot is not None and self._snapshots.get(result.snapshot) == number:
            del self._snapshots[result.snapshot]
