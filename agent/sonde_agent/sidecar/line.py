"""The line to pydevd: there while somebody debugs, and made again when it is lost under their hands. Pure.

    DETACHED --first session--> CONNECTING --connected--> ATTACHED --last session closed--> LEAVING
       ^                          ^  |  ^                    |                                 |
       +------ failed (first) ----|--+  |                    +--lost, or wedged (again)--------+
       |                          |     |                                                      |
       |          PAUSING --------|-----+                                                      |
       |             ^  (time)    +------- gone, while somebody waits for it ------------------+
       |             +------ failed (again), or gone (again) ----------------------------------+
       +------ gone, and nobody waits ---------------------------------------------------------+
    any --the process ended, or the sidecar leaves--> ENDED, for good

`again` is True from a loss until the next `connected`: the sessions are kept, and their breakpoints are set again.
A loss and each attempt that fails are troubles. After `MOST_TROUBLES` within `TROUBLED_FOR` seconds it is given
up. The pause before an attempt grows with the troubles.
"""

from collections import deque
from enum import Enum

MOST_TROUBLES = 3
TROUBLED_FOR = 60.0
PAUSES = (0.0, 0.5, 2.0)
"""Seconds before the attempt after the first, second, third trouble."""


class State(Enum):
    DETACHED = "detached"
    CONNECTING = "connecting"
    ATTACHED = "attached"
    LEAVING = "leaving"
    PAUSING = "pausing"
    ENDED = "ended"


class Line:
    def __init__(self) -> None:
        self.state = State.DETACHED
        self.again = False
        self._troubles: deque[float] = deque(maxlen=MOST_TROUBLES + 1)
        self._until: float | None = None

    @property
    def attached(self) -> bool:
        return self.state is State.ATTACHED

    @property
    def next_deadline(self) -> float | None:
        return self._until if self.state is State.PAUSING else None

    def wanted(self) -> bool:
        """By a session: whether to connect now."""
        if self.state is not State.DETACHED:
            return False
        self.state = State.CONNECTING
        return True

    def unwanted(self) -> None:
        """By the last session's end, while there is no line."""
        self.again = False
        if self.state is State.PAUSING:
            self.state = State.DETACHED

    def connected(self) -> bool:
        """Whether it is there again, for sessions that were kept."""
        self.state = State.ATTACHED
        again, self.again = self.again, False
        return again

    def failed(self, now: float) -> bool:
        """An attempt: whether there will be another."""
        if not self.again or self._is_too_much(now):
            self.state = State.DETACHED
            self.again = False
            return False
        self._pause(now)
        return True

    def left(self) -> None:
        """It is being dropped, because nobody debugs any more."""
        self.state = State.LEAVING

    def lost(self, now: float) -> bool:
        """It is being dropped, although somebody debugs: whether it will be made again."""
        self.state = State.LEAVING
        self.again = not self._is_too_much(now)
        return self.again

    def gone(self, wanted: bool, now: float) -> bool:
        """What is left of it is cleaned up: whether to connect now."""
        if self.state is not State.LEAVING:
            return False
        if not wanted:
            self.state = State.DETACHED
            self.again = False
            return False
        if self.again:
            self._pause(now)
            return self.due(now)
        self.state = State.CONNECTING
        return True

    def due(self, now: float) -> bool:
        """Whether a pause is over, and it is to be connected now."""
        if self.state is not State.PAUSING or self._until is None or now < self._until:
            return False
        self.state = State.CONNECTING
        return True

    def end(self) -> None:
        self.state = State.ENDED
        self.again = False

    def _is_too_much(self, now: float) -> bool:
        self._troubles.append(now)
        recent = [each for each in self._troubles if now - each < TROUBLED_FOR]
        return len(recent) > MOST_TROUBLES

    def _pause(self, now: float) -> None:
        recent = sum(now - each < TROUBLED_FOR for each in self._troubles)
        self.state = State.PAUSING
        self._until = now + PAUSES[min(recent, len(PAUSES)) - 1]
