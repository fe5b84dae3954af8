"""Off is off: tracing (3.11) or monitoring (3.12 on) goes from every thread, where pydevd would leave it and with
it a program that is several times slower; and nothing of the program's keeps an object of pydevd's alive.

On 3.11 a thread that sits in C code keeps a trace function until its next call: one of ours, which knows nothing
but how to take itself off. It costs nothing while the thread sits there.
"""

import sys
import threading
from collections.abc import Callable
from types import FrameType, SimpleNamespace
from typing import Any

from sonde_agent.tap import code_events
from sonde_agent.tap.heap import current_frames, suspended_frames
from sonde_agent.tap.pydevd import Pydevd


def take_off(pydevd: Pydevd) -> None:
    """In any state, when nothing stands."""
    if pydevd.monitors:
        code_events.clear()
        pydevd.monitoring.stop_monitoring(all_threads=True)
    else:
        _untrace_all_threads(pydevd)


def let_go(pydevd: Pydevd, debugger: Any = None) -> None:
    """After the debugger was disposed of and everything that was changed is as before."""
    if debugger is not None:
        # Here, and not whenever the debugger is collected as garbage: it is a thread-local (see `heap`), and the program
        # may list all frames itself.
        debugger._local_thread_trace_func = SimpleNamespace()
    _forget_stops(pydevd)
    _release_ended_threads(pydevd)
    _release_ended_locks(pydevd)
    if not pydevd.monitors:
        _release_frames(pydevd)


def forget_thread(pydevd: Pydevd, thread: threading.Thread) -> None:
    """One that has ended, or is just about to: pydevd keeps what it knows of each for ever."""
    if (info := object.__getattribute__(thread, "__dict__").get("additional_info")) is not None:
        pydevd.infos.remove_additional_info(info)


def forget(pydevd: Pydevd, debugger: Any) -> None:
    """In a forked child, in the only thread there is: pydevd's own stayed in the parent."""
    if pydevd.monitors:
        pydevd.monitoring.stop_monitoring(all_threads=True)
        pydevd.monitoring.reset_thread_local_info()
    else:
        pydevd.tracing.restore_sys_set_trace_func()
        sys.settrace(None)
        threading.settrace(None)
    pydevd.constants.after_fork()
    debugger = debugger or pydevd.holder.global_dbg
    if debugger is not None:
        debugger.created_pydb_daemon_threads = {}
    threading.current_thread().additional_info = None  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - pydevd's own attribute


def _untrace_all_threads(pydevd: Pydevd) -> None:
    """Each thread takes its own trace function off at its next call. Not `sys.settrace` itself, which pydevd has
    replaced by one that warns."""
    tracing = pydevd.tracing
    set_trace: Callable[[None], None] = tracing.TracingFunctionHolder._original_tracing or sys.settrace

    def leave(*_: Any) -> None:
        set_trace(None)

    ours = {ident for ident, kept in _attributes_of_threads() if kept.get("pydev_do_not_trace")}
    # named, because it would take the lock of `threading` to find them
    tracing.set_trace_to_threads(leave, list(current_frames().keys() - ours), create_dummy_thread=False)
    threading.settrace(None)
    tracing.restore_sys_set_trace_func()


def _forget_stops(pydevd: Pydevd) -> None:
    """A thread that was stopped when pydevd was disposed of runs, but is still marked as stopped or stepping: the
    next debugger would find it "stopped" wherever it happens to be. It also holds on to what traced it."""
    for _, kept in _attributes_of_threads():
        if (info := kept.get("additional_info")) is not None:
            info.pydev_state = pydevd.constants.STATE_RUN
            info.pydev_step_cmd = info.pydev_original_step_cmd = -1
            info.pydev_step_stop = info.step_in_initial_location = None
            info.thread_tracer = info.top_level_thread_tracer_unhandled = None
            info.top_level_thread_tracer_no_back_frames = []


def _attributes_of_threads() -> list[tuple[int, dict[str, Any]]]:
    """Without a lock, and past a `__getattr__` of the program's."""
    active = getattr(threading, "_active", {}).copy()
    return [(ident, object.__getattribute__(thread, "__dict__")) for ident, thread in active.items()]


def _release_ended_threads(pydevd: Pydevd) -> None:
    """pydevd keeps each thread that it ever saw, its own with their sockets and the program's, so that no other
    gets its number while it is on."""
    seen: dict[int, threading.Thread] = pydevd.constants._thread_id_to_thread_found
    alive = getattr(threading, "_active", {}).copy()
    for number, thread in seen.copy().items():
        if alive.get(getattr(thread, "_ident", None)) is not thread:
            seen.pop(number, None)
            forget_thread(pydevd, thread)


def _release_ended_locks(pydevd: Pydevd) -> None:
    """pydevd lists its locks for a fork, and keeps in the list those that are gone: two more for each debugger."""
    locks: list[Callable[[], Any]] = pydevd.constants._fork_safe_locks
    locks[:] = [lock for lock in locks if lock() is not None]


def _release_frames(pydevd: Pydevd) -> None:
    """Each frame that was traced keeps what traced it for as long as it lives, and some live as long as the
    program: the loop of a worker, a coroutine that waits. So does each thread."""
    pydevd.tracing._last_tracing_func_thread_local = threading.local()
    for frame in (*current_frames().values(), *suspended_frames()):
        inner: FrameType | None = frame
        while inner is not None:
            if inner.f_trace is not None:
                inner.f_trace = None
            inner = inner.f_back
