"""Durations by their size: how many took about so long. Pure, and of a fixed size whatever it is told.

The buckets grow by a tenth each, as in DDSketch (Masson, Rim and Lee, VLDB 2019): what is read back is within
5 % of what was told, from 100 ns to 20 days. Durations are whole nanoseconds.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import ceil, log
from operator import add, sub
from typing import Self

BUCKETS = 320
_GROWTH = 1.1
_SHORTEST = 100
"""Nanoseconds. All that is shorter is in the first bucket: to measure takes as long by itself."""
_SCALE = 1 / log(_GROWTH)
_OFFSET = log(_SHORTEST) * _SCALE - 1
_LONGEST = _SHORTEST * _GROWTH ** (BUCKETS - 2)
_MIDDLES = tuple(_SHORTEST * _GROWTH ** (index - 0.5) for index in range(BUCKETS))
"""In the geometric sense, so that both ends of a bucket are equally far: by the square root of 1.1, 4.9 %."""


class Histogram:
    """A count for each bucket. `short` holds up to 2**32 of each, at half the memory."""

    __slots__ = ("counts",)

    def __init__(self, *, short: bool = False) -> None:
        code = "I" if short else "Q"
        self.counts = array(code, bytes(BUCKETS * array(code).itemsize))

    def add(self, counts: Sequence[int], first: int = 0) -> Self:
        """Those of another, beginning at its bucket `first`."""
        part = slice(first, first + len(counts))
        self.counts[part] = array(self.counts.typecode, map(add, self.counts[part], counts))
        return self

    def take_away(self, counts: Sequence[int], first: int = 0) -> None:
        """What was added before."""
        part = slice(first, first + len(counts))
        self.counts[part] = array(self.counts.typecode, map(sub, self.counts[part], counts))

    def trimmed(self) -> "tuple[array[int], int]":
        """Its counts without the empty buckets at both ends, and the bucket they begin at."""
        raw, size = self.counts.tobytes(), self.counts.itemsize
        first = (len(raw) - len(raw.lstrip(b"\0"))) // size
        end = -(-len(raw.rstrip(b"\0")) // size)
        return self.counts[first:end], first


def bucket_of(nanoseconds: int) -> int:
    if nanoseconds <= _SHORTEST:
        return 0
    return int(log(nanoseconds) * _SCALE - _OFFSET) if nanoseconds < _LONGEST else BUCKETS - 1


def quantiles(counts: Iterable[int], shares: Sequence[float]) -> list[float]:
    """For each share (0 to 1) the nanoseconds that so large a part of all did not exceed. There must be one."""
    sums = list(accumulate(counts))
    return [_MIDDLES[bisect_left(sums, max(1, ceil(share * sums[-1])))] for share in shares]
