"""Which processes have a probe that is for a few of many. Pure.

By rendezvous hashing of probe and process, so that several brokers choose alike without asking each other. Whoever
was chosen stays while it is there; only a place that has become free is given anew.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterable

from sonde_wire import Address


def choose(
    probe: str,
    wanted: int,
    before: Iterable[str],
    candidates: set[Address],
    may_come_back: Callable[[Address], bool],
) -> tuple[str, ...]:
    """Names of at most `wanted` candidates, sorted. `may_come_back` keeps one that was chosen before and is none."""
    kept = [each for name in before if (each := Address.parse(name)) in candidates or may_come_back(each)][
        :wanted
    ]
    free = wanted - len(kept)
    if free > 0:
        kept += heapq.nlargest(free, candidates.difference(kept), key=lambda each: _weight(probe, each))
    return tuple(sorted(str(each) for each in kept))


def _weight(probe: str, process: Address) -> bytes:
    return hashlib.blake2b(f"{probe} {process}".encode(), digest_size=8).digest()
