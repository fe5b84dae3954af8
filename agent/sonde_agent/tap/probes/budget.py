"""How much of one core the probes of a process may use together: a pure core. Times are seconds, and arguments.

What each probe has spent is told now and then; the last ten seconds count. When all together are over, the costliest is to
be suspended, then the next, until the rest fit. One that was suspended may come back after a minute, and after twice as
long each time that it goes over again.
"""

from collections import deque
from collections.abc import Mapping

from sonde_agent.records import Record

WINDOW = 10.0
SHARE = 0.01
FIRST_COOL_OFF = 60.0
LONGEST_COOL_OFF = 3600.0


class Suspension(Record):
    """`seconds` until it may come back."""

    id: str
    seconds: float
    message: str


class Budget:
    """`share` of one core, 0 to 1."""

    def __init__(self, share: float = SHARE) -> None:
        self.share = share
        self._spent: deque[tuple[float, dict[str, float]]] = deque()
        self._totals: dict[str, float] = {}
        self._cool_offs: dict[str, float] = {}

    def judge(self, now: float, totals: Mapping[str, float]) -> list[Suspension]:
        """`totals`: seconds that each probe has spent since it began; of one that is not told any more, what it spent
        still counts."""
        spent = {
            each: most for each, total in totals.items() if (most := total - self._totals.get(each, 0.0)) > 0
        }
        self._totals = dict(totals)
        if spent:
            self._spent.append((now, spent))
        while self._spent and self._spent[0][0] <= now - WINDOW:
            self._spent.popleft()
        sums = self._sums()
        found = []
        over = sum(sums.values()) - self.share * WINDOW
        for each in sorted(totals, key=lambda one: sums.get(one, 0.0), reverse=True):
            if over <= 0 or each not in sums:
                break
            over -= sums[each]
            found.append(self._suspend(each, sums[each]))
        return found

    def used(self, probe: str | None = None) -> float:
        """Of one core, 0 to 1, as of the last judgement: by one probe, or by all."""
        sums = self._sums()
        return (sums.get(probe, 0.0) if probe is not None else sum(sums.values())) / WINDOW

    @property
    def left(self) -> float:
        """Seconds that may be spent before all are over."""
        return max(0.0, self.share * WINDOW - sum(self._sums().values()))

    def forget(self, probe: str) -> None:
        """What it spent counts on."""
        self._cool_offs.pop(probe, None)

    def _suspend(self, probe: str, seconds: float) -> Suspension:
        """What it spent counts no more: it is out, and the others are not to pay for it."""
        for _, each in self._spent:
            each.pop(probe, None)
        cool_off = self._cool_offs.get(probe, FIRST_COOL_OFF)
        self._cool_offs[probe] = min(LONGEST_COOL_OFF, 2 * cool_off)
        message = (
            f"it took {_percent(seconds / WINDOW)} of one core over {WINDOW:.0f} s, and all probes together may take "
            f"{_percent(self.share)}: give it a condition that is rarer, a lower rate or a place that is passed less; "
            f"it comes back after {cool_off:.0f} s"
        )
        return Suspension(probe, cool_off, message)

    def _sums(self) -> dict[str, float]:
        sums: dict[str, float] = {}
        for _, spent in self._spent:
            for each, seconds in spent.items():
                sums[each] = sums.get(each, 0.0) + seconds
        return sums


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %"
