"""The terminal: Rich where there is one, the same text without colour or cut lines where there is none."""

import sys
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sonde_viewer.untrusted import one_line

_WIDE = 400
"""Columns when nobody looks: lines of a file or a pipe are never folded or cut."""


def console() -> Console:
    """Rich itself obeys NO_COLOR. Markup and highlighting are off: text from processes is text."""
    return Console(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else _WIDE)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(
            column, justify="right" if column in right else "left", no_wrap=True, overflow="ellipsis"
        )
    return made


def cell(text: str, style: str = "") -> Text:
    return Text(one_line(text), style=style)


def clock(time: float) -> str:
    """Seconds since the epoch, as a clock here shows them."""
    return datetime.fromtimestamp(time, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]


def moment(time: float, *, now: float) -> str:
    """Likewise, with the day unless it is today."""
    then, today = (datetime.fromtimestamp(each, UTC).astimezone() for each in (time, now))
    return clock(time) if then.date() == today.date() else f"{then:%Y-%m-%d} {clock(time)}"


def size(number: float) -> str:
    """Bytes, in the largest unit that has a whole one."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(number) < 1024 or unit == "GiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


def duration(seconds: float) -> str:
    """What something took."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.2f} ms" if seconds >= 0.001 else f"{seconds * 1e6:.1f} us"


def span(seconds: float) -> str:
    """How long something lasts, in whole units: `1h30m`, `45s`."""
    left = max(0, round(seconds))
    if left >= 3600:
        return f"{left // 3600}h{left % 3600 // 60:02}m" if left % 3600 >= 60 else f"{left // 3600}h"
    if left >= 60:
        return f"{left // 60}m{left % 60:02}s" if left % 60 else f"{left // 60}m"
    return f"{left}s"
