"""The stacks of all threads, without stopping any.

Reads `threading`'s table without its lock: a thread that is stopped inside `threading` would keep it. Source
lines are read from disk here and not by `linecache`, whose cache is the program's.
"""

import sys
import threading
import time
from types import FrameType
from typing import Any

from sonde_agent.tap import sources, wall
from sonde_agent.tap.identity import plain

MOST_FRAMES_OF_A_THREAD = 200
MOST_FRAMES = 10_000
MOST_FILES = 200
"""Files of which source lines are shown; lines of further ones are left out."""
LONGEST_LINE = 200


def read() -> dict[str, Any]:
    """Fields of the wire's `Stacks`: innermost frame first, threads of the tap and of pydevd left out."""
    known: dict[int, threading.Thread] = getattr(threading, "_active", {}).copy()
    files: dict[str, list[str]] = {}
    left = MOST_FRAMES
    threads = []
    for ident, frame in sys._current_frames().items():
        thread = known.get(ident)
        if wall.is_ours(thread):
            continue
        frames, truncated = _frames(frame, min(left, MOST_FRAMES_OF_A_THREAD), files)
        left -= len(frames)
        threads.append(
            {
                "id": ident,
                "name": plain(str(getattr(thread, "_name", "")) or f"thread {ident}"),
                "frames": frames,
                "daemon": getattr(thread, "_daemonic", False) is True,
                "truncated": truncated,
            }
        )
    threads.sort(key=lambda entry: entry["id"] != threading.main_thread().ident)
    return {"threads": threads, "time": time.time()}


def _frames(
    innermost: FrameType, most: int, files: dict[str, list[str]]
) -> tuple[list[dict[str, Any]], bool]:
    frames: list[dict[str, Any]] = []
    frame: FrameType | None = innermost
    while frame is not None and len(frames) < most:
        code = frame.f_code
        line = frame.f_lineno or code.co_firstlineno
        frames.append(
            {
                "path": plain(code.co_filename),
                "line": line,
                "function": plain(code.co_qualname),
                "text": _source_line(code.co_filename, line, files),
            }
        )
        frame = frame.f_back
    return frames, frame is not None


def _source_line(path: str, line: int, files: dict[str, list[str]]) -> str:
    if path not in files:
        if len(files) >= MOST_FILES or path.startswith("<"):
            return ""
        files[path] = sources.decode(sources.read_file(path) or b"").split("\n")
    lines = files[path]
    return plain(lines[line - 1].strip()[:LONGEST_LINE]) if 0 < line <= len(lines) else ""
