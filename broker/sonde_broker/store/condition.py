"""Whether the history works. Pure.

    OPENING --worked--> UP <--worked-- DEGRADED
       |                |  --failed-->    ^ |
       +---failed-------+-----------------+ | failed again: told when the problem is another
                                          +-+

While it is degraded it is tried again after 1, 2, 4 ... 30 seconds.
"""

from enum import Enum

from sonde_broker.relay_io import StoreChanged

FIRST = 1.0
_LONGEST = 30.0


class State(Enum):
    OPENING = "opening"
    UP = "up"
    DEGRADED = "degraded"


class Condition:
    def __init__(self) -> None:
        self.state = State.OPENING
        self.problem = ""
        self._identity = ""
        self._delay = FIRST

    def worked(self, identity: str) -> StoreChanged | None:
        """What is to be told, if anything: also that it is another history than before."""
        self._delay = FIRST
        if self.state is State.UP and identity == self._identity:
            return None
        self.state, self.problem, self._identity = State.UP, "", identity
        return StoreChanged("up", identity)

    def failed(self, problem: str) -> tuple[StoreChanged | None, float]:
        """What is to be told, and in how many seconds to try again."""
        delay, self._delay = self._delay, min(self._delay * 2, _LONGEST)
        if self.state is State.DEGRADED and problem == self.problem:
            return None, delay
        self.state, self.problem = State.DEGRADED, problem
        return StoreChanged("degraded", None, problem), delay
