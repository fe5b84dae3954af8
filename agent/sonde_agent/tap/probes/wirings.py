"""What the probes of a process want of its code: a pure core. For each code object what is to happen there."""

from collections.abc import Iterable
from types import CodeType

from sonde_agent.tap.probes import places
from sonde_agent.tap.probes.finding import Spot
from sonde_agent.tap.probes.gate import Gate
from sonde_agent.tap.probes.handling import Handler, Wiring
from sonde_agent.tap.probes.kinds.timer import Timer
from sonde_agent.tap.probes.probe import Probe
from sonde_agent.tap.probes.specification import FunctionPlace


class _End:
    """A timer's."""

    def __init__(self, timer: Timer, gate: Gate, *, counts: bool) -> None:
        self.gate = gate
        self.hit = timer.end if counts else timer.forget


class Wirings:
    """Probes with their spots in, the wirings of code out. The same code may have several probes, and one probe several
    codes."""

    def __init__(self) -> None:
        self._by_code: dict[int, list[tuple[Probe, Spot]]] = {}

    def add(self, probe: Probe, spots: Iterable[Spot]) -> list[CodeType]:
        """The codes whose wiring is another than before."""
        for spot in spots:
            self._by_code.setdefault(id(spot.code), []).append((probe, spot))
        return [spot.code for spot in spots]

    def remove(self, probe: Probe) -> list[CodeType]:
        changed = []
        for number, kept in list(self._by_code.items()):
            left = [each for each in kept if each[0] is not probe]
            if len(left) < len(kept):
                changed.append(kept[0][1].code)
                if left:
                    self._by_code[number] = left
                else:
                    del self._by_code[number]
        return changed

    def of(self, code: CodeType) -> Wiring:
        lines: dict[int, list[Handler]] = {}
        starts: list[Handler] = []
        ends: list[Handler] = []
        for probe, spot in self._by_code.get(id(code), ()):
            place = probe.spec.place
            if not isinstance(place, FunctionPlace):
                lines.setdefault(spot.line, []).append(probe)
            elif place.on == "entry":
                starts.append(probe)
            else:
                ends.append(probe)
            if isinstance(probe.kind, Timer):
                until = None if probe.spec.until is None else places.end_of(code, probe.spec.until)
                if until is not None:  # in front: where it ends on the line that it begins on, it begins anew
                    lines.setdefault(until, []).insert(0, _End(probe.kind, probe.gate, counts=True))
                ends.append(_End(probe.kind, probe.gate, counts=until is None))
        return Wiring({line: tuple(each) for line, each in lines.items()}, tuple(starts), tuple(ends))
