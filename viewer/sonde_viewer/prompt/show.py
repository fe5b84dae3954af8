"""What the prompt prints, as plain text that is harmless on a terminal; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from sonde_viewer.prompt.breakpoints import Breakpoint
from sonde_viewer.stops import Stop
from sonde_viewer.untrusted import harmless, one_line
from sonde_wire import bus, dap

_CONTEXT = 2
"""Lines before and after the one where a thread stopped."""
_AWAIT_A_STOP = {"continue", "next", "step", "out", "pause"}

LAPSED = (
    "nobody stayed, so everything runs on and the breakpoints sleep; any command that asks the process arms them "
    "again, such as `threads` or `continue`"
)
ATTACHED_AGAIN = "the debugger is attached again, and your breakpoints are set again"


def stop(stopped: Stop, name: str, frame: Mapping[str, Any], lines: Sequence[str]) -> str:
    why = one_line(stopped.description or stopped.reason)
    detail = f": {one_line(stopped.text)}" if stopped.text and stopped.reason == "exception" else ""
    called = f" ({one_line(name)})" if name else ""
    return f"thread {stopped.thread}{called} stands: {why}{detail}\n{place(frame, lines)}"


def place(frame: Mapping[str, Any], lines: Sequence[str]) -> str:
    line = int(frame["line"])
    first, last = max(line - _CONTEXT, 1), min(line + _CONTEXT, len(lines))
    shown = source(lines, first, last, line)
    return f"> {_where(frame)}\n{shown}" if shown else f"> {_where(frame)}"


def source(lines: Sequence[str], first: int, last: int, current: int) -> str:
    width = len(str(last))
    return "\n".join(
        f"{number:>{width}} {'->' if number == current else '  '} {harmless(lines[number - 1])}".rstrip()
        for number in range(first, last + 1)
    )


def stack(frames: Sequence[Mapping[str, Any]], current: int) -> str:
    """The innermost last, as in pdb."""
    return "\n".join(
        f"{'>' if number == current else ' '} {_where(frame)}"
        for number, frame in reversed(list(enumerate(frames)))
    )


def breakpoint(each: Breakpoint) -> str:
    condition = f" if {harmless(each.condition)}" if each.condition else ""
    once = ", once" if each.temporary else ""
    problem = "" if each.verified else f", not set: {one_line(each.message) or 'no reason given'}"
    return f"breakpoint {each.number} at {one_line(each.path, 500)}:{each.line}{condition}{once}{problem}"


def others_breakpoints(owner: str, path: str | None, lines: Sequence[int]) -> str:
    where = "functions" if path is None else one_line(path, 500)
    at = ", ".join(map(str, lines))
    return f"{one_line(owner)} has breakpoints in {where}{f': {at}' if at else ''}"


def lease(left: float, driver: str | None, *, kept: bool) -> str:
    """`left` in seconds; `driver` is who must stay, when it is somebody else."""
    if kept:
        return f"runs on in {left:.0f} s unless you stay; kept while this prompt is open"
    return ending(left, driver)


def ending(left: float, driver: str | None) -> str:
    unless = f"{one_line(driver)} stays" if driver else "you do something"
    return f"runs on in {left:.0f} s unless {unless}"


def driver(name: str | None, *, me: bool) -> str:
    if me:
        return "you drive"
    if name is None:
        return "the driver's seat is free; `take` takes it, and so does the first step, continue or pause"
    return f"{one_line(name)} drives; `ask` asks for the seat"


def asked(driver: str) -> str:
    return f"{one_line(driver)} drives; you asked for the seat, and get it at the latest when they do nothing for 30 s"


def asks(name: str, me: bool) -> str:
    return f"{one_line(name)} asks for the driver's seat{': `grant`' if me else ''}"


def seat_changed(event: bus.SeatChanged, me: str, *, lost: bool) -> str:
    """For who did not do it. `lost`: the seat was theirs until now."""
    if event.driver is None:
        return driver(None, me=False)
    if event.driver == me:
        return "you drive now"
    why = ": the seat was asked for, and you did nothing for 30 s" if lost else ""
    return f"{one_line(event.viewer or event.driver)} drives now{why}; `ask` asks for the seat"


def debugger_lost(reason: str) -> str:
    how = "does not answer any more" if reason == "not_answering" else "was lost"
    return f"the debugger in the process {how}: everything runs on, and it is attached again"


def abandoned(command: str) -> str:
    """After Ctrl-C; the command is still under way in the process."""
    if command in _AWAIT_A_STOP:
        return "no longer waited for; the process runs on (`pause` stops it, `continue` waits again)"
    if command in {"print", "eval"}:
        deadline = dap.RULES["evaluate"].deadline
        return f"no longer waited for; it may run on in the process, which interrupts it {deadline:.0f} s after it began"
    return "no longer waited for"


def variables(listed: Sequence[Mapping[str, str]]) -> str:
    return "\n".join(f"{one_line(each['name'])} = {value(each['value'])}" for each in listed) or "none"


def value(text: str) -> str:
    return harmless(text)


def threads(listed: Sequence[Mapping[str, Any]], current: int | None) -> str:
    return "\n".join(
        f"{'>' if each['id'] == current else ' '} {each['id']}  {one_line(str(each.get('name', '')))}"
        f"{'  stands' if each['stopped'] else ''}"
        for each in listed
    )


def _where(frame: Mapping[str, Any]) -> str:
    path = (frame.get("source") or {}).get("path") or "<no file>"
    return f"{one_line(path, 500)}:{frame['line']} in {one_line(frame.get('name', ''))}"
