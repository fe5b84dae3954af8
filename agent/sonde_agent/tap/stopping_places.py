"""Whether a breakpoint in a file, at a line, can be hit: is the file loaded, is it the one that is meant, has the line
code that can still run?
"""

# pathlib costs a program that does not use it more at start than it would be worth here.
# ruff: noqa: PTH100, PTH113, PTH116, PTH117, PTH119, PTH206

import os
import re
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from sonde_agent.tap import code_lines, digest, identity, inert, sources
from sonde_agent.tap.findings import Found, fine, note, problem

MOST_SUGGESTIONS = 5
NEAR = 200
"""Lines with code that are further away than so many are not suggested."""
_CLOCKS = 2.0
"""Seconds by which the process's start, which the kernel counts from its own, may be wrong."""
_MOST_FIRSTS = 500
_TYPES_ONLY = r"(?:el)?if\s+(?:\w+\.)?TYPE_CHECKING\b"
_NEVER = r"(?:if|while)\s+(?:False|0|None)\s*:"


def examine(asked: str, line: int | None, sha256: str | None) -> tuple[list[Found], list[int]]:
    """The findings, and lines near the asked one where a breakpoint could be."""
    modules = dict(_modules())
    path = _resolve(asked, modules)
    if path is None:
        return [_not_loaded(asked, modules)], []
    names = modules[path]
    shown = os.path.basename(path)
    called = ", ".join(sorted(_module_name(each) for each in names))
    findings = [fine("file.loaded", f"{path} is loaded, as {called}")]
    code = code_lines.of_file(path, names)
    if code.elsewhere and not code.loaded:
        others = ", ".join(sorted(code.elsewhere)[:MOST_SUGGESTIONS])
        findings.append(
            problem(
                "file.code_path",
                f"the code of {called} says that it is from {others}: set the breakpoint there, or build it with its "
                "real path",
            )
        )
    if code.frozen and not code.loaded:
        findings.append(
            problem(
                "file.frozen",
                f"{called} came out of the interpreter itself, where its code has no file: start the program with "
                "-X frozen_modules=off to stop in it",
            )
        )
        return findings, []
    content = sources.read_file(os.path.realpath(path)) if not path.endswith(".pyc") else None
    if content is None:
        findings.append(
            note(
                "file.source",
                f"the source of {called} cannot be read here; lines are those of its code alone",
            )
        )
    else:
        findings += _content(shown, path, names, content, sha256, code)
    if line is None:
        return findings, []
    text = sources.decode(content).split("\n") if content is not None else []
    finding, lines = _line(shown, line, text, code)
    return [*findings, finding], lines


def _modules() -> dict[str, list[dict[str, Any]]]:
    """The names in each module, by the file that it is from."""
    found: dict[str, list[dict[str, Any]]] = {}
    for module in sys.modules.copy().values():
        names = inert.attributes(module) if issubclass(type(module), ModuleType) else {}
        path = names.get("__file__")
        if type(path) is str and path:
            same = found.setdefault(os.path.abspath(path), [])
            if not any(names is each for each in same):
                same.append(names)
    return found


def _module_name(names: dict[str, Any]) -> str:
    name = names.get("__name__")
    return name if type(name) is str else "?"


def _resolve(asked: str, modules: Iterable[str]) -> str | None:
    """The loaded file that is meant: itself, a link to it, or the one file that ends in these parts."""
    files = set(modules)
    if not sources.is_path(asked):
        return None
    if not os.path.isabs(asked):
        ending = os.sep + os.path.normpath(asked)
        meant = [each for each in files if each.endswith(ending)]
        return meant[0] if len(meant) == 1 else None
    path = os.path.normpath(asked)
    if path in files:
        return path
    name, real = os.path.basename(path), os.path.realpath(path)
    return next((each for each in files if os.path.realpath(each) == real), None) if name else None


def _not_loaded(asked: str, modules: Iterable[str]) -> Found:
    name = os.path.basename(asked)
    alike = [each for each in modules if os.path.basename(each) == name]
    alike.sort(key=lambda each: (-_shared_ending(asked, each), each))
    if alike:
        others = ", ".join(alike[:MOST_SUGGESTIONS])
        return problem(
            "file.loaded",
            f"{asked} is not loaded, but {others} is: use the path that the process has, or map yours to it",
        )
    if _stands_here(asked):
        return problem(
            "file.loaded", f"{asked} is there, but the process has not imported it: nothing of it can run yet"
        )
    return problem(
        "file.loaded",
        f"{asked} is not loaded, nor any other {name}: `sonde source PROCESS --list` shows what is",
    )


def _stands_here(path: str) -> bool:
    """Only of files that may be read as well: whether others exist is nobody's business."""
    return os.path.isabs(path) and sources.may_be_read(path) and os.path.isfile(path)


def _shared_ending(one: str, other: str) -> int:
    parts = zip(reversed(one.split(os.sep)), reversed(other.split(os.sep)), strict=False)
    shared = 0
    for mine, theirs in parts:
        if mine != theirs:
            break
        shared += 1
    return shared


def _content(
    shown: str,
    path: str,
    modules: list[dict[str, Any]],
    content: bytes,
    sha256: str | None,
    code: code_lines.FileCode,
) -> Iterator[Found]:
    if sha256 is not None:
        if digest.sha256(content) == sha256:
            yield fine("file.content", f"{shown} here and yours are the same")
        else:
            yield problem(
                "file.content",
                f"{shown} here is not what you have: lines may differ; look at it with `sonde source`, or check out "
                "what is deployed",
            )
    changed = _changed(path, modules, content, code)
    if changed is None:
        yield note(
            "file.changed",
            f"{shown} was written after the process started: it may not be what was imported; restart the process "
            "when lines do not fit",
        )
    elif changed:
        yield problem(
            "file.changed",
            f"{shown} has changed on disk since the process imported it: what runs is the old one, and breakpoints go "
            "by its lines; restart the process",
        )
    else:
        yield fine("file.changed", f"{shown} is as the process imported it")


def _changed(
    path: str, modules: list[dict[str, Any]], content: bytes, code: code_lines.FileCode
) -> bool | None:
    """Whether the file is another than was imported; None when it cannot be told.

    A .pyc holds the time and size of what was compiled, but another process may have written it anew, or could
    not; functions that do not begin where the text has one are proof.
    """
    lines = sources.decode(content).split("\n")
    for first in list(code.firsts)[:_MOST_FIRSTS]:
        text = lines[first - 1].strip() if first <= len(lines) else ""
        if not (text.startswith(("def ", "async ", "class ", "@")) or "lambda" in text):
            return True
    try:
        status = os.stat(path)
    except OSError:
        return None
    if status.st_mtime <= identity.process_started() + _CLOCKS:
        return False
    stamps = [stamp for stamp in map(code_lines.stamp, modules) if stamp is not None]
    of_disk = code_lines.Stamp(int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
    return True if stamps and of_disk not in stamps else None


def _line(shown: str, line: int, text: list[str], code: code_lines.FileCode) -> tuple[Found, list[int]]:
    near = _near(line, code)
    use = _use(near, line)
    where = f"{shown}:{line}"
    if line in code.loaded and line in code.at_import and code.importing:
        return note(
            "line.code",
            f"{where} has code that runs once, as the module does now: it is hit if it is still ahead, or in a loop",
        ), near
    if line in code.loaded and line not in code.at_import:
        return fine("line.code", f"{where} has code, in {code.loaded[line]}"), near
    if line in code.compiled and line not in code.at_import:
        return note(
            "line.code",
            f"{where} is in {code.compiled[line]}, which does not exist now: what makes it has not run, or it was "
            "replaced, as by a compiler or a wrapper",
        ), near
    if text and line > len(text):
        return problem("line.code", f"{shown} has {len(text)} lines only{use}"), near
    if _is_for_types(text, line):
        return problem(
            "line.code", f"{where} is under TYPE_CHECKING, which is false when a program runs{use}"
        ), near
    if line in code.at_import:
        return problem(
            "line.code", f"{where} ran once, when the module was imported, and does not run again{use}"
        ), near
    if _is_never(text, line):
        return problem("line.code", f"{where} can never run, so that it was given no code{use}"), near
    own = text[line - 1].strip() if 0 < line <= len(text) else ""
    if own.startswith("assert") and sys.flags.optimize:
        return problem(
            "line.code", f"{where} has no code, because -O leaves out assert statements{use}"
        ), near
    if not code.compiled and own and not own.startswith("#") and not code.is_in_function(line):
        why = "it ran once when the module was imported, or it is a part of a longer statement"
        return problem("line.code", f"{where} is in no function: {why}{use}"), near
    return problem("line.code", f"{where} has no code{use}"), near


def _near(line: int, code: code_lines.FileCode) -> list[int]:
    """Where a breakpoint could be instead."""
    hit = {each for each in code.loaded if each not in code.at_import or code.importing}
    hit |= {each for each in code.compiled if each not in code.at_import}
    return code_lines.nearest((each for each in hit if abs(each - line) <= NEAR), line)


def _use(near: list[int], line: int) -> str:
    """The last one before and the first one after."""
    best = [*[each for each in near if each < line][-1:], *[each for each in near if each > line][:1]]
    return f": use {' or '.join(str(each) for each in best)}" if best else ""


def _is_for_types(text: list[str], line: int) -> bool:
    return any(re.match(_TYPES_ONLY, head) for head in _blocks_around(text, line))


def _is_never(text: list[str], line: int) -> bool:
    return any(re.match(_NEVER, head) for head in _blocks_around(text, line))


def _blocks_around(text: list[str], line: int) -> Iterator[str]:
    """The heads of the blocks that a line stands in, by its indentation: good enough for a hint."""
    if not 0 < line <= len(text) or not text[line - 1].strip():
        return
    depth = _depth(text[line - 1])
    for above in reversed(text[: line - 1]):
        head = above.strip()
        if head and not head.startswith("#") and _depth(above) < depth:
            depth = _depth(above)
            yield head


def _depth(text: str) -> int:
    expanded = text.expandtabs()
    return len(expanded) - len(expanded.lstrip())
