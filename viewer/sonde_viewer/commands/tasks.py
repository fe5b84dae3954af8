"""`sonde tasks`: the asyncio tasks of a process, as a tree of what awaits what."""

import argparse
from collections.abc import Sequence
from pathlib import PurePosixPath

from rich.console import Console
from rich.text import Text

from sonde_viewer import screen
from sonde_viewer.awaiting import Line, tree
from sonde_viewer.client import Viewer
from sonde_viewer.commands.connection import (
    add_connection,
    add_json,
    complain,
    document,
    print_json,
    with_viewer,
)
from sonde_viewer.commands.stack import show_frame
from sonde_viewer.untrusted import one_line
from sonde_wire import looking

DESCRIPTION = """\
Show the asyncio tasks of one process and what awaits what. Nothing is stopped for it, nor a debugger attached.

A task stands below the one that awaits it. With each event loop comes how late it is; tasks of uvloop and anyio's
asyncio back end are shown as well, those of trio are not."""
EXAMPLES = """\
  sonde tasks worker
  sonde tasks worker --name handle --frames
  sonde tasks worker --flat
  sonde tasks prod/shop/web-1 --json | jq '.tasks[] | select(.state == "running")'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("process", help="its address, its service or instance, or the beginning of one")
    parser.add_argument(
        "--name", metavar="TEXT", help="only tasks whose name or coroutine has that in it, as a list"
    )
    parser.add_argument("--flat", action="store_true", help="a list, and no tree")
    parser.add_argument("--frames", action="store_true", help="all frames of each task, the innermost last")
    add_json(parser, "one JSON document, the innermost frame first")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    async def work(viewer: Viewer) -> int:
        process = await viewer.process(arguments.process)
        found = await viewer.tasks(process)
        wanted = [each for each in found.tasks if _is_wanted(each, arguments.name)]
        if arguments.json:
            shown = looking.Tasks(
                loops=found.loops, tasks=tuple(wanted), time=found.time, truncated=found.truncated
            )
            print_json({"process": process.process} | document(shown))
            return 0
        flat = arguments.flat or arguments.name is not None
        lines = [Line(each, 0) for each in wanted] if flat else tree(wanted)
        _show(screen.console(), found.loops, lines, frames=arguments.frames)
        if found.truncated:
            complain("the process has more tasks, or longer ones, than are shown")
        return 0

    return with_viewer(arguments, work)


def _is_wanted(task: looking.TaskInfo, text: str | None) -> bool:
    return text is None or text.lower() in task.name.lower() or text.lower() in task.coroutine.lower()


def _show(
    console: Console, loops: Sequence[looking.LoopInfo], lines: Sequence[Line], *, frames: bool
) -> None:
    known = {loop.id for loop in loops}
    if not loops and not lines:
        console.print("no asyncio event loop is there")
    for loop in loops:
        own = [line for line in lines if line.task.loop == loop.id]
        console.print(Text(_loop(loop, len({line.task.id for line in own})), style="bold"), soft_wrap=True)
        for line in own:
            _show_task(console, line, frames=frames)
        console.print()
    for line in lines:
        if line.task.loop not in known:
            _show_task(console, line, frames=frames)


def _loop(loop: looking.LoopInfo, tasks: int) -> str:
    where = f" in {loop.thread}" if loop.thread else ""
    if loop.lag is not None:
        lag = f", {loop.lag * 1000:.1f} ms late"
    else:
        lag = ", does not answer" if loop.thread else ", does not run"
    return one_line(f"{loop.implementation}{where}{lag}: {tasks} {'task' if tasks == 1 else 'tasks'}", 300)


def _show_task(console: Console, line: Line, *, frames: bool) -> None:
    task = line.task
    indent = "  " * (line.depth + 1)
    said = Text(indent).append(one_line(task.name), style="bold").append(f"  {one_line(task.coroutine)}  ")
    said.append(_what(line), style="green" if task.state == "running" else "yellow")
    if not frames and task.frames and not line.again:
        frame = _own_frame(task)
        said.append(f"  {one_line(frame.path, 500)}:{frame.line}", style="cyan")
    console.print(said, soft_wrap=True)
    if frames and not line.again:
        if task.truncated:
            console.print(Text(f"{indent}  ... outer frames are left out", style="dim"))
        for each in reversed(task.frames):
            show_frame(console, each, f"{indent}    ")


def _own_frame(task: looking.TaskInfo) -> looking.StackFrame:
    """The innermost that is not asyncio's: where it sleeps or waits tells less than what called that."""
    own = (each for each in task.frames if PurePosixPath(each.path).parent.name != "asyncio")
    return next(own, task.frames[0])


def _what(line: Line) -> str:
    task = line.task
    if line.again:
        return "(shown above)"
    if task.state == "running":
        return "runs"
    if task.awaits is not None:
        return "awaits the task below" if line.has_below else "awaits a task"
    return f"waits for {one_line(task.waits_for)}" if task.waits_for else "waits"
