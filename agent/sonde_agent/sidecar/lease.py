"""How long what stands may stand: nothing stays frozen because nobody is there any more. Pure; monotonic seconds.

   IDLE --something stands--> RUNNING --nothing stands any more--> IDLE
                                 |
                           not renewed in time: LAPSED, everything is told to run
                                 v
                            LETTING_GO --nothing stands any more--> ASLEEP
                             |      ^                                 |
       still stands after    |      +---- something stands again -----+
       LET_GO_WITHIN: the    v
       line to pydevd is dropped, which lets everything run; then ASLEEP too

   LETTING_GO, ASLEEP --a session acts--> IDLE, or RUNNING when something stands

* One lease for a process, however many threads stand. `length` seconds from its beginning or renewal.
* It is renewed by heartbeats and by requests. A heartbeat shows that a program is there, a request that a
  person is: `longest` seconds after the last request (or the stop) the lease ends, whatever beats.
* ASLEEP: breakpoints are not armed, so that an abandoned one does not stop the process again and again. What
  stops all the same (`breakpoint()` in the program) is told to run at once.
* Each beginning and renewal also moves the tap's own timer (`Hold`), which ends the stop when we hang. So the
  lease moves only when `Hold` is sent, at most each `_STEP` seconds, and the two never differ by more than the
  time that `Hold` takes.
"""

from enum import Enum

from sonde_agent.sidecar import effects as e
from sonde_wire import bus

LET_GO_WITHIN = 0.5
"""Seconds from being told to run until everything runs."""
ANNOUNCED_EVERY = 5.0
"""Seconds between two announcements of a renewal that nobody asked for by name, at least."""
_STEP = 1.0
_LAPSED = "nobody renewed the lease, so everything runs on; breakpoints sleep until a session asks anything"


class State(Enum):
    IDLE = "idle"
    RUNNING = "running"
    LETTING_GO = "letting go"
    ASLEEP = "asleep"


class Lease:
    def __init__(self, length: float, longest: float) -> None:
        self._length = length
        self._longest = longest
        self.state = State.IDLE
        self._until = 0.0
        self._acted = 0.0
        """When a person did something last, or what stands began to."""
        self._renewed = 0.0
        self._announced = 0.0

    @property
    def asleep(self) -> bool:
        return self.state in {State.LETTING_GO, State.ASLEEP}

    @property
    def next_deadline(self) -> float | None:
        return self._until if self.state in {State.RUNNING, State.LETTING_GO} else None

    def shown(self, now: float) -> bus.Lease | None:
        if self.state is not State.RUNNING:
            return None
        return bus.Lease(left=round(max(0.0, self._until - now), 3), length=self._length)

    def stands(self, something: bool, now: float) -> list[e.Effect]:
        """To be told after everything that happens: whether any thread stands."""
        match self.state:
            case State.IDLE if something:
                self.state = State.RUNNING
                self._acted = now
                self._until = now  # what is renewed begins here
                self._renew(now)
                return self._announce("begun", now)
            case State.RUNNING if not something:
                self.state = State.IDLE
                return [_tell("ended")]
            case State.LETTING_GO if not something:
                self.state = State.ASLEEP
            case State.ASLEEP if something:
                self.state = State.LETTING_GO
                self._until = now + LET_GO_WITHIN
            case _:
                pass
        return []

    def renew(self, now: float) -> tuple[bool, list[e.Effect]]:
        """By a heartbeat of whoever it belongs to: whether it was, and what is to be told."""
        if self.state is not State.RUNNING:
            return not self.asleep, []
        if not self._renew(now):
            return False, []
        return True, self._announce("renewed", now)

    def acted(self, now: float) -> list[e.Effect]:
        """By a request of whoever it belongs to."""
        self._acted = now
        if self.state is not State.RUNNING or now - self._renewed < _STEP or not self._renew(now):
            return []
        if now - self._announced >= ANNOUNCED_EVERY:
            return self._announce("renewed", now)
        return [self._hold(now)]

    def has_lapsed(self, now: float) -> bool:
        return self.state is State.RUNNING and now >= self._until

    def lapse(self, now: float) -> list[e.Effect]:
        self.state = State.LETTING_GO
        self._until = now + LET_GO_WITHIN
        return [_tell("lapsed", message=_LAPSED)]

    def is_overdue(self, now: float) -> bool:
        """Something was told to run and does not: the line must be dropped."""
        return self.state is State.LETTING_GO and now >= self._until

    def wake(self) -> list[e.Effect]:
        """A session acts: breakpoints are armed again."""
        self.state = State.IDLE
        return [_tell("ended", message="a session is there again: breakpoints are armed")]

    def off(self) -> list[e.Effect]:
        """Nobody debugs any more."""
        before, self.state = self.state, State.IDLE
        return [_tell("ended")] if before is State.RUNNING else []

    def _renew(self, now: float) -> bool:
        """Whether it was prolonged; it is never made shorter."""
        until = min(now + self._length, self._acted + self._longest)
        if until <= self._until:
            return False
        self._until, self._renewed = until, now
        return True

    def _announce(self, state: str, now: float) -> list[e.Effect]:
        self._announced = now
        return [_tell(state, lease=self.shown(now)), self._hold(now)]

    def _hold(self, now: float) -> e.Hold:
        return e.Hold(min(self._length, self._until - now))  # not a rounding error more


def _tell(state: str, **fields: object) -> e.Tell:
    return e.Tell(kind=bus.LeaseChanged, fields={"state": state, **fields})
