"""Recorded sessions in a terminal: which one is meant, all in a table, one in full."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sonde_viewer import names, screen
from sonde_viewer.client import Viewer
from sonde_viewer.errors import UnknownSession
from sonde_viewer.untrusted import one_line
from sonde_wire import bus, codec
from sonde_wire.history import SessionDetail, SessionRecord

_MOST = 1000
_CLOSED = {
    "viewer_left": "its viewer left it",
    "broker_lost": "the process lost the broker",
    "bus_lost": "the process lost the bus",
    "process_ended": "the process ended",
    "debugger_lost": "the debugger was lost",
}


async def named(viewer: Viewer, text: str) -> SessionRecord:
    """The session of that id, name or beginning of an id. An id is asked for itself when it is not among the newest.
    Raises `UnknownSession`, or `Refused` with the reason `unknown_session`."""
    known = await viewer.sessions(limit=_MOST)
    try:
        return names.session(text, known)
    except UnknownSession as error:
        if error.candidates or len(known) < _MOST:
            raise
        return (await viewer.session(text)).session


def table(records: Sequence[SessionRecord], now: float) -> Table:
    """The newest last."""
    made = screen.table("SESSION", "OPENED", "LASTED", "PROCESS", "VIEWER", "NAME", right=("LASTED",))
    for each in sorted(records, key=lambda each: each.opened):
        made.add_row(
            screen.cell(each.session, "bold"),
            screen.moment(each.opened, now=now).partition(".")[0],
            "-" if each.closed is None else screen.span(each.closed - each.opened),
            screen.cell(each.process),
            screen.cell(each.viewer),
            screen.cell(each.name),
        )
    return made


def show(console: Console, detail: SessionDetail, now: float) -> None:
    record, figures = detail.session, detail.statistics
    title = Text.assemble(("session ", ""), (one_line(record.session), "bold"))
    console.print(title.append(f"  {one_line(record.name)}" if record.name else ""), soft_wrap=True)
    console.print(_facts(detail, now))
    console.print()
    console.print(_kinds(figures.kinds))
    if figures.missing:
        console.print(Text(missing(figures.missing), "yellow"))
    if detail.breakpoints:
        console.print()
        console.print(Text("breakpoints, as they were set", "bold"))
        for each in detail.breakpoints:
            console.print(Text(f"  {one_line(breakpoints(each), 1000)}"), soft_wrap=True)


def missing(count: int) -> str:
    if count == 1:
        return "1 event of its time is missing: nobody has it"
    return f"{count} events of its time are missing: nobody has them"


def breakpoints(those: bus.BreakpointSet) -> str:
    lines = [codec.decode_any(each).get("line") for each in those.breakpoints]
    at = ", ".join(str(line) for line in lines if line is not None) or f"{len(lines)} of them"
    return f"{those.path or 'functions'}: {at if lines else 'none any more'}"


def closed(record: SessionRecord) -> str:
    if record.closed is None:
        return "it is open, or nobody saw its end"
    return _CLOSED.get(record.reason or "", record.reason or "")


def _facts(detail: SessionDetail, now: float) -> Table:
    record, figures = detail.session, detail.statistics
    stops = "stop" if figures.stops == 1 else "stops"
    stood = (
        f"{screen.duration(figures.stopped)} in all, {screen.duration(figures.longest_stop)} at the longest"
    )
    facts = {
        "process": record.process,
        "boot": record.boot,
        "viewer": record.viewer,
        "opened": screen.moment(record.opened, now=now),
        "closed": closed(record)
        if record.closed is None
        else f"{screen.moment(record.closed, now=now)}, because {closed(record)}",
        "lasted": "-" if figures.duration is None else screen.duration(figures.duration),
        "stood": f"{figures.stops} {stops}: {stood}" if figures.stops else "never",
        **{f"metadata {key}": value for key, value in sorted(record.metadata.items())},
    }
    made = screen.table("", "")
    made.show_header = False
    for name, fact in facts.items():
        made.add_row(screen.cell(name, "dim"), screen.cell(fact))
    return made


def _kinds(kinds: dict[str, int]) -> Table:
    made = screen.table("EVENTS", "KIND", right=("EVENTS",))
    for kind, count in sorted(kinds.items(), key=lambda each: (-each[1], each[0])):
        made.add_row(str(count), screen.cell(kind))
    return made
