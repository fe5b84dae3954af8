"""How late the program's event loops are: each is asked once a second, and nobody waits for the answer.

What is put to a loop is one function in C. A loop that has not answered is asked nothing more; it is at least as
late as the question is old.
"""

from collections import deque
from time import monotonic
from typing import Any
from weakref import ref

from sonde_agent.tap import loops


class Lag:
    """`read` once a second."""

    def __init__(self) -> None:
        self._asked: list[tuple[ref[Any], float, deque[Any]]] = []
        """The loop, when it was asked, and where the time of its answer will be."""

    def read(self) -> float | None:
        """Seconds, of the slowest loop that runs; None when none has been asked, or can be."""
        running = loops.running()
        lags: list[float] = []
        waits: list[tuple[ref[Any], float, deque[Any]]] = []
        for loop, at, seen in self._asked:
            if seen:
                lags.append(max(0.0, seen[0] - at))
            elif any(loop() is each for each in running):
                lags.append(monotonic() - at)
                waits.append((loop, at, seen))
        for each in running:
            if any(loop() is each for loop, _, _ in waits):
                continue
            at = monotonic()
            if (asked := loops.ask(each, monotonic)) is not None:
                waits.append((ref(each), at, asked))
        self._asked = waits
        return max(lags, default=None)
