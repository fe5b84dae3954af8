"""The brokers of a site, as each of them sees it, and which of them does what is to be done once. Pure.

None is special. Each broker ranks all that are online by a hash of their name and of what is to be done (rendezvous hashing):
all come to the same result, and when one comes or goes, only its share moves. While their views differ, something is done
twice or late, which nothing depends on.

A bus may retain that one is online which is not: it died together with the server that knew its last will. Nobody would do
its share. So whoever hears of another for the first time says once more that it is there itself, and who does not say it
once more within `ANSWER_WITHIN` is not there.

    unknown --heard--> doubted --said again--> known
       ^                  | nothing more         | lost, or took leave
       +------------------+----------------------+
"""

import hashlib

from msgspec import Struct

from sonde_wire.bus import BrokerPresence
from sonde_wire.topics import SHARDS

INTRODUCE_AFTER = 2.0
"""Seconds until we say once more that we are there: whoever was heard of is listening by then."""
ANSWER_WITHIN = 15.0


class _Other(Struct):
    store: str | None
    """The identity of the history that it writes into."""
    told: float
    """When it said so, by its own clock."""


class Replicas:
    """`ours` is our name on the bus. Times are steady ones."""

    def __init__(self, ours: str) -> None:
        self._ours = ours
        self._store: str | None = None
        self._others: dict[str, _Other] = {}
        self._doubted: dict[str, float] = {}
        """Until when each has to say it once more."""

    def __len__(self) -> int:
        return len(self._others) + 1

    def we_write(self, store: str | None) -> None:
        self._store = store

    def knows(self, broker: str) -> bool:
        return broker == self._ours or broker in self._others

    def deadline(self) -> float | None:
        return min(self._doubted.values(), default=None)

    def seen(self, broker: str, presence: BrokerPresence | None, now: float) -> bool:
        """Whether that changed anything."""
        if broker == self._ours:
            return False
        before = self._others.get(broker)
        if presence is None or presence.state == "lost":
            self._doubted.pop(broker, None)
            return self._others.pop(broker, None) is not None
        self._others[broker] = _Other(presence.store, presence.time)
        if before is None:
            self._doubted[broker] = now + ANSWER_WITHIN
            return True
        if presence.time != before.told:
            self._doubted.pop(broker, None)
        return before.store != presence.store

    def time_passed(self, now: float) -> list[str]:
        """Those that are not there, though the bus says so."""
        gone = [broker for broker, at in self._doubted.items() if at <= now]
        for broker in gone:
            del self._doubted[broker], self._others[broker]
        return gone

    def bus_lost(self) -> None:
        """Who is there is told anew when it is back."""
        self._others.clear()
        self._doubted.clear()

    def leads(self, what: str) -> bool:
        """Whether it is for us to do."""
        return self._first({self._ours, *self._others}, what) == self._ours

    def shards(self) -> frozenset[str]:
        """Those whose events we are to store: brokers that write into the same history divide them."""
        if self._store is None:
            return frozenset()
        sharing = {self._ours, *(name for name, other in self._others.items() if other.store == self._store)}
        return frozenset(each for each in SHARDS if self._first(sharing, f"shard {each}") == self._ours)

    @staticmethod
    def _first(brokers: set[str], what: str) -> str:
        return max(brokers, key=lambda broker: hashlib.sha256(f"{broker} {what}".encode()).digest())
