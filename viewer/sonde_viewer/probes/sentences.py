"""What a probe tells, in one sentence each; not harmless for a terminal yet."""

from sonde_viewer.probes.values import inline
from sonde_wire import bus
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


def place(captured: Captured) -> str:
    """Where it was, and what was raised there."""
    if not captured.frames:
        return "at no frame of the program's"
    frame = captured.frames[0]
    raised = captured.exception
    why = f": {raised.type}: {raised.message}".removesuffix(": ") if raised else ""
    return f"at {frame.path}:{frame.line} in {frame.function}{why}"
