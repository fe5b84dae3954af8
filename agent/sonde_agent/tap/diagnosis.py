"""Why is nothing seen? Why is a breakpoint in this file, at this line, not hit?

Answered from inside the process: what it has loaded, from where, and what there is to stop at. Each finding says
what to do next. What only the sidecar or the broker can know, such as sessions, is theirs to say.

    process   debugger.*, interpreter.*, loop.*, redaction    always
    file      file.*                               when a path is given, and until one is a problem ...
    line      line.*                               ... that makes the rest pointless
"""

# pathlib costs a program that does not use it more at start than it would be worth here.
# ruff: noqa: PTH120, PTH208

import os
import re
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import Any

from sonde_agent.tap import greenlets, inert, loops, pydevd, redacting, runtime, stopping_places, tasks
from sonde_agent.tap.findings import Found, fine, note, problem

_LATE = 0.1
"""Seconds that an event loop may be late without a note."""


def read(path: str | None, line: int | None, sha256: str | None) -> dict[str, Any]:
    """Fields of the wire's `Diagnosis`. Asks the loops for their lag, which takes up to `loops.PATIENCE` seconds."""
    findings = [*_debugger(), *_interpreter(), *_loops(), _redaction()]
    lines: list[int] = []
    if path is not None:
        of_file, lines = stopping_places.examine(path, line, sha256)
        findings += of_file
    return {"findings": findings, "lines": lines}


def _debugger() -> Iterator[Found]:
    version = debugpy_version()
    if version is None:
        yield problem(
            "debugger.importable",
            f"debugpy cannot be imported by {sys.executable}: install it beside the program (pip install sonde)",
        )
    elif version and not pydevd.is_known(version):
        yield problem(
            "debugger.importable",
            f"debugpy {version} is not one that Sonde is made for: install the one that comes with it (pip install "
            "sonde), beside the program",
        )
    else:
        yield fine("debugger.importable", f"debugpy {version or 'of an unknown version'} can be imported")
    strangers = [each for each in runtime.tracers() if not _is_debugpys(each)]
    if strangers:
        yield note(
            "debugger.tracers",
            f"{', '.join(strangers)} traces this process, which a debugger does as well: before Python 3.12 only one "
            "of them can; run it without",
        )
    tools = [each for each in runtime.monitors() if "debugpy" not in each and "pydevd" not in each]
    if tools:
        yield note(
            "debugger.tools",
            f"other tools watch this process: {', '.join(tools)}; one that has the place of the debugger keeps it out",
        )


def debugpy_version() -> str | None:
    """Of the debugpy that would be imported, without importing it; empty when it does not say, None for no debugpy.

    Asks the path alone: the program's own import hooks are its code.
    """
    loaded = inert.names_in("debugpy").get("__version__")
    if type(loaded) is str:
        return loaded
    spec = PathFinder.find_spec("debugpy")
    if spec is None or not spec.origin:
        return None
    place = os.path.dirname(os.path.dirname(spec.origin))
    try:
        beside = os.listdir(place)
    except OSError:
        return ""
    named = (re.fullmatch(r"debugpy-([0-9][\w.]*)\.dist-info", each) for each in beside)
    return next((each[1] for each in named if each), "")


def _is_debugpys(home: str) -> bool:
    return "pydevd" in home or "debugpy" in home


def _interpreter() -> Iterator[Found]:
    if greenlets.have_replaced_threads():
        yield problem("interpreter.gevent", greenlets.NO_DEBUGGER)
    if runtime.is_free_threaded():
        yield note(
            "interpreter.free_threaded", "threads run at the same time here; debugpy is not made for it yet"
        )
    if sys.flags.optimize:
        gone = "assert statements" if sys.flags.optimize == 1 else "assert statements and docstrings"
        yield note("interpreter.optimized", f"it runs with -{'O' * sys.flags.optimize}: {gone} have no code")
    yield fine("interpreter.version", f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}")


def _redaction() -> Found:
    mode = redacting.current().mode
    if mode == "off":
        return note("redaction", "secrets are shown: SONDE_REDACTION is off, which is for development")
    hidden = "secrets" if mode == "standard" else "all values"
    return fine("redaction", f"{hidden} are hidden (SONDE_REDACTION={mode})")


def _loops() -> Iterator[Found]:
    found = tasks.event_loops()
    pulses = loops.feel(found.values())
    for key, loop in found.items():
        pulse, ident = pulses.get(key), loops.thread_of(loop)
        if pulse is None and loops.can_be_asked(loop):
            whose = f"the event loop of {loops.thread_name(ident)}" if ident is not None else "an event loop"
            yield problem(
                "loop.blocked",
                f"{whose} did not get to anything for {loops.PATIENCE:g} s: a debugger has stopped its thread, or "
                "something in it does not await; `sonde stack` shows where it is",
            )
        elif pulse is not None and pulse.lag > _LATE:
            yield note(
                "loop.late",
                f"the event loop of {loops.thread_name(pulse.thread)} is late by {pulse.lag:.2f} s",
            )
