"""What is due when: the relay's only notion of a timer. Pure; the face asks for `next` and comes back then."""

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Deadlines(Generic[Key]):
    """One deadline for each key. Setting it again moves it."""

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._serial = 0

    def set(self, key: Key, at: float) -> None:
        self._due[key] = at
        self._serial += 1
        heapq.heappush(self._heap, (at, self._serial, key))
        if len(self._heap) > 64 + 4 * len(self._due):
            self._heap = [(due, place, each) for place, (each, due) in enumerate(self._due.items())]
            heapq.heapify(self._heap)
            self._serial = len(self._heap)

    def begin(self, key: Key, at: float) -> None:
        """Sets it unless it is set already."""
        if key not in self._due:
            self.set(key, at)

    def clear(self, key: Key) -> None:
        self._due.pop(key, None)

    def next(self) -> float | None:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # cleared or moved since
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> list[Key]:
        due: list[Key] = []
        while (at := self.next()) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            del self._due[key]
            due.append(key)
        return due
