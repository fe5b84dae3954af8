"""A recorded debug session, gone through step by step. Pure: events in, states out.

Step 0 is before the first event; step n is what there was after the n-th. A state never changes, and is made from the one
before it, once: going back shows what was seen on the way there.

Where a thread stood is written down a moment after its stop (`stop_located`), and known here from the stop on. A session
that joined while a thread stood already has nothing but that of the stop: it is the stop then.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from sonde_viewer.stops import Stop, Stops
from sonde_wire import bus, codec
from sonde_wire.history import SessionDetail


class Place(Struct, frozen=True):
    path: str
    line: int


class State(Struct, frozen=True, kw_only=True):
    number: int
    time: float
    """Seconds since the epoch."""
    event: bus.AnyEvent | None = None
    """What led to it; None at step 0."""
    standing: tuple[Stop, ...] = ()
    """The threads that stood, the one that had stood longest first."""
    stops: int = 0
    """How many there had been."""
    is_stop: bool = False
    """Whether a thread has just come to stand."""
    places: Mapping[int, Place] = {}
    """Where those stood that are known to, by the stop's number."""
    breakpoints: tuple[bus.BreakpointSet, ...] = ()
    """Of all sessions that were told of, by owner and path."""
    driver: str | None = None
    """The session that drove."""
    viewer: str | None = None
    """Its subject."""
    attached: bool = False
    printed: int = 0
    """How many pieces of output there had been: `Replay.output` has them."""
    closed: str | None = None
    """Why the session was over, once it was."""

    def place(self, stop: Stop) -> Place | None:
        """Where it stood, as far as that was written down, or a breakpoint tells."""
        if stop.number in self.places:
            return self.places[stop.number]
        for each in self.breakpoints:
            for breakpoint in map(codec.decode_any, each.breakpoints):
                line = breakpoint.get("line")
                if (
                    breakpoint.get("id") in stop.breakpoints
                    and each.path is not None
                    and isinstance(line, int)
                ):
                    return Place(each.path, line)
        return None


class Replay:
    """`position` is the step where it is; `next`, `previous`, `goto`, `next_stop` and `previous_stop` move it and return its
    state. They stay where they are at the end, and there is no step beyond it."""

    def __init__(self, detail: SessionDetail, events: Iterable[bus.AnyEvent]) -> None:
        """`events` in the order of their numbers."""
        self.detail = detail
        self.events: Sequence[bus.AnyEvent] = tuple(events)
        self.position = 0
        self._states = [State(number=0, time=detail.session.opened)]
        self._output: list[str] = []

    def __len__(self) -> int:
        """How many steps there are behind the first."""
        return len(self.events)

    @property
    def state(self) -> State:
        return self._at(self.position)

    def next(self) -> State:
        return self.goto(self.position + 1)

    def previous(self) -> State:
        return self.goto(self.position - 1)

    def goto(self, number: int) -> State:
        """The nearest step that there is."""
        self.position = max(0, min(number, len(self.events)))
        return self.state

    def next_stop(self) -> State | None:
        """None, and it stays where it is, when there is none any more."""
        return self._look(range(self.position + 1, len(self.events) + 1))

    def previous_stop(self) -> State | None:
        return self._look(range(self.position - 1, 0, -1))

    def output(self, state: State | None = None) -> str:
        """What the program had printed until then, as far as it was told."""
        return "".join(self._output[: (state or self.state).printed])

    def _look(self, steps: Iterable[int]) -> State | None:
        found = next((step for step in steps if self._at(step).is_stop), None)
        return None if found is None else self.goto(found)

    def _at(self, number: int) -> State:
        while len(self._states) <= number:
            event = self.events[len(self._states) - 1]
            if isinstance(event, bus.Output):
                self._output.append(str(_said(event)[1].get("output", "")))
            later = map(self.events.__getitem__, range(len(self._states), len(self.events)))
            self._states.append(_after(self._states[-1], event, later))
        return self._states[number]


def _after(before: State, event: bus.AnyEvent, later: Iterable[bus.AnyEvent]) -> State:
    changes: dict[str, Any] = {}
    match event:
        case bus.DapEvent():
            changes = _told(before, *_said(event), later)
        case bus.StopLocated(thread=thread) if all(stop.thread != thread for stop in before.standing):
            changes = _told(before, "stopped", {"threadId": thread, "reason": event.reason}, (event,))
        case bus.Output():
            changes = {"printed": before.printed + 1}
        case bus.BreakpointsChanged(breakpoints=changed):
            changes = {"breakpoints": _changed(before.breakpoints, changed)}
        case bus.SeatChanged(driver=driver, viewer=viewer):
            changes = {"driver": driver, "viewer": viewer}
        case bus.LeaseChanged(state="ended" | "lapsed"):
            changes = {"standing": ()}
        case bus.DebuggerAttached():
            changes = {"attached": True}
        case bus.DebuggerDetached():
            changes = {"attached": False, "standing": ()}
        case bus.SessionClosed(reason=reason):
            changes = {"closed": reason}
        case bus.ProcessEnded():
            changes = {"attached": False, "standing": (), "closed": before.closed or "process_ended"}
        case _:
            pass
    kept = {name: getattr(before, name) for name in before.__struct_fields__}
    own = {"number": before.number + 1, "time": event.time, "event": event, "is_stop": False}
    return State(**(kept | own | changes))


def _told(before: State, name: str, body: dict[str, Any], later: Iterable[bus.AnyEvent]) -> dict[str, Any]:
    """What one of DAP's events changes; `later` says where a stop was."""
    stops = Stops(before.standing, before.stops)
    stops.handle(name, body)
    standing = {stop.number for stop in stops.standing}
    places = {number: place for number, place in before.places.items() if number in standing}
    is_stop = stops.count > before.stops
    if is_stop and (place := _written_down(body.get("threadId"), later)) is not None:
        places[stops.count] = place
    return {"standing": stops.standing, "stops": stops.count, "is_stop": is_stop, "places": places}


def _written_down(thread: Any, later: Iterable[bus.AnyEvent]) -> Place | None:
    """Before that thread is told of again."""
    for event in later:
        if isinstance(event, bus.StopLocated) and event.thread == thread:
            return None if event.path is None else Place(event.path, event.line)
        if isinstance(event, bus.DapEvent):
            name, body = _said(event)
            if name in {"stopped", "continued"} and body.get("threadId") == thread:
                return None
    return None


def _changed(
    before: tuple[bus.BreakpointSet, ...], changed: bus.BreakpointSet
) -> tuple[bus.BreakpointSet, ...]:
    others = [each for each in before if (each.owner, each.path) != (changed.owner, changed.path)]
    both = [*others, changed] if changed.breakpoints else others
    return tuple(sorted(both, key=lambda each: (each.owner, each.path or "")))


def _said(event: bus.DapEvent | bus.Output) -> tuple[str, dict[str, Any]]:
    """DAP's event and its body. What is not DAP says nothing."""
    message = codec.decode_any(event.message)
    if not isinstance(message, dict):
        return "", {}
    body = message.get("body")
    return str(message.get("event", "")), body if isinstance(body, dict) else {}
