"""Brings probes to their code: looks for it, wires it, and wires what comes later.

One thread at a time, but for `is_of_interest`.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType
from typing import Any

from sonde_agent.tap.errors import CallRefused
from sonde_agent.tap.probes import finding, places, raising
from sonde_agent.tap.probes.finding import Code, Files, Found, Look
from sonde_agent.tap.probes.kinds.exception import OnException
from sonde_agent.tap.probes.probe import Probe
from sonde_agent.tap.probes.specification import FunctionPlace, LinePlace
from sonde_agent.tap.probes.uncaught import Uncaught
from sonde_agent.tap.probes.wirings import Wirings

if sys.version_info >= (3, 12):
    from sonde_agent.tap.probes import monitoring as placing

    _Engine: Any = placing.Monitoring
else:
    from sonde_agent.tap.probes import rewriting as placing

    _Engine = placing.Rewriting

_MOST_FILES = 20_000
Saw = Callable[[CodeType, FrameType], None]


class Binder:
    """`close` after the last probe."""

    engine = placing.NAME

    def __init__(self) -> None:
        self._placing: Any = None
        self._wirings = Wirings()
        self._looks: dict[Probe, Look] = {}
        self._files: dict[Probe, Files] = {}
        self._modules: frozenset[str] = frozenset()
        self._interest: dict[str, bool] = {}
        """By the file names of code."""
        self._seen_modules = len(sys.modules)
        self._uncaught = Uncaught()
        self._raising: dict[Probe, Callable[[FrameType, BaseException], None]] = {}
        self._silent: set[Probe] = set()

    def _open(self, saw: Saw) -> None:
        """Raises `CallRefused` when probes cannot be placed at all."""
        if self._placing is None:
            self._placing = _Engine(saw)

    def close(self) -> None:
        self._uncaught.close()
        placed, self._placing = self._placing, None
        if placed is not None:
            placed.close()
        self._wirings = Wirings()
        self._raising.clear()
        self._silent.clear()
        self._looks.clear()
        self._files.clear()
        self._learn()

    def add(self, probe: Probe, saw: Saw) -> None:
        """`saw` is called with code that is of interest before it first runs, in the thread that runs it."""
        place = probe.spec.place
        try:
            self._open(saw)
        except CallRefused as refusal:
            probe.gate.refuse(refusal.message)
            return
        if isinstance(probe.kind, OnException):
            self._add_exception(probe, probe.kind)
        elif place is not None:
            self._add_placed(probe, place)

    def _add_placed(self, probe: Probe, place: LinePlace | FunctionPlace) -> None:
        look, files = finding.looking_for(place)
        self._looks[probe] = look
        if files is not None:
            self._files[probe] = files
        self._learn()  # before it is looked for, so that what is loaded meanwhile is seen
        found = look(self._living())
        if not found.spots and not found.problem and isinstance(place, FunctionPlace):
            found = places.resolved(place)
        if isinstance(place, LinePlace) and files is not None:
            found = places.judged(place, files, found)
        self._accept(probe, found)
        if not found.spots and not found.problem:
            probe.gate.unbind(places.why_pending(place, files))

    def remove(self, probe: Probe) -> None:
        self.unwire(probe)
        self._looks.pop(probe, None)
        self._files.pop(probe, None)
        self._learn()

    def unwire(self, probe: Probe) -> None:
        probe.is_wired = False
        self._uncaught.remove(probe)
        self._silent.discard(probe)
        if self._placing is not None:
            self._wire(self._wirings.remove(probe))
            if self._raising.pop(probe, None) is not None:
                self._hear()

    def arm(self, probe: Probe) -> None:
        """It is open again."""
        if self._placing is not None:
            self._placing.arm([spot.code for spot in probe.spots])
            if probe in self._silent:
                self._silent.discard(probe)
                self._hear()

    def silence(self, probe: Probe) -> None:
        """It is suspended: what is heard everywhere is not heard for it. Places are given up by themselves."""
        if probe in self._raising:
            self._silent.add(probe)
            self._hear()

    def is_of_interest(self, code: CodeType, frame: FrameType) -> bool:
        """Whether a probe may want code that begins to run; in any thread."""
        interest = self._interest.get(code.co_filename)
        if interest is None:
            name = code.co_filename
            interest = any(name in files for files in list(self._files.values()))
            if len(self._interest) < _MOST_FILES:
                self._interest[name] = interest
        if interest:
            return True
        return (
            bool(self._modules)
            and finding.module_of(frame) in self._modules
            and not finding.is_ours(code.co_filename)
        )

    def bind_new(self, code: CodeType, module: str | None) -> None:
        """Code that was not there when the probes were looked for."""
        if self._placing is None:  # closed meanwhile
            return
        for probe, look in list(self._looks.items()):
            if probe.gate.is_ended or any(spot.code is code for spot in probe.spots):
                continue
            found = look([(code, module)])
            place = probe.spec.place
            if isinstance(place, LinePlace) and code.co_name != "<module>":
                # of a function that was known before, or of one alone: other lines of the file are not to be seen here
                found = Found(tuple(spot for spot in found.spots if spot.line == place.line))
            self._accept(probe, found)

    def refresh(self, now: float) -> None:
        """Often; where new code is not heard of it is looked for when modules have come."""
        if self._placing is None:
            return
        self._placing.refresh(now)
        if self._placing.hears_new or len(sys.modules) == self._seen_modules:
            return
        self._seen_modules = len(sys.modules)
        codes = list(self._living())
        for probe, look in list(self._looks.items()):
            if not probe.gate.is_ended and not probe.spots:
                self._accept(probe, look(codes))

    def _accept(self, probe: Probe, found: Found) -> None:
        known = {id(spot.code) for spot in probe.spots}
        fresh = [spot for spot in found.spots if id(spot.code) not in known]
        problem, place = found.problem, probe.spec.place
        if not problem and isinstance(place, LinePlace):
            problem = finding.ambiguity(place, (spot.code for spot in (*probe.spots, *fresh)))
        problem = problem or places.unreachable(probe.spec.until, fresh)
        if problem:
            if not probe.spots or not found.problem:
                probe.spots = ()
                self.unwire(probe)
                probe.gate.refuse(problem)
            return
        if fresh:
            self._forget_oldest(probe, len(fresh))
            probe.spots = (*probe.spots, *fresh)
            probe.is_wired = True
            self._wire(self._wirings.add(probe, fresh))
            probe.note = self._placing.note([spot.code for spot in fresh])
            probe.gate.bind()

    def _forget_oldest(self, probe: Probe, more: int) -> None:
        """Of code that is made again and again only the newest is wired."""
        over = len(probe.spots) + more - finding.MOST_SPOTS
        if over > 0:
            probe.spots = probe.spots[over:]
            self._wire(self._wirings.remove(probe))
            self._wire(self._wirings.add(probe, probe.spots))

    def _wire(self, codes: Iterable[CodeType]) -> None:
        self._placing.wire([(code, self._wirings.of(code)) for code in codes])

    def _add_exception(self, probe: Probe, kind: OnException) -> None:
        if not probe.spec.types:
            self._uncaught.add(probe, kind)
        elif placing.NO_EXCEPTIONS:
            probe.gate.refuse(placing.NO_EXCEPTIONS)
            return
        else:
            self._raising[probe] = raising.heard_by(probe, kind)
            self._hear()
        probe.is_wired = True
        probe.gate.bind()

    def _living(self) -> Iterator[Code]:
        return ((self._placing.original(code), module) for code, module in finding.living())

    def _hear(self) -> None:
        self._placing.hear_exceptions(
            [heard for probe, heard in self._raising.items() if probe not in self._silent]
        )

    def _learn(self) -> None:
        modules = (probe.spec.place for probe in self._looks)
        self._modules = frozenset(place.module for place in modules if isinstance(place, FunctionPlace))
        self._interest = {}
