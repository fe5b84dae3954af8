"""What a probe tells, in one sentence each; not harmless for a terminal yet."""

from sonde_viewer import screen
from sonde_viewer.probes.values import inline
from sonde_wire import bus, rpc
from sonde_wire.probes import Captured, ProbeStatus


def taken(event: bus.SnapshotTaken) -> str:
    return (
        f"snapshot {bus.snapshot_id(event)}, hit {event.hit} of probe {event.probe}, {place(event.captured)}"
    )


def logged(event: bus.ProbeLogged) -> str:
    return f"{event.path}:{event.line}: {event.message}"


def changed(event: bus.WatchChanged) -> str:
    before = "" if event.before is None else f"{inline(event.before)} -> "
    return f"{event.expression}: {before}{inline(event.now)} at {event.path}:{event.line}"


def state(status: ProbeStatus) -> str:
    what = f" ({status.title})" if status.title else ""
    where = ", ".join(f"{each.path}:{each.line}" for each in status.places[:3])
    at = f" at {where}" if where and status.state == "active" else ""
    return f"probe {status.id}{what} is {status.state}{at}{f': {status.message}' if status.message else ''}"


def ended(info: rpc.ProbeInfo, *, stays: bool) -> str:
    """Why there is no more to follow. `stays`: a probe that is live is not about to be removed."""
    probe, totals = info.probe, info.totals
    if info.state != "live":
        return f"probe {probe.id} is over"
    have = totals.expired
    who = "the process that has it has" if have == 1 else f"all {have} processes that have it have"
    others = f" ({totals.error} could not have it)" if totals.error else ""
    said = f"{who} reached max_hits{others}"
    if not stays:
        return said
    until = screen.clock(probe.expires).partition(".")[0]
    return f"{said}; the probe stays for late comers until {until}; `sonde probes rm {probe.id}` removes it"


def place(captured: Captured) -> str:
    """Where it was, and what was raised there."""
    if not captured.frames:
        return "at no frame of the program's"
    frame = captured.frames[0]
    raised = captured.exception
    why = f": {raised.type}: {raised.message}".removesuffix(": ") if raised else ""
    return f"at {frame.path}:{frame.line} in {frame.function}{why}"
