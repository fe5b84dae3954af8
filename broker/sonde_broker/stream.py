"""The events of each process as one stream: each number once, in order, and every hole noticed. Pure.

A sidecar sends again what the history has not acknowledged, and a server may deliver twice what two filters match; so what was
seen before is dropped here. What comes later than it should is dropped, too: whoever was told of the hole asks the history.
"""

from collections.abc import Callable

from sonde_broker.fleet import MOST_KNOWN
from sonde_broker.recent import Recent
from sonde_broker.relay_io import EventsSeen, Span
from sonde_wire import Address


class Stream:
    def __init__(self) -> None:
        self.recent = Recent()
        self._followed: dict[Address, tuple[str, int]] = {}
        """Boot and number of the newest event of each process, the process that told last at the end."""

    def take(self, seen: EventsSeen) -> tuple[EventsSeen | None, Span | None]:
        """What is new of a batch, and what is missing before it: the sidecar let events go, or the bus did. What came before the
        first batch that we saw of a boot is history and no hole."""
        batch = seen.batch
        boot, last = self._followed.pop(seen.process, ("", 0))
        same = boot == batch.boot
        self._followed[seen.process] = (batch.boot, max(last, batch.last) if same else batch.last)
        if len(self._followed) > MOST_KNOWN:
            self.forget(next(iter(self._followed)))
        if same and batch.last <= last:
            return None, None
        if same and batch.first <= last:
            seen = seen.after(last)
        self.recent.add(seen)
        if not same or batch.first <= last + 1:
            return seen, None
        return seen, Span(batch.process, batch.boot, last + 1, batch.first - 1)

    def forget(self, process: Address) -> None:
        """What comes of it later is no continuation of what came before."""
        self._followed.pop(process, None)
        self.recent.forget(process)

    def bus_lost(self) -> None:
        """What is in memory may not be the newest any more: who comes back is told by the history and the process. Who stayed
        is told of the hole with the next event."""
        self.recent.forget_all()

    def keep_only(self, hears: Callable[[Address], bool]) -> None:
        """The bus does not tell of the others any more."""
        for process in [each for each in self._followed if not hears(each)]:
            self.forget(process)
