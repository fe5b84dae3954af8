"""`sonde ps`: the processes and what they use."""

import argparse
import asyncio

from rich.live import Live
from rich.table import Table

from sonde_viewer import screen
from sonde_viewer.client import Viewer
from sonde_viewer.commands.connection import (
    add_connection,
    add_json,
    complain,
    document,
    print_json,
    with_viewer,
)
from sonde_viewer.watch import Watch
from sonde_wire import bus

DESCRIPTION = "List the processes that a selector matches, once or live."
EXAMPLES = """\
  sonde ps
  sonde ps shop
  sonde ps 'prod/shop-*' --watch
  sonde ps --json | jq -r '.processes[].process'
"""
_FIRST_METRICS = 1.5
"""Seconds. Metrics come once a second; what has none by then is shown without."""
_REDRAW = 0.5
_STATE_STYLES = {"online": "green", "ended": "dim", "lost": "red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "selector", nargs="?", default="*", help="shop, prod/shop, prod/shop/web-*; default: all"
    )
    parser.add_argument("--all", action="store_true", help="also those that have ended")
    parser.add_argument("--watch", action="store_true", help="stay, and show what changes")
    add_json(parser, "one JSON document; with --watch each presence and metrics message on a line")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    async def work(viewer: Viewer) -> int:
        if arguments.watch:
            return await _watch(viewer, arguments.selector, everything=arguments.all, as_json=arguments.json)
        return await _once(viewer, arguments.selector, everything=arguments.all, as_json=arguments.json)

    return with_viewer(arguments, work)


class Fleet:
    """What is known so far; newest wins."""

    def __init__(self, *, everything: bool) -> None:
        self._everything = everything
        self._presence: dict[str, bus.Presence] = {}
        self._metrics: dict[str, bus.Metrics] = {}

    def add(self, item: bus.Presence | bus.Metrics) -> None:
        if isinstance(item, bus.Presence):
            self._presence[item.process] = item
        else:
            self._metrics[item.process] = item

    @property
    def complete(self) -> bool:
        return all(each.process in self._metrics for each, _ in self.rows() if each.state == "online")

    def rows(self) -> list[tuple[bus.Presence, bus.Metrics | None]]:
        shown = [each for each in self._presence.values() if self._everything or each.state != "ended"]
        return [(each, self._current(each)) for each in sorted(shown, key=lambda each: each.process)]

    def _current(self, presence: bus.Presence) -> bus.Metrics | None:
        """Metrics of an earlier boot, or from before the end, say nothing about now."""
        metrics = self._metrics.get(presence.process)
        return metrics if metrics and presence.state == "online" and metrics.boot == presence.boot else None


async def _once(viewer: Viewer, selector: str, *, everything: bool, as_json: bool) -> int:
    fleet = Fleet(everything=everything)
    async with viewer.watch("metrics", selector) as metrics:
        for presence in await viewer.processes(selector):
            fleet.add(presence)
        try:
            async with asyncio.timeout(_FIRST_METRICS):
                while not fleet.complete:
                    fleet.add(await anext(metrics))
        except TimeoutError:
            complain("some processes have sent no metrics yet")
    rows = fleet.rows()
    if as_json:
        print_json({"processes": [_document(presence, sample) for presence, sample in rows]})
    elif rows:
        screen.console().print(_table(rows))
    else:
        which = "no process is there" if selector == "*" else f"no process matches {selector!r}"
        complain(f"{which}; start one with: sonde run --service NAME -- app.py")
    return 0


async def _watch(viewer: Viewer, selector: str, *, everything: bool, as_json: bool) -> int:
    """Three tasks: two bring what changes, one draws. They end with the connection, or with Ctrl-C."""
    fleet = Fleet(everything=everything)

    async def follow(items: Watch[bus.Presence] | Watch[bus.Metrics]) -> None:
        async for item in items:
            fleet.add(item)
            if as_json:
                print_json(item)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(follow(viewer.watch("presence", selector)), name="ps follows presence")
        tasks.create_task(follow(viewer.watch("metrics", selector)), name="ps follows metrics")
        if not as_json:
            tasks.create_task(_draw(fleet), name="ps draws")
    return 0


async def _draw(fleet: Fleet) -> None:
    with Live(_table([]), console=screen.console(), auto_refresh=False) as live:
        while True:
            live.update(_table(fleet.rows()), refresh=True)
            await asyncio.sleep(_REDRAW)


def _document(presence: bus.Presence, metrics: bus.Metrics | None) -> dict[str, object]:
    return document(presence) | {"metrics": document(metrics) if metrics else None}


def _table(rows: list[tuple[bus.Presence, bus.Metrics | None]]) -> Table:
    table = screen.table(
        "STATE",
        "NAMESPACE",
        "SERVICE",
        "INSTANCE",
        "PID",
        "PYTHON",
        "CPU%",
        "RSS",
        "THREADS",
        "STOPPED",
        "DEBUGGER",
        right=("PID", "CPU%", "RSS", "THREADS", "STOPPED"),
    )
    for presence, metrics in rows:
        stopped = presence.stopped_threads
        table.add_row(
            screen.cell(presence.state, _STATE_STYLES[presence.state]),
            *(screen.cell(level) for level in presence.process.split("/")),
            str(presence.pid),
            screen.cell(presence.python),
            _number(metrics.cpu_percent if metrics else None),
            _size(metrics.memory_rss if metrics else None),
            _number(metrics.threads if metrics else None),
            screen.cell(str(stopped), "bold yellow" if stopped else ""),
            presence.debugger,
        )
    return table


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _size(value: int | None) -> str:
    return "-" if value is None else f"{value / 2**20:.1f}M"
