"""Numbers by their size: how many were about so large. Pure, and of a bounded size whatever it is told.

The buckets grow by a tenth each, as in DDSketch (Masson, Rim and Lee, VLDB 2019), so that what is read back is within 5 %
of what was told, between 1e-12 and 1e15 on both sides of zero. `tap.histogram` is for durations alone; this is for
whatever an expression gives.
"""

from math import ceil, log

_SCALE = 1 / log(1.1)
_LEAST, _MOST = 1e-12, 1e15


class Sketch:
    """`add` is one step for other threads, but for two that begin a bucket at once: then one number is lost."""

    __slots__ = ("buckets",)

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}

    def add(self, value: float) -> None:
        size = value if value > 0 else -value
        if size < _LEAST:
            bucket = 0
        else:
            bucket = int(log(min(size, _MOST)) * _SCALE + 1000)
            if value < 0:
                bucket = -bucket
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def quantiles(self, *shares: float) -> list[float]:
        """For each share (0 to 1) what so large a part of all did not exceed. There must be one."""
        counts = sorted(self.buckets.copy().items())
        total = sum(number for _, number in counts)
        found = []
        for share in shares:
            left = max(1, ceil(share * total))
            for bucket, number in counts:
                left -= number
                if left <= 0:
                    found.append(_middle(bucket))
                    break
        return found


def _middle(bucket: int) -> float:
    if not bucket:
        return 0.0
    size: float = 1.1 ** (abs(bucket) - 1000 + 0.5)
    return size if bucket > 0 else -size
