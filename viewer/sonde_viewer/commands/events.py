"""`sonde events`: what happens in the processes, as it happens."""

import argparse
import asyncio

from rich.console import Console
from rich.text import Text

from sonde_viewer import screen
from sonde_viewer.client import Viewer
from sonde_viewer.commands.connection import (
    add_connection,
    add_json,
    complain,
    number_of,
    print_json,
    seconds,
    with_viewer,
)
from sonde_viewer.probes import sentences
from sonde_viewer.untrusted import one_line
from sonde_wire import bus, codec

DESCRIPTION = "Follow the events of the processes that a selector matches, until Ctrl-C."
EXAMPLES = """\
  sonde events -f
  sonde events shop -f
  sonde events --json --count 10 | jq .type
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "selector", nargs="?", default="*", help="shop, prod/shop, prod/shop/web-*; default: all"
    )
    parser.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="wait for more; what it does anyway, as no history is kept",
    )
    parser.add_argument("--count", type=number_of, metavar="N", help="end after so many")
    parser.add_argument("--for", type=seconds, dest="seconds", metavar="SECONDS", help="end after so long")
    add_json(parser, "each event as it is on the wire, one a line")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    async def work(viewer: Viewer) -> int:
        try:
            async with asyncio.timeout(arguments.seconds):
                await _follow(viewer, arguments.selector, arguments.count, as_json=arguments.json)
        except TimeoutError:
            return 0
        return 0

    return with_viewer(arguments, work)


async def _follow(viewer: Viewer, selector: str, count: int | None, *, as_json: bool) -> None:
    console = screen.console()
    shown = lost = 0
    async with viewer.watch("events", selector) as events:
        async for event in events:
            if events.lost > lost:
                complain(f"{events.lost - lost} events were lost on the way")
                lost = events.lost
            if as_json:
                print_json(event)
            else:
                _show(console, event)
            shown += 1
            if shown == count:
                return


def _show(console: Console, event: bus.AnyEvent) -> None:
    line = Text.assemble(
        (screen.clock(event.time), "dim"), "  ", (event.process, "bold"), "  ", one_line(sentence(event))
    )
    console.print(line, soft_wrap=True)


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
        case bus.DapEvent(message=message):
            return _dap_sentence(codec.decode_any(message))
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
