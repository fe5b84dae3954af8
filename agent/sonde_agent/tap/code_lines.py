"""Which lines of a source file have code in the process, and whose.

    loaded     functions that exist now, and what runs now: a breakpoint in these can be hit
    compiled   all of the file as it was imported, out of its .pyc: also what ran once and is gone

Nothing is compiled for it: that would issue the program's warnings once more.
"""

# pathlib costs a program that does not use it more at start than it would be worth here.
# ruff: noqa: PTH119

import marshal
import os
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from types import CodeType, FrameType, FunctionType
from typing import Any

from sonde_agent.records import Record
from sonde_agent.tap import inert, sources
from sonde_agent.tap.heap import current_frames, living

_HEADER = 16
"""Bytes of a .pyc before its code: magic, flags, and the source's time and size or its hash (PEP 552)."""
_MOST_CODES = 50_000


class FileCode:
    """The code of one file. Functions are named by their qualified names."""

    def __init__(self) -> None:
        self.loaded: dict[int, str] = {}
        """By line."""
        self.compiled: dict[int, str] = {}
        """By line; empty where there is no .pyc, as for a main script."""
        self.at_import: set[int] = set()
        """Lines of the module itself and of its classes, which run once."""
        self.importing = False
        """The module's own code runs now, as that of a main script does."""
        self.elsewhere: set[str] = set()
        """Paths that functions of the module say they are from, and that are not this file."""
        self.frozen = False
        """Functions of the module came out of the interpreter itself, and know no file."""
        self.firsts: dict[int, str] = {}
        """Functions by the line that they begin at."""

    def is_in_function(self, line: int) -> bool:
        """Whether it stands between a function's first line and its last one with code."""
        last: dict[str, int] = {}
        for lines in (self.loaded, self.compiled):
            for each, name in lines.items():
                last[name] = max(each, last.get(name, 0))
        return any(first < line <= last.get(name, 0) for first, name in self.firsts.items())


class Stamp(Record):
    """What a .pyc says of the source that it was compiled from."""

    modified: int
    size: int


def of_file(path: str, modules: Iterable[dict[str, Any]]) -> FileCode:
    """`modules` are the names in those modules that came from the file."""
    found = FileCode()
    own = {id(names) for names in modules}
    same = _SameFile(path)
    for code, names in _living():
        if same(code.co_filename):
            if code.co_name == "<module>":
                found.importing = True
            _add(code, found.loaded, found)
        elif id(names) in own and code.co_filename.startswith("<frozen "):
            found.frozen = True
        elif id(names) in own and not code.co_filename.startswith("<"):
            found.elsewhere.add(code.co_filename)
    for names in modules:
        if (whole := _compiled(names)) is not None:
            _add(whole, found.compiled, found)
    return found


def stamp(names: dict[str, Any]) -> Stamp | None:
    """Of the module's .pyc, where that goes by the source's time (PEP 552)."""
    head = (_pyc(names) or b"")[:_HEADER]
    if len(head) < _HEADER or head[4:8] != bytes(4):
        return None
    return Stamp(int.from_bytes(head[8:12], "little"), int.from_bytes(head[12:16], "little"))


def nearest(lines: Iterable[int], line: int, most: int = 3) -> list[int]:
    """Up to so many before and after, in order."""
    ordered = sorted(lines)
    here = bisect_left(ordered, line)
    after = ordered[here:]
    return [*ordered[max(0, here - most) : here], *[each for each in after if each != line][:most]]


class _SameFile:
    """Whether a code's file name means this file: the same path, or a link to it."""

    def __init__(self, path: str) -> None:
        self._real = os.path.realpath(path)
        self._names = {os.path.basename(path), os.path.basename(self._real)}
        self._known: dict[str, bool] = {path: True}

    def __call__(self, name: str) -> bool:
        if name not in self._known:
            alike = os.path.basename(name) in self._names
            self._known[name] = alike and os.path.realpath(name) == self._real
        return self._known[name]


def _living() -> Iterator[tuple[CodeType, dict[str, Any] | None]]:
    """Code that can still run, with the names of the module that it runs in."""
    for each in living(FunctionType):
        yield each.__code__, each.__globals__
    for innermost in current_frames().values():
        frame: FrameType | None = innermost
        while frame is not None:
            yield frame.f_code, frame.f_globals
            frame = frame.f_back


def _add(code: CodeType, lines: dict[int, str], found: FileCode) -> None:
    """The lines of a code and of those inside it; the innermost has a line."""
    waiting = [code]
    for _ in range(_MOST_CODES):
        if not waiting:
            return
        each = waiting.pop()
        once = _runs_once(each)
        if not once and not each.co_name.startswith("<"):
            found.firsts[each.co_firstlineno] = each.co_qualname
        for line in _lines_of(each):
            if once:
                found.at_import.add(line)
                lines.setdefault(line, each.co_qualname)
            else:
                found.at_import.discard(line)
                lines[line] = each.co_qualname
        waiting += [inner for inner in each.co_consts if type(inner) is CodeType]


def _runs_once(code: CodeType) -> bool:
    """The code of a module or of a class: it has no fast locals (CO_OPTIMIZED)."""
    return not code.co_flags & 1


def _lines_of(code: CodeType) -> set[int]:
    """Without the line of `def`, where a call begins and no debugger stops, unless the body stands there too."""
    lines = {line for _, _, line in code.co_lines() if line}
    if not code.co_name.startswith("<") and not _runs_once(code) and lines != {code.co_firstlineno}:
        lines.discard(code.co_firstlineno)
    return lines


def _compiled(names: dict[str, Any]) -> CodeType | None:
    content = _pyc(names)
    if content is None:
        return None
    try:
        code = marshal.loads(content[_HEADER:])  # noqa: S302 - the program itself has run it
    except (ValueError, EOFError, TypeError):
        return None
    return code if type(code) is CodeType else None


def _pyc(names: dict[str, Any]) -> bytes | None:
    """Of this interpreter's own version."""
    path = names.get("__cached__") or inert.attributes(names.get("__spec__")).get("_cached")
    if type(path) is not str:
        return None
    content = sources.read_file(os.path.realpath(path)) or b""
    magic = getattr(sys.modules.get("_frozen_importlib_external"), "MAGIC_NUMBER", b"")
    return content if magic and content.startswith(magic) else None
