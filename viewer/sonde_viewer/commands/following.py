"""A probe's results as they come, a line or a few each."""

import argparse
import asyncio
import time

from rich.console import Console
from rich.text import Text

from sonde_viewer import screen
from sonde_viewer.client import Viewer
from sonde_viewer.commands.connection import complain, document, number_of, print_json
from sonde_viewer.following import ProbeEvent, is_spent
from sonde_viewer.probes import sentences, snapshots, tables
from sonde_viewer.untrusted import one_line
from sonde_wire import bus, rpc
from sonde_wire.probes import Counter, Gauge, Histogram, Measured, Timer

_MEASURING = (Counter, Gauge, Histogram, Timer)
_EACH = 1.0
"""Seconds between two looks at what only counts; the processes tell it once a second."""
_ROWS = 12
"""Of values, of one snapshot that passes by; `sonde snap show` has all."""
_FIGURES = ("count", "total", "last", "least", "p50", "p90", "p99", "most")


def add_options(parser: "argparse._ActionsContainer") -> None:
    parser.add_argument(
        "-f", "--follow", action="store_true", help="print what it brings, until Ctrl-C or its last hit"
    )
    parser.add_argument("--count", type=number_of, metavar="N", help="print so many results, then end")


async def follow(viewer: Viewer, detail: rpc.ProbeDetail, arguments: argparse.Namespace) -> int:
    """Until Ctrl-C, the probe's end, its last hit everywhere, or as many as `--count` says."""
    if isinstance(detail.info.probe.spec.kind, _MEASURING):
        end = await _measurements(viewer, detail, arguments.count, as_json=arguments.json)
    else:
        end = await _results(viewer, detail.info.probe.id, arguments.count, as_json=arguments.json)
    if end is not None:
        complain(sentences.ended(end, stays=not getattr(arguments, "rm", False)))
    return 0


async def _results(viewer: Viewer, probe: str, count: int | None, *, as_json: bool) -> rpc.ProbeInfo | None:
    """None: there were as many as were wanted."""
    console = screen.console()
    shown = lost = 0
    async with viewer.follow_probe(probe) as results:
        async for event in results:
            if results.lost > lost:
                complain(f"{results.lost - lost} events were lost on the way")
                lost = results.lost
            if as_json:
                print_json(as_document(event))
            else:
                show(console, event)
            shown += not isinstance(event, bus.ProbeChanged)
            if shown == count:
                return None
    return results.end


def as_document(event: ProbeEvent) -> dict[str, object]:
    """The event as it is on the wire; a snapshot with the id that finds it again."""
    named = {"id": bus.snapshot_id(event)} if isinstance(event, bus.SnapshotTaken) else {}
    return named | document(event)


def show(console: Console, event: ProbeEvent) -> None:
    match event:
        case bus.SnapshotTaken(captured=captured):
            said, style = f"{bus.snapshot_id(event)} {sentences.place(captured)}", "cyan"
        case bus.ProbeLogged(message=message):
            said, style = message, ""
        case bus.WatchChanged():
            said, style = sentences.changed(event), ""
        case bus.ProbeChanged(status=status):
            said, style = sentences.state(status), tables.STYLES[status.state]
    line = Text.assemble((screen.clock(event.time), "dim"), "  ", (event.process, "bold"), "  ")
    console.print(line.append(one_line(said, 1000), style=style), soft_wrap=True)
    if isinstance(event, bus.SnapshotTaken):
        snapshots.show_expressions(console, event.captured.expressions, rows=_ROWS, indent="    ")
        for frame in event.captured.frames[:1]:
            snapshots.show_locals(console, frame, rows=_ROWS, indent="    ")


async def _measurements(
    viewer: Viewer, detail: rpc.ProbeDetail, count: int | None, *, as_json: bool
) -> rpc.ProbeInfo | None:
    """A line for each process whose figures have changed, once a second. Likewise."""
    console = screen.console()
    known: dict[str, Measured] = {}
    shown = 0
    while True:
        for each in sorted(detail.processes, key=lambda each: each.process):
            measured = each.status.measured if each.status else None
            if measured is None or not measured.count or measured == known.get(each.process):
                continue
            known[each.process] = measured
            if as_json:
                print_json({"process": each.process, "probe": detail.info.probe.id, "measured": measured})
            else:
                _show_measured(console, each.process, measured, detail.info)
            shown += 1
            if shown == count:
                return None
        info = detail.info
        if info.state != "live" or is_spent(info, (each.status for each in detail.processes)):
            return info
        await asyncio.sleep(_EACH)
        detail = await viewer.probe(detail.info.probe.id)


def _show_measured(console: Console, process: str, measured: Measured, info: rpc.ProbeInfo) -> None:
    figures = zip(_FIGURES, tables.measured(measured, info.probe.spec), strict=True)
    said = "  ".join(f"{name} {figure}" for name, figure in figures if figure != "-")
    line = Text.assemble((screen.clock(time.time()), "dim"), "  ", (process, "bold"), f"  {said}")
    console.print(line, soft_wrap=True)
