"""The stacks of all threads, without stopping any.

Reads `threading`'s table without its lock: a thread that is stopped inside `threading` would keep it.
"""

import threading
import time
from types import CodeType, FrameType
from typing import Any

from sonde_agent.tap import inert, redacting, sources, wall
from sonde_agent.tap.heap import current_frames
from sonde_agent.tap.identity import plain

MOST_FRAMES_OF_A_THREAD = 200
MOST_FRAMES = 10_000


def read() -> dict[str, Any]:
    """Fields of the wire's `Stacks`: innermost frame first, threads of the tap and of pydevd left out."""
    known: dict[int, threading.Thread] = getattr(threading, "_active", {}).copy()
    lines = sources.Lines()
    left = MOST_FRAMES
    threads = []
    for ident, innermost in current_frames().items():
        thread = known.get(ident)
        if wall.is_ours(thread):
            continue
        frames, truncated = _frames(innermost, min(left, MOST_FRAMES_OF_A_THREAD), lines)
        left -= len(frames)
        own = inert.attributes(thread)
        threads.append(
            {
                "id": ident,
                "name": redacting.current().text(plain(str(own.get("_name", "")) or f"thread {ident}")),
                "frames": frames,
                "daemon": own.get("_daemonic") is True,
                "truncated": truncated,
            }
        )
    threads.sort(key=lambda entry: entry["id"] != threading.main_thread().ident)
    return {"threads": threads, "time": time.time()}


def frame(code: CodeType, line: int | None, lines: sources.Lines) -> dict[str, Any]:
    """Fields of the wire's `StackFrame`."""
    line = line or code.co_firstlineno
    return {
        "path": plain(code.co_filename),
        "line": line,
        "function": plain(code.co_qualname),
        "text": lines.at(code.co_filename, line),
    }


def _frames(innermost: FrameType, most: int, lines: sources.Lines) -> tuple[list[dict[str, Any]], bool]:
    frames: list[dict[str, Any]] = []
    here: FrameType | None = innermost
    while here is not None and len(frames) < most:
        frames.append(frame(here.f_code, here.f_lineno, lines))
        here = here.f_back
    return frames, here is not None
