"""`sonde stack`: what every thread of a process does now."""

import argparse
import asyncio
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from sonde_viewer import screen
from sonde_viewer.client import Viewer
from sonde_viewer.commands.connection import (
    add_connection,
    add_json,
    complain,
    document,
    print_json,
    seconds,
    with_viewer,
)
from sonde_viewer.untrusted import one_line
from sonde_wire import bus, looking

DESCRIPTION = """\
Show the stacks of all threads of one process. Nothing is stopped for it, nor a debugger attached.

Threads that stand at the same place are shown together. The innermost frame comes last, as in a traceback."""
EXAMPLES = """\
  sonde stack worker
  sonde stack worker --thread MainThread --every 1
  sonde stack prod/shop/web-1 --json | jq '.threads[].name'
"""
_MOST_NAMES = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("process", help="its address, its service or instance, or the beginning of one")
    parser.add_argument(
        "--thread", metavar="TEXT", help="only threads whose name has that in it, or whose id it is"
    )
    parser.add_argument("--every", type=seconds, metavar="SECONDS", help="look again and again, until Ctrl-C")
    add_json(parser, "one JSON document a look, the innermost frame first")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    async def work(viewer: Viewer) -> int:
        process = await viewer.process(arguments.process)
        while True:
            found = await _look(viewer, process, arguments.thread, as_json=arguments.json)
            if arguments.every is None:
                return 0 if found else complain(f"no thread is called {arguments.thread!r}")
            await asyncio.sleep(arguments.every)

    return with_viewer(arguments, work)


async def _look(viewer: Viewer, process: bus.Presence, wanted: str | None, *, as_json: bool) -> bool:
    """Whether there was anything to show."""
    stacks = await viewer.stacks(process)
    threads = [each for each in stacks.threads if wanted is None or _is_wanted(each, wanted)]
    if as_json:
        shown = looking.Stacks(threads=tuple(threads), time=stacks.time)
        print_json({"process": process.process} | document(shown))
    else:
        console = screen.console()
        for alike in _grouped(threads):
            _show(console, alike)
    return bool(threads) or wanted is None


def _is_wanted(thread: looking.ThreadStack, wanted: str) -> bool:
    return wanted.lower() in thread.name.lower() or wanted == str(thread.id)


def _grouped(threads: Sequence[looking.ThreadStack]) -> list[list[looking.ThreadStack]]:
    """Those with the same frames together, where the first of them is."""
    groups: dict[object, list[looking.ThreadStack]] = {}
    for thread in threads:
        groups.setdefault((thread.frames, thread.daemon, thread.truncated), []).append(thread)
    return list(groups.values())


def _show(console: Console, alike: Sequence[looking.ThreadStack]) -> None:
    thread = alike[0]
    console.print(Text(one_line(_title(alike), 500), style="bold"), soft_wrap=True)
    if thread.truncated:
        console.print(Text("  ... outer frames are left out", style="dim"))
    for frame in reversed(thread.frames):
        show_frame(console, frame, "  ")
    console.print()


def show_frame(console: Console, frame: looking.StackFrame, indent: str) -> None:
    where = Text(f"{indent}{one_line(frame.path, 500)}:{frame.line}", style="cyan")
    console.print(where.append(f" in {one_line(frame.function)}", style="default"), soft_wrap=True)
    if frame.text:
        console.print(Text(f"{indent}  {one_line(frame.text.strip())}", style="dim"), soft_wrap=True)


def _title(alike: Sequence[looking.ThreadStack]) -> str:
    daemon = ", daemon" if alike[0].daemon else ""
    if len(alike) == 1:
        return f"Thread {alike[0].name} ({alike[0].id}{daemon})"
    names = ", ".join(each.name for each in alike[:_MOST_NAMES])
    more = f" and {len(alike) - _MOST_NAMES} more" if len(alike) > _MOST_NAMES else ""
    return f"{len(alike)} threads{daemon} at the same place: {names}{more}"
