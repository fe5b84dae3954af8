"""What processes say of their probes, and what it comes to for a viewer: only processes that it sees count. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import msgspec

from sonde_broker.fleet import MOST_KNOWN, Fleet
from sonde_broker.probes import Ended, Live
from sonde_wire import Address, rpc
from sonde_wire.probes import Probe, ProbeReport, ProbeStatus

MOST_REMEMBERED = 5000
"""Processes whose last words on a probe that has ended are kept; of more, none."""
_BOUND = ("active", "hit", "throttled", "suspended")

Sees = Callable[[Address], bool]


class States:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._said: dict[Address, tuple[str, dict[str, ProbeStatus]]] = {}
        """Its boot, and the state of each of its probes."""

    def reported(self, process: Address, report: ProbeReport) -> set[str]:
        """The probes of which that is news."""
        boot, before = self._said.get(process, ("", {}))
        now = {each.id: each for each in report.probes}
        if boot == "" and len(self._said) >= MOST_KNOWN:
            return set()
        self._said[process] = (report.boot, now)
        if boot != report.boot:
            return before.keys() | now.keys()
        return {each for each in before.keys() | now.keys() if before.get(each) != now.get(each)}

    def knows(self, process: Address) -> bool:
        return process in self._said

    def forget(self, process: Address) -> set[str]:
        """Likewise."""
        _, before = self._said.pop(process, ("", {}))
        return set(before)

    def keep(self, ended: Ended) -> None:
        """The last words on a probe, before they are overwritten."""
        if len(ended.processes) <= MOST_REMEMBERED:
            found = ((process, self._status(process, ended.probe.id)) for process in ended.processes)
            ended.statuses = {process: status for process, status in found if status is not None}

    def in_processes(self, entry: Live | Ended, sees: Sees) -> Iterator[tuple[Address, ProbeStatus | None]]:
        probe = entry.probe.id
        kept: Mapping[Address, ProbeStatus] | None = entry.statuses if isinstance(entry, Ended) else None
        for process in entry.processes:
            if sees(process):
                yield process, self._status(process, probe) if kept is None else kept.get(process)

    def totals(self, entry: Live | Ended, sees: Sees) -> rpc.ProbeTotals:
        states: Counter[str] = Counter()
        processes = hits = 0
        for _, status in self.in_processes(entry, sees):
            processes += 1
            states["unheard" if status is None else status.state] += 1
            hits += 0 if status is None else status.hits
        return rpc.ProbeTotals(
            processes=processes,
            installed=sum(states[each] for each in _BOUND),
            pending=states["pending"],
            hit=states["hit"],
            throttled=states["throttled"],
            suspended=states["suspended"],
            expired=states["expired"],
            error=states["error"],
            unheard=states["unheard"],
            hits=hits,
        )

    def _status(self, process: Address, probe: str) -> ProbeStatus | None:
        """Of the boot that is there now: a report that the bus retains may be an earlier one's."""
        said = self._said.get(process)
        if said is None or (status := said[1].get(probe)) is None:
            return None
        known = self._fleet.get(process)
        return status if known is not None and known.presence.boot == said[0] else None


def shown(probe: Probe, sees: Sees) -> Probe:
    """As a viewer may know it: no names of processes outside of its token."""
    if probe.chosen is None:
        return msgspec.structs.replace(probe, authorization=None)
    chosen = tuple(each for each in probe.chosen if sees(Address.parse(each)))
    return msgspec.structs.replace(probe, authorization=None, chosen=chosen)


def without_values(status: ProbeStatus) -> ProbeStatus:
    """For who may not look into processes: nothing that came of an expression."""
    return msgspec.structs.replace(status, measured=None, failure="")
