"""`sonde metrics`: what one process uses, and the operations that its program measures."""

import argparse
import asyncio
from collections.abc import Callable

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sonde_viewer import screen
from sonde_viewer.client import Viewer
from sonde_viewer.commands.connection import add_connection, add_json, complain, print_json, with_viewer
from sonde_wire import bus

DESCRIPTION = (
    "Show what one process uses, and how the operations went that its program measures with "
    "sonde_agent.operation(): those of the last minute, or all since its start."
)
EXAMPLES = """\
  sonde metrics shop
  sonde metrics shop --watch
  sonde metrics prod/shop/web-1 --total
  sonde metrics shop --json | jq '.operations[] | {name, p99: .last_minute.duration.p99}'
"""
_FIRST_SAMPLE = 5.0
"""Seconds. Samples come once a second."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("process", help="its address, its service or instance, or the beginning of one")
    parser.add_argument("--total", action="store_true", help="operations since the start of the process")
    parser.add_argument("--watch", action="store_true", help="stay, and show each sample")
    add_json(parser, "each sample as it is on the wire, one a line")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    async def work(viewer: Viewer) -> int:
        process = await viewer.process(arguments.process)
        async with viewer.watch("metrics", process.process) as samples:
            try:
                async with asyncio.timeout(_FIRST_SAMPLE):
                    sample = await anext(samples)
            except TimeoutError:
                return complain(f"{process.process} has sent no metrics for {_FIRST_SAMPLE:.0f} s")
            if arguments.json:
                print_json(sample)
                if arguments.watch:
                    async for sample in samples:
                        print_json(sample)
                return 0
            console = screen.console()
            if not arguments.watch:
                console.print(_shown(sample, since_start=arguments.total))
                return 0
            with Live(console=console, auto_refresh=False) as live:
                live.update(_shown(sample, since_start=arguments.total), refresh=True)
                async for sample in samples:
                    live.update(_shown(sample, since_start=arguments.total), refresh=True)
        return 0

    return with_viewer(arguments, work)


def _shown(sample: bus.Metrics, *, since_start: bool) -> Group:
    parts: list[Text | Table] = [screen.cell(sample.process, "bold"), _figures(sample)]
    if sample.operations:
        parts += [Text(), _operations(sample, since_start=since_start)]
    if why := sample.unavailable.get("operations"):
        parts += [Text(), screen.cell(f"operations: {why}", "dim")]
    if sample.operations_dropped:
        dropped = f"{sample.operations_dropped} operations were not counted: there are too many names"
        parts += [Text(), screen.cell(dropped, "yellow")]
    return Group(*parts)


_FIGURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("CPU", "cpu_percent", lambda value: f"{value:.1f} %"),
    ("memory", "memory_rss", lambda value: f"{value / 2**20:.1f} MiB"),
    ("threads", "threads", lambda value: f"{value}"),
    ("open files", "open_fds", lambda value: f"{value}"),
    ("children", "children", lambda value: f"{value}"),
    ("switches, voluntary", "context_switches_voluntary", lambda value: f"{value}"),
    ("switches, involuntary", "context_switches_involuntary", lambda value: f"{value}"),
    ("collections", "gc_collections", lambda value: f"{value}"),
    ("objects collected", "gc_collected", lambda value: f"{value}"),
    ("objects uncollectable", "gc_uncollectable", lambda value: f"{value}"),
    ("event loop's lag", "event_loop_lag", screen.duration),
)


def _figures(sample: bus.Metrics) -> Table:
    table = screen.table("", "")
    table.show_header = False
    for title, field, shown in _FIGURES:
        value = getattr(sample, field)
        if value is not None:
            table.add_row(title, Text(shown(value)))
        elif why := sample.unavailable.get(field):
            table.add_row(title, screen.cell(f"- {why}", "dim"))
    return table


def _operations(sample: bus.Metrics, *, since_start: bool) -> Table:
    right = ("ACTIVE", "ENDED", "ERROR%", "CANCELLED", "SWALLOWED", "AVERAGE", "P50", "P90", "P99", "MOST")
    head = "OPERATION (SINCE START)" if since_start else "OPERATION (LAST MINUTE)"
    table = screen.table(head, *right, "ERRORS SINCE START", right=right)
    for operation in sorted(sample.operations, key=lambda each: each.name):
        counts = operation.total if since_start else operation.last_minute
        took = counts.duration
        times = (took.average, took.p50, took.p90, took.p99, took.most) if took else ()
        table.add_row(
            screen.cell(operation.name),
            str(operation.active),
            str(counts.ended),
            "-" if counts.error_rate is None else f"{counts.error_rate * 100:.1f}",
            str(counts.cancelled),
            screen.cell(str(counts.scope_errors), "bold yellow" if counts.scope_errors else ""),
            *(map(screen.duration, times) if times else ("-",) * 5),
            screen.cell(", ".join(f"{number} {kind}" for kind, number in operation.error_types.items())),
        )
    return table
