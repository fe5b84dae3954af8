"""A state of a replay in words."""

from pathlib import PurePath

from rich.console import Console
from rich.text import Text

from sonde_viewer import telling
from sonde_viewer.recorded import sessions
from sonde_viewer.replay import Replay, State
from sonde_viewer.stops import Stop
from sonde_viewer.untrusted import harmless, one_line
from sonde_wire import bus

_OUTPUT = 10
"""Lines."""


def line(replay: Replay, state: State) -> Text:
    """Of a list: its number, when it was, what happened."""
    width = len(str(len(replay)))
    passed = state.time - replay.detail.session.opened
    said = "the session begins" if state.event is None else telling.sentence(state.event)
    where = [place for stop in state.standing[-1:] if state.is_stop and (place := _at(state, stop))]
    style = "bold yellow" if state.is_stop else ""
    return Text.assemble(
        (f"{state.number:>{width}}", "bold"),
        (f"  {passed:+10.3f} s  ", "dim"),
        (one_line("".join([said, *where]), 1000), style),
    )


def show(console: Console, replay: Replay, state: State) -> None:
    """Everything that there was at that step."""
    console.print(line(replay, state), soft_wrap=True)
    for stop in state.standing:
        text = f"thread {stop.thread} stands: {stop.reason}{_at(state, stop)} {stop.text}".rstrip()
        console.print(Text(f"    {one_line(text, 1000)}", "yellow"), soft_wrap=True)
    if state.driver is not None:
        console.print(Text(f"    {one_line(state.viewer or state.driver)} drives"))
    for each in state.breakpoints:
        console.print(Text(f"    {one_line(sessions.breakpoints(each), 1000)}", "dim"), soft_wrap=True)
    if isinstance(state.event, bus.Output):
        for printed in harmless(replay.output(state)).splitlines()[-_OUTPUT:]:
            console.print(Text(f"    | {printed}", "cyan"), soft_wrap=True)


def document(replay: Replay, state: State) -> dict[str, object]:
    return {
        "step": state.number,
        "time": state.time,
        "event": state.event,
        "standing": [
            {"thread": stop.thread, "reason": stop.reason, "place": state.place(stop)}
            for stop in state.standing
        ],
        "breakpoints": state.breakpoints,
        "driver": state.driver,
        "attached": state.attached,
        "closed": state.closed,
    }


def _at(state: State, stop: Stop) -> str:
    place = state.place(stop)
    return "" if place is None else f" at {PurePath(place.path).name}:{place.line}"
