"""Where a probe is to be, as people write it: `shop/worker.py:33`, `shop.worker:Order.total`, `shop.worker:main:exit`."""

import argparse
import re
from pathlib import Path, PurePosixPath

from sonde_wire.probes import FunctionPlace, LinePlace, Place

HELP = """\
PLACE is one of
  FILE:LINE               such as shop/worker.py:33
  MODULE:FUNCTION         where a call begins, such as shop.worker:Order.total
  MODULE:FUNCTION:exit    where it ends
FILE is a path as the process has it, or the end of one: shop/worker.py finds /app/shop/worker.py. Two files that end so
are an error that names them. A line without code means the next one that has some. A module that is not loaded yet
gets its probe when it is."""

_LARGEST = 8 * 1024 * 1024
_WORD = r"[^\W\d]\w*"
_FUNCTION = re.compile(
    rf"(?P<module>{_WORD}(?:\.{_WORD})*):(?P<function>{_WORD}(?:\.(?:{_WORD}|<locals>|<lambda>))*|<lambda>)"
    r"(?::(?P<on>entry|exit))?"
)
_LINE = re.compile(r"(?P<path>.+):(?P<line>\d{1,8})")


def place(text: str) -> Place:
    """For argparse."""
    if found := _LINE.fullmatch(text):
        if not 1 <= int(found["line"]) <= 10_000_000:
            raise argparse.ArgumentTypeError("lines are counted from 1")
        return LinePlace(path=_path(found["path"]), line=int(found["line"]))
    if re.match(r"[^:]*\.py:", text):
        name = PurePosixPath(text.partition(":")[0]).stem
        raise argparse.ArgumentTypeError(
            f"{text!r} names a file and no line; a function is named by its module, as in {name}:main"
        )
    if found := _FUNCTION.fullmatch(text):
        module, function = found["module"], found["function"]
        return FunctionPlace(
            module=module, function=function, on="exit" if found["on"] == "exit" else "entry"
        )
    raise argparse.ArgumentTypeError(
        f"{text!r} is no place; use FILE:LINE, such as shop/worker.py:33, or MODULE:FUNCTION[:exit]"
    )


def _path(text: str) -> str:
    """Without `./`; with `..` it can be the end of no path, so that the whole one is meant."""
    path = PurePosixPath(text)
    return str(Path(text).resolve()) if ".." in path.parts else str(path)


def line_here(wanted: LinePlace) -> str | None:
    """The text of that line, where the file is on this machine too."""
    try:
        path = Path(wanted.path)
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, ValueError):
        return None
    return lines[wanted.line - 1].strip() if wanted.line <= len(lines) else None
