"""Questions to the history, or to a process, that the core asks for somebody, until they are answered. Pure."""

from collections.abc import Callable
from typing import Generic, TypeVar

from sonde_broker.deadlines import Deadlines
from sonde_broker.relay_io import Effect, Instant

Reply = TypeVar("Reply")
Then = Callable[[Reply, Instant], list[Effect]]


class Asking(Generic[Reply]):
    """`late` is what somebody is told in place of an answer that does not come in time."""

    def __init__(self, late: Reply, within: float) -> None:
        self._late = late
        self._within = within
        self._last = 0
        self._then: dict[int, Then[Reply]] = {}
        self._deadlines: Deadlines[int] = Deadlines()

    def ask(self, then: Then[Reply], now: Instant) -> int:
        """The number of the question."""
        self._last += 1
        self._then[self._last] = then
        self._deadlines.set(self._last, now.steady + self._within)
        return self._last

    def answered(self, number: int, answer: Reply, now: Instant) -> list[Effect]:
        """Once; what comes too late is nobody's."""
        self._deadlines.clear(number)
        then = self._then.pop(number, None)
        return then(answer, now) if then is not None else []

    def deadline(self) -> float | None:
        return self._deadlines.next()

    def time_passed(self, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for number in self._deadlines.take_due(now.steady):
            effects += self.answered(number, self._late, now)
        return effects
