"""Exceptions as they are raised: which of them are a probe's, and each once, not in every frame that it passes."""

from collections.abc import Callable
from types import FrameType

from sonde_agent.tap.probes import finding
from sonde_agent.tap.probes.finding import Files
from sonde_agent.tap.probes.kinds.exception import OnException, innermost, is_new
from sonde_agent.tap.probes.probe import Probe
from sonde_agent.tap.probes.specification import FunctionPlace, LinePlace


def heard_by(probe: Probe, kind: OnException) -> Callable[[FrameType, BaseException], None]:
    """For a probe of named exceptions: called in each frame that one passes."""
    is_there = _place(probe.spec.place)

    def heard(frame: FrameType, error: BaseException) -> None:
        if not probe.gate.is_open:
            return
        probe.charge()
        if kind.is_meant(error) and is_new(error, frame) and is_there(frame):
            probe.hit_by(frame, lambda number: kind.take_error(frame, number, error, None))

    return heard


def uncaught(probe: Probe, kind: OnException, error: BaseException) -> None:
    """Nobody caught it."""
    frame = innermost(error)
    if frame is not None and probe.gate.is_open and _place(probe.spec.place)(frame):
        probe.hit_by(frame, lambda number: kind.take_error(frame, number, error, False))


def _place(place: LinePlace | FunctionPlace | None) -> Callable[[FrameType], bool]:
    """Of a line only the file counts."""
    if isinstance(place, LinePlace):
        files = Files(place.path)
        return lambda frame: frame.f_code.co_filename in files
    if isinstance(place, FunctionPlace):
        module, function = place.module, place.function
        return lambda frame: frame.f_code.co_qualname == function and finding.module_of(frame) == module
    return lambda frame: (
        not frame.f_code.co_filename.startswith("<frozen ") and not finding.is_ours(frame.f_code.co_filename)
    )
