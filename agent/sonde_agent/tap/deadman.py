"""The dead-man timer: how long threads may stand when nobody says that they may stand longer. A pure core.

A socket that closes ends a stop by itself; a sidecar that hangs keeps it open. So each stop has a lease from the
moment in which it began, the sidecar prolongs it by holding, and what is not held is let go.
"""

GRACE = 0.5
"""Seconds after the lease: a sidecar that is alive ends the stop itself, in an orderly way."""
LEASE = 60.0
LONGEST_HOLD = 3600.0


class Deadman:
    """Seconds and moments of one monotonic clock. `standing` are the moments since when threads stand."""

    def __init__(self, lease: float = LEASE) -> None:
        self.lease = lease
        self.held_until = float("-inf")

    def hold(self, seconds: float, now: float) -> None:
        """Moves the hold; the newest wins, and may also be the shorter one."""
        self.held_until = now + seconds

    def lets_go_at(self, standing: list[float]) -> float | None:
        """When everything must run on; None while nothing stands."""
        if not standing:
            return None
        return max(min(standing) + self.lease, self.held_until) + GRACE
