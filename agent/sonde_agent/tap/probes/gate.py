"""What one probe may do: a pure core. Times are monotonic seconds, and arguments.

    PENDING -- bound --> ACTIVE -- admitted --> HIT <--> THROTTLED   over the rate, until a token is there again
       |                    |                    |
       +------ EXPIRED, ERROR, SUSPENDED: closed, and who asks for a hit gets none -------+

What is closed for a while (THROTTLED, SUSPENDED) opens again by `open_again`, once its time has come; `opens_at` tells when.
EXPIRED is the end, but for one whose time alone was over and that gets more. Of several that hold, the first of expired,
error, suspended, throttled is told.

`is_open` is what a place is asked first, at each hit; all else is only for those that come through.
"""

from itertools import count
from math import inf

SHORTEST_PAUSE = 0.05
"""Seconds for which a place rests that is hit too often: to arm it again costs some microseconds."""
_STAYS_THROTTLED = 2.0
"""Seconds; what is over its rate all the time would otherwise seem to change its state at each hit."""


class Gate:
    """`rate` in hits a second, None for any; `burst` of them at once."""

    def __init__(
        self,
        now: float,
        left: float,
        most_hits: int | None = None,
        rate: float | None = None,
        burst: int | None = None,
        sample: float = 1.0,
    ) -> None:
        self.is_open = True
        self.opens_at = inf
        self.expires_at = now + left
        self.hits = 0
        self.last_hit: float | None = None
        self.dropped = 0
        self.failures = 0
        self.failure = ""
        self.is_held = False
        self.is_bound = False
        self.pending = "its code is not loaded"
        self.error = ""
        self._fulfilled = ""
        self._timed_out = False
        self._suspended = ""
        self._numbers = count(1)
        self._most = most_hits
        self._rate = rate
        self._burst = float(burst or max(1, int(rate or 1)))
        self._tokens = self._burst
        self._filled_at = now
        self._sample = sample
        self._throttled_until = -inf
        self._has_worked = False

    @property
    def is_ended(self) -> bool:
        return bool(self._fulfilled) or self._timed_out

    def is_sampled(self, chance: float) -> bool:
        """`chance` in [0, 1)."""
        return chance < self._sample

    def admit(self, now: float) -> int:
        """The number of this hit, from 1 on; 0 when it is not to be. Then the gate is closed."""
        if not self.is_open:
            return 0
        if now >= self.expires_at:
            self.time_out()
            return 0
        if self._rate is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
            self._filled_at = now
            if self._tokens < 1:
                self.dropped += 1
                self._throttle(now)
                return 0
            self._tokens -= 1
        number = next(self._numbers)
        if self._most is not None and number >= self._most:
            self._fulfil()
            if number > self._most:  # another thread had the last one
                return 0
        self.hits = max(self.hits, number)
        self.last_hit = now
        return number

    def failed(self, reason: str) -> None:
        """A condition or an expression had no value."""
        self.failures += 1
        self.failure = reason

    def worked(self) -> None:
        """A hit did all that it was to do."""
        self._has_worked = True

    def bind(self) -> None:
        self.is_bound = True
        self.error = ""
        self._settle()

    def unbind(self, reason: str) -> None:
        """Its code is not there; `reason` is a sentence."""
        self.is_bound = False
        self.pending = reason
        self.error = ""
        self._settle()

    def refuse(self, reason: str) -> None:
        self.error = reason
        self._settle()

    def suspend(self, now: float, seconds: float, reason: str) -> None:
        self._suspended = reason
        self.opens_at = now + seconds
        self._settle()

    def hold(self) -> None:
        """Closed at once, until somebody decides whether it is to be suspended."""
        self.is_held = True
        self.is_open = False

    def release(self) -> None:
        self.is_held = False
        self._settle()

    def prolong(self, now: float, left: float) -> None:
        """It has so many seconds from now."""
        self.expires_at = now + left
        self._timed_out = left <= 0
        self._settle()

    def time_out(self) -> None:
        self._timed_out = True
        self._settle()

    def open_again(self, now: float) -> bool:
        """Whether it opened: what it was closed for is over."""
        if now < self.opens_at or self.is_open:
            return False
        self._suspended = ""
        self.opens_at = inf
        self._settle()
        return self.is_open

    def state(self, now: float) -> tuple[str, str]:
        """And why, for people."""
        if self._fulfilled:
            return "expired", self._fulfilled
        if self._timed_out or now >= self.expires_at:
            return "expired", "its time is over"
        if self.error:
            return "error", self.error
        if self._suspended:
            return "suspended", self._suspended
        if self.failures and not self._has_worked:
            return "error", f"failed {_times(self.failures)}, never worked: {self.failure}"
        if now < max(self._throttled_until, self.opens_at if self.opens_at < inf else -inf):
            return "throttled", f"hit more often than {_rate(self._rate)}: the others are not counted"
        if self.hits:
            return "hit", ""
        return ("active", "") if self.is_bound else ("pending", self.pending)

    def _throttle(self, now: float) -> None:
        rate = self._rate or inf
        wait = max(SHORTEST_PAUSE, (1 - self._tokens) / rate)
        self.opens_at = now + wait
        self._throttled_until = self.opens_at + _STAYS_THROTTLED
        self.is_open = False

    def _fulfil(self) -> None:
        self._fulfilled = f"it had its {self._most} hit{'' if self._most == 1 else 's'}"
        self._settle()

    def _settle(self) -> None:
        closed = self.is_ended or self.error or self._suspended or self.is_held
        self.is_open = not closed
        if not self._suspended:
            self.opens_at = inf


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _rate(rate: float | None) -> str:
    if rate is None:
        return "it may be"
    if rate < 1:
        return f"once in {1 / rate:g} seconds"
    return "once a second" if rate == 1 else f"{rate:g} times a second"
