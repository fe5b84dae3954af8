"""What an event says, in a sentence, and of what kind it is; not harmless for a terminal yet."""

from pathlib import PurePath

from sonde_viewer.probes import sentences
from sonde_wire import bus, codec


def kind(event: bus.AnyEvent) -> str:
    """Its type, and for one of DAP its name behind a dot: `dap.stopped`; as the history has them."""
    tag = str(type(event).__struct_config__.tag)
    if not isinstance(event, bus.DapEvent):
        return tag
    name = codec.decode_any(event.message).get("event")
    return f"{tag}.{name}" if name else tag


def sentence(event: bus.AnyEvent) -> str:
    match event:
        case bus.ProcessStarted(pid=pid):
            return f"started with pid {pid}"
        case bus.ProcessEnded(exit=end):
            return f"ended: {end.message}"
        case bus.SessionOpened(viewer=viewer):
            return f"{viewer} began to debug"
        case bus.SessionClosed(viewer=viewer, reason=reason):
            return f"{viewer} no longer debugs ({reason.replace('_', ' ')})"
        case bus.DebuggerAttached(debugpy=version, again=again):
            return f"debugger attached{' again' if again else ''} (debugpy {version})"
        case bus.DebuggerDetached(reason=reason):
            return f"debugger detached ({reason.replace('_', ' ')})"
        case bus.SeatChanged():
            return _seat_sentence(event)
        case bus.LeaseChanged(state=state, lease=lease):
            return _lease_sentence(state, lease)
        case bus.BreakpointsChanged(breakpoints=changed):
            return _breakpoints_sentence(changed)
        case bus.DapEvent(message=message) | bus.Output(message=message):
            return _dap_sentence(codec.decode_any(message))
        case bus.StopLocated():
            return _place_sentence(event)
        case bus.ProbeChanged(status=status):
            return sentences.state(status)
        case bus.SnapshotTaken():
            return sentences.taken(event)
        case bus.ProbeLogged():
            return f"log of probe {event.probe}: {event.message}"
        case bus.WatchChanged():
            return f"watch of probe {event.probe}: {sentences.changed(event)}"


def _seat_sentence(event: bus.SeatChanged) -> str:
    driver = event.viewer or event.driver
    if event.reason == "asked":
        return f"the driver's seat of {driver} was asked for"
    if driver is None:
        how = {"left": "the driver left", "lapsed": "the driver did not stay"}.get(
            event.reason, "it was released"
        )
        return f"the driver's seat is free: {how}"
    match event.reason:
        case "granted":
            return f"{driver} was given the driver's seat"
        case "taken":
            return f"{driver} took the driver's seat"
        case _:
            return f"{len(event.asking)} ask for the driver's seat of {driver}"


def _lease_sentence(state: str, lease: bus.Lease | None) -> str:
    left = f"{lease.left:.0f} s" if lease else "a moment"
    match state:
        case "begun":
            return f"something stands; it runs on in {left} unless somebody stays"
        case "renewed":
            return f"somebody stays; what stands runs on in {left}"
        case "lapsed":
            return "nobody stayed: everything runs on, and the breakpoints sleep"
        case _:
            return "nothing stands any more"


def _breakpoints_sentence(changed: bus.BreakpointSet) -> str:
    where = changed.path or "functions"
    lines = (codec.decode_any(each).get("line") for each in changed.breakpoints)
    at = ", ".join(str(line) for line in lines if line is not None)
    if not changed.breakpoints:
        return f"session {changed.owner} has no breakpoints any more in {where}"
    return f"session {changed.owner} has breakpoints in {where}{f': {at}' if at else ''}"


def _place_sentence(event: bus.StopLocated) -> str:
    where = "" if event.path is None else f" at {PurePath(event.path).name}:{event.line}"
    return f"thread {event.thread} stands{where}{f' in {event.function}' if event.function else ''}"


def _dap_sentence(message: dict[str, object]) -> str:
    name = str(message.get("event", ""))
    body = message.get("body")
    if not isinstance(body, dict):
        return name
    match name:
        case "output":
            return f"output: {str(body.get('output', '')).rstrip()}"
        case "stopped":
            return f"thread {body.get('threadId')} stopped: {body.get('reason')} {body.get('text') or ''}".rstrip()
        case "continued":
            return f"thread {body.get('threadId')} continued"
        case "thread":
            return f"thread {body.get('threadId')} {body.get('reason')}"
        case _:
            return name
