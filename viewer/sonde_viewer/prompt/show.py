"""What the prompt prints, as plain text that is harmless on a terminal; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from sonde_viewer.prompt.breakpoints import Breakpoint
from sonde_viewer.stops import Stop
from sonde_viewer.untrusted import harmless, one_line

_CONTEXT = 2
"""Lines before and after the one where a thread stopped."""


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
