"""What the numbers of events tell: which are new, how far somebody has got, and in which order they belong. Pure.

A process numbers its events from 1 for each boot. Some numbers are for others only, so that a number that is left
out means nothing by itself: what is missing is told by a `gap`.
"""

import heapq
from collections.abc import Iterable, Iterator

from msgspec import Struct

from sonde_wire import bus, rpc
from sonde_wire.history import Cursor

_REMEMBERED = 20_000
"""Processes."""
_BOOTS = 8
"""Of one process: what is older cannot be on its way any more."""

Numbered = bus.AnyEvent | rpc.Gap


class Numbers:
    """Subscriptions that overlap bring an event more than once, and whoever comes back is told again what it missed."""

    def __init__(self, cursors: Iterable[Cursor] = ()) -> None:
        self._last: dict[str, dict[str, int]] = {}
        for cursor in cursors:
            self._last[cursor.process] = {cursor.boot: cursor.seq}

    def is_new(self, event: bus.Event) -> bool:
        """Also remembers it."""
        return self._advance(event.process, event.boot, event.seq)

    def skip(self, gap: rpc.Gap) -> None:
        """Goes on behind it."""
        self._advance(gap.process, gap.boot, gap.last)

    def missed(self, gap: rpc.Gap) -> int:
        """How many of its events are not here already. They may come yet, and are new then."""
        return max(0, gap.last - max(gap.first - 1, self.last(gap.process, gap.boot)))

    def last(self, process: str, boot: str) -> int:
        return self._last.get(process, {}).get(boot, 0)

    def cursors(self) -> tuple[Cursor, ...]:
        """One of each process, of the boot that it told of last; the process that was heard last is the last."""
        return tuple(
            Cursor(process=process, boot=boot, seq=boots[boot])
            for process, boots in self._last.items()
            for boot in (next(reversed(boots)),)
        )

    def _advance(self, process: str, boot: str, seq: int) -> bool:
        boots = self._last.pop(process, {})
        before = boots.pop(boot, 0)
        boots[boot] = max(before, seq)
        if len(boots) > _BOOTS:
            del boots[next(iter(boots))]
        self._last[process] = boots
        if len(self._last) > _REMEMBERED:  # the one that has been silent for longest
            del self._last[next(iter(self._last))]
        return seq > before


def in_order(items: Iterable[Numbered]) -> Iterator[Numbered]:
    """By the number within each boot, and beside that by the time."""
    runs: dict[tuple[str, str], list[Numbered]] = {}
    for item in items:
        runs.setdefault((item.process, item.boot), []).append(item)
    merged = heapq.merge(*(_timed(run) for run in runs.values()), key=lambda timed: timed[0])
    return (item for _, item in merged)


def _timed(run: list[Numbered]) -> Iterator[tuple[float, Numbered]]:
    """A gap stands where the event before it does."""
    time = 0.0
    for item in sorted(run, key=lambda each: each.first if isinstance(each, rpc.Gap) else each.seq):
        if not isinstance(item, rpc.Gap):
            time = item.time
        yield time, item


class Hole(Struct, frozen=True):
    first: int
    last: int


def holes(numbers: Iterable[int], first: int, last: int) -> list[Hole]:
    """Runs of what is not there."""
    found: list[Hole] = []
    expected = first
    for number in sorted({each for each in numbers if first <= each <= last} | {last + 1}):
        if number > expected:
            found.append(Hole(expected, number - 1))
        expected = number + 1
    return found
