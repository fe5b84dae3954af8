"""Which processes there are, from their presence messages. Pure: every time is an argument.

A process that ended or was lost is remembered for `KEEP` seconds, and at most `MOST_GONE` of them, so that
people can read how it ended. After the broker regained the bus, the server may have forgotten what it retained;
a process that does not tell of itself again within `GRACE` seconds is then taken for lost.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from sonde_wire import Address, Selector, codec
from sonde_wire.bus import Presence

KEEP = 3600.0
MOST_GONE = 1000
MOST_KNOWN = 20_000
GRACE = 30.0


class Known(Struct, frozen=True):
    presence: Presence
    encoded: bytes
    """As it came, for copying into answers."""
    gone: float | None = None
    """Since when it is not online (wall time)."""

    @property
    def online(self) -> bool:
        return self.gone is None


class Fleet:
    def __init__(self) -> None:
        self._known: dict[Address, Known] = {}
        self._unconfirmed: set[Address] = set()

    def __len__(self) -> int:
        return len(self._known)

    def states(self) -> dict[str, int]:
        """How many are in which state."""
        return dict(Counter(known.presence.state for known in self._known.values()))

    def get(self, process: Address) -> Known | None:
        return self._known.get(process)

    def is_heard(self, process: Address) -> bool:
        """Whether it has told of itself since the bus was there last."""
        return process in self._known and process not in self._unconfirmed

    def matching(self, selector: Selector) -> Iterable[tuple[Address, Known]]:
        return [(address, known) for address, known in self._known.items() if selector.matches(address)]

    def outlived(self, process: Address, presence: Presence) -> Known | None:
        """What is known instead, when this is the end of an earlier boot: its last will comes only when the server
        has missed its keepalives, and a successor of the same name may be online by then."""
        known = self._known.get(process)
        if known is None or presence.state == "online" or presence.boot == known.presence.boot:
            return None
        return known if presence.started < known.presence.started else None

    def update(self, process: Address, presence: Presence, encoded: bytes, now: float) -> bool:
        """Whether that was news. A message about a new process is not taken once `MOST_KNOWN` are known."""
        self._unconfirmed.discard(process)
        before = self._known.get(process)
        if before is not None and before.encoded == encoded:
            return False
        if before is None and len(self._known) >= MOST_KNOWN:
            return False
        gone = None if presence.state == "online" else min(now, presence.time)
        self._known[process] = Known(presence, encoded, gone)
        return True

    def forget(self, process: Address) -> None:
        self._known.pop(process, None)
        self._unconfirmed.discard(process)

    def doubt(self) -> None:
        """The bus is back: whoever was online has to say so again."""
        self._unconfirmed = {address for address, known in self._known.items() if known.online}

    def lose_unconfirmed(self, now: float) -> list[tuple[Address, Known]]:
        """Those who did not; they are lost now."""
        lost = []
        for address in sorted(self._unconfirmed):
            presence = msgspec.structs.replace(self._known[address].presence, state="lost", time=now)
            known = self._known[address] = Known(presence, codec.encode(presence), now)
            lost.append((address, known))
        self._unconfirmed.clear()
        return lost

    def expire(self, now: float) -> list[Address]:
        """Forgets those who are gone for too long, or of whom there are too many, oldest first."""
        gone = sorted(
            (known.gone, address) for address, known in self._known.items() if known.gone is not None
        )
        excess = len(gone) - MOST_GONE
        expired = [
            address for place, (since, address) in enumerate(gone) if place < excess or since <= now - KEEP
        ]
        for address in expired:
            del self._known[address]
        return expired
