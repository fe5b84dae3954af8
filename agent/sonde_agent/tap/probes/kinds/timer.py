"""A timer: seconds from a place to a line of the same call, or to the call's end.

It is of the clock: what a coroutine or generator waits meanwhile counts. Each call has its own beginning, so recursion,
threads and tasks do not mix; one that comes to the beginning again begins anew.
"""

from time import perf_counter_ns
from types import FrameType
from typing import Any

from sonde_agent.tap.probes.kinds.measures import Numbers

MOST_CALLS = 10_000
"""That have begun and not ended; of more than these the oldest are forgotten."""


class Timer:
    """Calls are told apart by the ids of their frames, which are alive until the end that is heard of, too. Frames are not
    kept, because what is in them would be."""

    is_heavy = False

    def __init__(self) -> None:
        self._began: dict[int, int] = {}
        self._numbers = Numbers(with_sizes=True)

    def take(self, frame: FrameType, number: int) -> bool:
        if len(self._began) >= MOST_CALLS:
            self._began.pop(next(iter(self._began)), None)
        self._began[id(frame)] = perf_counter_ns()
        return True

    def end(self, frame: FrameType) -> None:
        now = perf_counter_ns()
        began = self._began.pop(id(frame), None)
        if began is not None:
            self._numbers.add((now - began) / 1e9)

    def forget(self, frame: FrameType) -> None:
        """Its call ended before it came to the line."""
        self._began.pop(id(frame), None)

    def clear(self) -> None:
        """Ends are not heard of for a while."""
        self._began.clear()

    def measured(self) -> dict[str, Any] | None:
        return self._numbers.read()
