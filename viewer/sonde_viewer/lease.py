"""How long what stands may go on standing; pure.

While a thread stands, the process holds a lease (60 s unless its sidecar is told otherwise). Whoever drives renews
it, or anybody while nobody drives. When it lapses everything runs on, and breakpoints sleep until somebody asks
something of the process: nobody's program stays frozen because a debugger was forgotten or hangs.
"""

from msgspec import Struct

from sonde_wire import bus


class Lease(Struct, frozen=True):
    """Seconds. `ends` is on the clock that was passed in when it was told (`time.monotonic` in a session)."""

    length: float
    ends: float

    def left(self, now: float) -> float:
        return max(self.ends - now, 0.0)

    def renewal(self, now: float) -> float:
        """How long until it should be renewed: when a third of it has passed, so that two more attempts fit."""
        return max(self.left(now) - self.length * 2 / 3, 0.0)


def told(lease: bus.Lease | None, now: float) -> Lease | None:
    """As the wire has it, which counts from the moment of the message. The way here takes milliseconds; the
    clocks of two machines can be apart by more than a lease."""
    return None if lease is None else Lease(length=lease.length, ends=now + lease.left)
