"""Which code a place means: code objects and the line in each where the probe is hit.

`of_line` and `of_function` are pure: they are told which code there is. `living` tells it: of functions that exist, of
what runs, is suspended, and of what these carry in their constants.

A line without code means the next one that has some. Of code that stands inside other code on one line, a comprehension is
left to what it stands in, and a module's or class's own code, which runs once, to the function.
"""

# pathlib costs a program that does not use it more at start than it would be worth here.
# ruff: noqa: PTH100, PTH117, PTH119

import os
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType, FunctionType
from typing import Any

from sonde_agent.records import Record
from sonde_agent.tap import heap, sources
from sonde_agent.tap.probes.specification import FunctionPlace, LinePlace

MOST_CODES = 100_000
MOST_SPOTS = 200
_OPTIMIZED = 1
_MOST_FILES = 20_000
_MOST_SHOWN = 5
Code = tuple[CodeType, str | None]
"""With the name of the module that it runs in, as far as that is known."""


class Spot(Record):
    """`line` is where the probe is hit: of a function's entry or exit the one that it begins at."""

    code: CodeType
    line: int


class Found(Record):
    """Nothing in `spots`: not loaded, or as `problem` says, a sentence. `is_ambiguous`: several files are meant."""

    spots: tuple[Spot, ...] = ()
    problem: str = ""
    is_ambiguous: bool = False


class Files:
    """Whether code's file name is what a path means: the same file, or the end of its path. Remembers what it was asked."""

    def __init__(self, path: str) -> None:
        self._asked = os.path.normpath(path)
        self._is_whole = os.path.isabs(self._asked)
        self._name = os.path.basename(self._asked)
        self._ending = os.sep + self._asked
        self._real = os.path.realpath(self._asked) if self._is_whole else ""
        self._known: dict[str, bool] = {}

    def __contains__(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            if len(self._known) > _MOST_FILES:
                self._known.clear()
            known = self._known[name] = self._means(name)
        return known

    def _means(self, name: str) -> bool:
        if os.path.basename(name) != self._name and name != self._asked:
            if not self._is_whole or os.path.basename(name) != os.path.basename(self._real):
                return False
        elif name == self._asked:
            return True
        if is_ours(name):
            return False
        if self._is_whole:
            return os.path.realpath(name) == self._real
        return os.path.abspath(name).endswith(self._ending)


def is_ours(name: str) -> bool:
    """Code of the agent itself has no probes."""
    return name.startswith(sources.OURS + os.sep)


def of_line(place: LinePlace, files: Files, codes: Iterable[Code]) -> Found:
    mine = list(_with_inner((code, module) for code, module in codes if code.co_filename in files))
    if several := ambiguity(place, (code for code, _ in mine)):
        return Found(problem=several, is_ambiguous=True)
    lines = {id(code): lines_of(code) for code, _ in mine}
    after = [line for each in lines.values() for line in each if line >= place.line]
    if not after:
        return Found(problem=f"{place.path} has no code at line {place.line} or after it" if mine else "")
    line = min(after)
    here = [code for code, _ in mine if line in lines[id(code)]]
    functions = [code for code in here if not runs_once(code)] or here
    inside = {id(inner) for code in functions for inner in code.co_consts if type(inner) is CodeType}
    spots = [Spot(code, line) for code in functions if not (id(code) in inside and _is_comprehension(code))]
    return Found(tuple(spots[:MOST_SPOTS]))


def of_function(place: FunctionPlace, codes: Iterable[Code]) -> Found:
    """By the name that the code itself has, so that a decorator in front of it does not matter."""
    mine = _with_inner((code, module) for code, module in codes if module == place.module)
    spots = [Spot(code, code.co_firstlineno) for code, _ in mine if code.co_qualname == place.function]
    return Found(tuple(spots[:MOST_SPOTS]))


def ambiguity(place: LinePlace, codes: Iterable[CodeType]) -> str:
    """A sentence when a path means several files; "" when it does not."""
    names: dict[str, str] = {}
    for name in {code.co_filename for code in codes}:
        names.setdefault(os.path.realpath(name), name)
    if len(names) < 2:
        return ""
    shown = ", ".join(sorted(names.values())[:_MOST_SHOWN])
    return f"{place.path} is the end of several paths: {shown}; give more of the one that is meant"


def lines_of(code: CodeType) -> set[int]:
    """Where it can be hit: without the line of `def`, where a call begins, unless its body stands there too; and in a
    module without those of its functions and classes, which would be their making."""
    lines = {line for _, _, line in code.co_lines() if line}
    if runs_once(code):
        inner = [each for each in code.co_consts if type(each) is CodeType and each.co_name[:1] != "<"]
        for each in inner:
            first = each.co_firstlineno
            lines -= {first, *range(first, min(lines_of(each), default=first))}
        return lines
    if not code.co_name.startswith("<") and lines != {code.co_firstlineno}:
        lines.discard(code.co_firstlineno)
    return lines


def runs_once(code: CodeType) -> bool:
    """The code of a module or class: it has no fast locals."""
    return not code.co_flags & _OPTIMIZED


def living() -> Iterator[Code]:
    """Each once, with the module of who has it. Takes about 60 ns for each object of the program (see `heap`)."""
    seen: set[int] = set()
    for function in heap.living(FunctionType):
        code = function.__code__
        if id(code) not in seen:
            seen.add(id(code))
            yield code, _module(function.__globals__)
    frames: list[FrameType | None] = [*heap.current_frames().values(), *heap.suspended_frames()]
    for innermost in frames:
        frame = innermost
        while frame is not None:
            if id(frame.f_code) not in seen:
                seen.add(id(frame.f_code))
                yield frame.f_code, _module(frame.f_globals)
            frame = frame.f_back


def module_of(frame: FrameType) -> str | None:
    return _module(frame.f_globals)


def _module(names: dict[str, Any]) -> str | None:
    name = dict.get(names, "__name__")
    return name if type(name) is str else None


def _with_inner(codes: Iterable[Code]) -> Iterator[Code]:
    """Each once, also where it is in several."""
    waiting = list(codes)
    seen: set[int] = set()
    while waiting and len(seen) < MOST_CODES:
        code, module = waiting.pop()
        if id(code) not in seen:
            seen.add(id(code))
            waiting += [(each, module) for each in code.co_consts if type(each) is CodeType]
            yield code, module


def _is_comprehension(code: CodeType) -> bool:
    return code.co_name in {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}


Look = Callable[[Iterable[Code]], Found]


def looking_for(place: LinePlace | FunctionPlace) -> tuple[Look, Files | None]:
    """How code for a place is found; and for a line, which files it is in."""
    if isinstance(place, FunctionPlace):
        return (lambda codes: of_function(place, codes)), None
    files = Files(place.path)
    return (lambda codes: of_line(place, files, codes)), files
