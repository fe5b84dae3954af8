"""`sonde stack`: what every thread of a process does now."""

import argparse

from rich.console import Console
from rich.text import Text

from sonde_viewer import screen
from sonde_viewer.client import Viewer
from sonde_viewer.commands.connection import add_connection, add_json, document, print_json, with_viewer
from sonde_viewer.untrusted import one_line
from sonde_wire import bus

DESCRIPTION = (
    "Show the stacks of all threads of one process. Nothing is stopped for it, nor a debugger attached."
)
EXAMPLES = """\
  sonde stack worker
  sonde stack prod/shop/web-1 --json | jq '.threads[].name'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("process", help="its address, its service or instance, or the beginning of one")
    add_json(parser, "one JSON document, the innermost frame first")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    async def work(viewer: Viewer) -> int:
        process = await viewer.process(arguments.process)
        stacks = await viewer.stacks(process)
        if arguments.json:
            print_json({"process": process.process} | document(stacks))
            return 0
        console = screen.console()
        for thread in stacks.threads:
            _show(console, thread)
        return 0

    return with_viewer(arguments, work)


def _show(console: Console, thread: bus.ThreadStack) -> None:
    """The innermost frame last, as in a traceback."""
    daemon = ", daemon" if thread.daemon else ""
    console.print(Text(one_line(f"Thread {thread.name} ({thread.id}{daemon})"), style="bold"))
    if thread.truncated:
        console.print(Text("  ... outer frames are left out", style="dim"))
    for frame in reversed(thread.frames):
        where = Text(f"  {one_line(frame.path, 500)}:{frame.line}", style="cyan")
        console.print(where.append(f" in {one_line(frame.function)}", style="default"), soft_wrap=True)
        if frame.text:
            console.print(Text(f"    {one_line(frame.text.strip())}", style="dim"), soft_wrap=True)
    console.print()
