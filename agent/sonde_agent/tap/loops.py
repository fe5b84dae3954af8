"""The asyncio event loops of the process: which there are, which thread runs each, and how late each is.

asyncio is used as far as the program has imported it, and never imported here.
"""

import os
import threading
from _thread import allocate_lock, get_ident  # as they are: gevent may replace them later
from collections import deque
from collections.abc import Callable, Iterable
from operator import call
from time import monotonic
from types import FrameType
from typing import Any

from sonde_agent.records import Record
from sonde_agent.tap import inert
from sonde_agent.tap.heap import current_frames
from sonde_agent.tap.identity import plain

PATIENCE = 1.0
"""Seconds that all loops together have to get to what was put to them."""
_SCHEDULING = frozenset(
    {
        "__getattribute__",
        "_call_soon",
        "_check_callback",
        "_check_closed",
        "_write_to_self",
        "call_soon_threadsafe",
    }
)
"""Methods that take part in putting something to a loop; a loop for which the program has its own is left alone."""


class Pulse(Record):
    """What a loop did with something that was due. `lag` is in seconds; `thread` is the ident of its thread."""

    lag: float
    thread: int


def directory() -> str:
    """Where asyncio's own source is, with a separator at the end; empty while it is not imported."""
    path = inert.names_in("asyncio").get("__file__")
    return os.path.dirname(path) + os.sep if type(path) is str else ""  # noqa: PTH120 - see `sources`


def running() -> list[Any]:
    """The loops that some thread runs, as far as they are written in Python: one in C leaves no frame."""
    run = inert.function(_base_loop(), "run_forever")
    found: list[Any] = []
    if run is None:
        return found
    for frame in current_frames().values():
        inner: FrameType | None = frame
        while inner is not None:
            if inner.f_code is run.__code__:
                found.append(inner.f_locals.get("self"))
            inner = inner.f_back
    return [loop for loop in found if loop is not None]


def feel(loops: Iterable[Any]) -> dict[int, Pulse]:
    """The pulse of each loop that answered in time, by its id. Takes up to PATIENCE seconds, and no longer.

    What is put to a loop is made of functions in C alone: there is no frame of ours for a debugger to stop in.
    It may come late, or never; then nobody looks at it any more.
    """
    asked = []
    for loop in loops:
        over = allocate_lock()
        over.acquire()
        at = monotonic()
        seen = ask(loop, monotonic, get_ident, over.release)
        if seen is not None:
            asked.append((loop, at, seen, over))
    deadline = monotonic() + PATIENCE
    pulses = {}
    for loop, at, seen, over in asked:
        if over.acquire(timeout=max(0.0, deadline - monotonic())):
            pulses[id(loop)] = Pulse(lag=max(0.0, seen[0] - at), thread=seen[1])
    return pulses


def ask(loop: Any, *steps: Callable[[], object]) -> deque[Any] | None:
    """Puts functions in C to a loop; gives what their results will arrive in, all at once. None when it cannot be
    asked, or is closed by now."""
    schedule = _scheduling(loop)
    if schedule is None:
        return None
    seen: deque[Any] = deque()
    try:
        schedule(seen.extend, map(call, steps))
    except (RuntimeError, OSError):
        return None
    return seen


def describe(loop: Any, pulse: Pulse | None, thread: int | None = None) -> dict[str, Any]:
    """Fields of the wire's `LoopInfo`. `thread` is what is known of its thread without asking it."""
    kind = type(loop)
    described: dict[str, Any] = {
        "id": id(loop),
        "implementation": f"{inert.class_home(kind)}.{inert.class_name(kind)}",
    }
    ident = pulse.thread if pulse is not None else thread_of(loop) or thread
    if ident is not None:
        described["thread"] = thread_name(ident)
    if pulse is not None:
        described["lag"] = pulse.lag
    return described


def can_be_asked(loop: Any) -> bool:
    """Whether it runs, and putting something to it takes none of the program's code."""
    return _scheduling(loop) is not None


def thread_of(loop: Any) -> int | None:
    """The ident of the thread that runs it, as loops that are written in Python note it."""
    ident = inert.attributes(loop).get("_thread_id")
    return ident if type(ident) is int else None


def thread_name(ident: int) -> str:
    """Reads `threading`'s table without its lock, as `stacks` does."""
    name = inert.attributes(getattr(threading, "_active", {}).get(ident)).get("_name")
    return plain(name) if type(name) is str and name else f"thread {ident}"


def _scheduling(loop: Any) -> Callable[..., object] | None:
    """How to put something to a loop that runs, where that is asyncio's or uvloop's own code and nobody else's."""
    kind = type(loop)
    base = _base_loop()
    if type(base) is type and issubclass(kind, base):
        scheduling = inert.function(base, "call_soon_threadsafe")
        return scheduling.__get__(loop) if scheduling and thread_of(loop) and _is_own(kind, base) else None
    base = _uvloops()
    if type(base) is type and issubclass(kind, base) and _is_own(kind, base):
        methods = inert.class_attributes(base)
        return methods["call_soon_threadsafe"].__get__(loop) if methods["is_running"](loop) else None
    return None


def _is_own(kind: type, base: Any) -> bool:
    kinds = inert.bases(kind)
    for each in kinds[: kinds.index(base)]:
        if (
            not inert.class_home(each).startswith("asyncio.")
            and _SCHEDULING & inert.class_attributes(each).keys()
        ):
            return False
    return True


def _uvloops() -> Any:
    return inert.names_in("uvloop.loop").get("Loop")


def _base_loop() -> Any:
    return inert.names_in("asyncio.base_events").get("BaseEventLoop")
