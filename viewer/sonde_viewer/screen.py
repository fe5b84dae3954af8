"""The terminal: Rich where there is one, the same text without colour or cut lines where there is none."""

import sys

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
