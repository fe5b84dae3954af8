"""The interpreter as it runs: its flags, garbage collector and event loops, and how it was started.

The command line and the environment are redacted before they leave.
"""

# pathlib costs a program that does not use it more at start than it would be worth here.
# ruff: noqa: PTH109

import gc
import os
import sys
import threading
from collections.abc import Iterable
from functools import partial
from types import FrameType, FunctionType, MethodType
from typing import Any

from sonde_agent.tap import greenlets, inert, loops, redacting, tasks, wall
from sonde_agent.tap.heap import current_frames
from sonde_agent.tap.identity import plain

MOST_ARGUMENTS = 256
MOST_VARIABLES = 500
MOST_PATHS = 200
_FLAGS = (
    "debug",
    "inspect",
    "interactive",
    "optimize",
    "dont_write_bytecode",
    "no_user_site",
    "no_site",
    "ignore_environment",
    "verbose",
    "bytes_warning",
    "quiet",
    "hash_randomization",
    "isolated",
    "dev_mode",
    "utf8_mode",
    "warn_default_encoding",
    "safe_path",
    "int_max_str_digits",
)
_MOST_TOOLS = 6
"""Of `sys.monitoring`: ids 0 to 5."""


def read() -> dict[str, Any]:
    """Fields of the wire's `Runtime`. Asks the loops for their lag, which takes up to `loops.PATIENCE` seconds."""
    words = [plain(word) for word in sys.orig_argv[:MOST_ARGUMENTS] if type(word) is str]
    redaction = redacting.current()
    argv, hidden = redaction.arguments(words)
    environment, more_hidden = redaction.environment(_variables())
    return {
        "python": plain(sys.version),
        "flags": flags(),
        "argv": argv,
        "environment": environment,
        "redacted": list(dict.fromkeys([*hidden, *more_hidden])),
        "gc_enabled": gc.isenabled(),
        "gc": _generations(),
        "loops": event_loops(),
        "threads": sum(not wall.is_ours(_thread(ident)) for ident in current_frames()),
        "directory": _directory(),
        "path": [plain(each) for each in sys.path.copy()[:MOST_PATHS] if type(each) is str],
    }


def flags() -> dict[str, int | str | bool]:
    """`sys.flags`, and what else changes how debugging goes."""
    known: dict[str, int | str | bool] = {
        name: getattr(sys.flags, name) for name in _FLAGS if hasattr(sys.flags, name)
    }
    known["implementation"] = sys.implementation.name
    known["free_threaded"] = is_free_threaded()
    known["frozen_modules"] = has_frozen_modules()
    known["gevent_patched"] = greenlets.have_replaced_threads()
    known["redaction"] = redacting.current().mode
    known["tracing"] = ", ".join(tracers())
    known["monitoring"] = ", ".join(monitors())
    for name, value in list(getattr(sys, "_xoptions", {}).items())[:20]:
        known[f"X {plain(str(name))[:80]}"] = (
            value if value is True else redacting.current().named(name, plain(str(value)))
        )
    return known


def is_free_threaded() -> bool:
    """Whether threads run Python at the same time; a build that could may still have the lock on."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    return enabled is not None and not enabled()


def has_frozen_modules() -> bool:
    """Whether the standard library's first modules came out of the interpreter itself."""
    return getattr(inert.names_in("os").get("__spec__"), "origin", None) == "frozen"


def tracers() -> list[str]:
    """Who traces, as far as it can be told from here: by the function for new threads, and by frames that run."""
    found = []
    hook = threading.gettrace()
    if hook is not None:
        found.append(_home(hook))
    for innermost in current_frames().values():
        frame: FrameType | None = innermost
        while frame is not None:
            if frame.f_trace is not None:
                found.append(_home(frame.f_trace))
                break
            frame = frame.f_back
    return list(dict.fromkeys(found))


def monitors() -> list[str]:
    """The tools that `sys.monitoring` knows of, from 3.12 on: debuggers, coverage, profilers."""
    if sys.version_info < (3, 12):
        return []
    tools = (sys.monitoring.get_tool(number) for number in range(_MOST_TOOLS))
    return [plain(tool) for tool in tools if type(tool) is str]


def event_loops() -> list[dict[str, Any]]:
    """Fields of the wire's `LoopInfo`."""
    found = tasks.event_loops()
    pulses = loops.feel(found.values())
    return [loops.describe(loop, pulses.get(key)) for key, loop in found.items()]


def _generations() -> list[dict[str, int]]:
    counted = zip(gc.get_threshold(), gc.get_count(), gc.get_stats(), strict=False)
    return [
        {
            "threshold": threshold,
            "count": count,
            "collections": seen["collections"],
            "collected": seen["collected"],
            "uncollectable": seen["uncollectable"],
        }
        for threshold, count, seen in counted
    ]


def _variables() -> dict[str, str]:
    """A copy that is made in one step; what the program put in the place of `os.environ` is not asked."""
    data = inert.attributes(os.environ).get("_data") if type(os.environ) is os._Environ else None
    if type(data) is not dict:
        return {}
    pairs: Iterable[tuple[Any, Any]] = sorted(data.copy().items())[:MOST_VARIABLES]
    return {plain(os.fsdecode(name)): plain(os.fsdecode(value)) for name, value in pairs}


def _thread(ident: int) -> threading.Thread | None:
    thread: threading.Thread | None = getattr(threading, "_active", {}).get(ident)
    return thread


def _home(function: Any) -> str:
    """Where a trace function is from, such as `coverage.collector`."""
    if type(function) is partial:
        function = function.func
    if type(function) is MethodType:
        function = function.__func__
    if type(function) is FunctionType:
        return plain(str(function.__globals__.get("__name__") or function.__code__.co_filename))
    return f"{inert.class_home(type(function))}.{inert.class_name(type(function))}"


def _directory() -> str:
    try:
        return plain(os.getcwd())
    except OSError:  # it is gone
        return ""
