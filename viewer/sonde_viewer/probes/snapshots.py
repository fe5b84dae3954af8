"""Snapshots on a terminal: the stack with its locals as a tree, and what differs between two."""

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.text import Text

from sonde_viewer import screen
from sonde_viewer.probes import values
from sonde_viewer.probes.difference import Change, Difference, FrameChange
from sonde_viewer.probes.values import Row
from sonde_viewer.untrusted import one_line
from sonde_wire import bus
from sonde_wire.probes import Captured, CapturedExpression, CapturedFrame, Value

_WIDTH = 100
_LONGEST = 1000
"""Characters of one line; the rest is cut and said to be."""


def show(console: Console, event: bus.SnapshotTaken, *, rows: int, frames: int | None = None) -> None:
    """The innermost frame comes last, as in a traceback; `rows` of values for each frame, `frames` of the innermost."""
    captured = event.captured
    _say(console, f"snapshot {bus.snapshot_id(event)}, hit {event.hit} of probe {event.probe}", "bold")
    for line in _head(event):
        _say(console, line)
    if captured.expressions:
        console.print()
        show_expressions(console, captured.expressions, rows=rows)
    console.print()
    shown = captured.frames[:frames]
    if len(shown) < len(captured.frames):
        _say(console, f"... {len(captured.frames) - len(shown)} outer frames are left out", "dim")
    for frame in reversed(shown):
        _frame(console, frame, rows)


def _head(event: bus.SnapshotTaken) -> Iterator[str]:
    captured = event.captured
    task = captured.task
    doing = f", task {task.name}{f' ({task.coroutine})' if task.coroutine else ''}" if task else ""
    thread = captured.thread.name or captured.thread.id
    took = screen.duration(captured.duration)
    yield f"{event.process} at {screen.clock(event.time)}, thread {thread}{doing}; it took {took}"
    if captured.exception is not None:
        yield exception(captured)
    for name, value in captured.context.items():
        yield f"context {name} = {values.inline(value)}"


def exception(captured: Captured) -> str:
    raised = captured.exception
    if raised is None:
        return ""
    fate = {None: "", True: " (caught)", False: " (nobody catches it)"}[raised.caught]
    return f"raised {raised.type}: {raised.message}".removesuffix(": ") + fate


def show_expressions(
    console: Console, expressions: Iterable[CapturedExpression], *, rows: int, indent: str = ""
) -> None:
    for each in expressions:
        if each.node is None:
            _say(console, f"{indent}{each.text}  failed: {each.error}", "red")
        else:
            _values(console, [(each.text, each.node)], indent, rows)


def show_locals(console: Console, frame: CapturedFrame, *, rows: int, indent: str) -> None:
    _values(console, frame.locals or (), indent, rows)


def _frame(console: Console, frame: CapturedFrame, rows: int) -> None:
    where = Text(f"  {one_line(frame.path, 500)}:{frame.line}", style="cyan")
    console.print(where.append(f" in {one_line(frame.function)}", style="default"), soft_wrap=True)
    show_locals(console, frame, rows=rows, indent="      ")


def _values(console: Console, named: Iterable[tuple[str, Value]], indent: str, rows: int) -> None:
    left = rows
    for row in (row for name, value in named for row in values.tree(name, value, width=_WIDTH)):
        if left == 0:
            _say(console, f"{indent}... there is more; see --rows, or --json for all of it", "dim")
            return
        left -= 1
        _row(console, row, indent)


def _row(console: Console, row: Row, indent: str) -> None:
    line = Text(indent + "  " * row.depth)
    if row.name:
        line.append(one_line(row.name, _LONGEST), style="bold").append(" = ", style="dim")
    console.print(line.append(one_line(row.text, _LONGEST)), soft_wrap=True)


def show_difference(console: Console, difference: Difference) -> None:
    """`-` is of the first, `+` of the second."""
    for change in (*difference.about, *difference.expressions):
        _change(console, change, "")
    for frame in reversed(difference.frames):
        _say(console, _moved(frame), _frame_style(frame))
        for change in frame.changes:
            _change(console, change, "    ")


def _moved(frame: FrameChange) -> str:
    if frame.line_before is None:
        return f"+ {frame.path}:{frame.line_after} in {frame.function}"
    if frame.line_after is None:
        return f"- {frame.path}:{frame.line_before} in {frame.function}"
    moved = "" if frame.line_before == frame.line_after else f"{frame.line_before} -> "
    return f"  {frame.path}:{moved}{frame.line_after} in {frame.function}"


def _frame_style(frame: FrameChange) -> str:
    if frame.line_before is None:
        return "green"
    return "red" if frame.line_after is None else "cyan"


def _change(console: Console, change: Change, indent: str) -> None:
    _say(console, f"{indent}{change.name}", "bold")
    for sign, value, style in (("-", change.before, "red"), ("+", change.after, "green")):
        if value is not None:
            _say(console, f"{indent}  {sign} {values.inline(value)}", style)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(one_line(text, _LONGEST), style=style), soft_wrap=True)
