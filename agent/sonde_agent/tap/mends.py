"""pydevd, mended while it is on and unmended when it is off: the one place that touches its private names.

It gets help that it needs (measured with 1.8.22), taken back by `take_off`:
- TCP_NODELAY on its socket before the first byte: it writes header and body apart, and each reply takes 44 ms
  otherwise;
- a wake-up for threads that continue: they look only every 200 ms otherwise;
- an end that does not wait: its reader waits for its writer and its writer for its reader, 500 ms, otherwise;
- from 3.12 on, LINE events for coroutines and generators that were suspended when a breakpoint was set: it is
  never hit in them otherwise.

Taking off means that tracing (3.11) or monitoring (3.12 on) goes from every thread, where pydevd would leave it
and with it a program that is several times slower.

The private names differ between versions. `Pydevd` collects all of them before anything is changed, so that a
debugpy which lacks one is refused.
"""

# pathlib costs a program that does not use it more at start than it would be worth here.
# ruff: noqa: PTH120

import atexit
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from types import CodeType, FrameType
from typing import Any

from sonde_agent.tap import code_events, sources
from sonde_agent.tap.errors import CallRefused

_KNOWN = ((1, 8, 22), (1, 9))
"""First known version, first unknown one; as in the dependencies of the distribution."""
_OUT_OF_CHILDREN = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYDEVD_USE_FRAME_EVAL": "NO"}
"""pydevd reads both while it is imported: without the first it prints warnings about frozen modules."""
_FLUSH_TIMEOUT = 0.05
"""Seconds that the end of pydevd may spend on what it has not yet sent; mostly there is nobody to send it to."""
_LOOK_AGAIN = 0.002
_DEEPEST_WAIT = 200
"""Frames above the one in which a thread is stopped: pydevd's own, and those of an evaluation."""


class Pydevd:
    """Every name of pydevd that is used, found at once. Raises `AttributeError` or `ImportError`."""

    def __init__(self, version: str, old_hook: Callable[..., Any]) -> None:
        self.version = version
        self._old_hook = old_hook
        self._own_hook = sys.breakpointhook
        self._pydevd = pydevd = import_module("pydevd")
        self._api = import_module("_pydevd_bundle.pydevd_api")
        self._constants = constants = import_module("_pydevd_bundle.pydevd_constants")
        self._canonical: Callable[[str], str] = import_module("pydevd_file_utils").canonical_normalized_path
        self._undo_thread_patches: Callable[[], None] = import_module(
            "_pydev_bundle.pydev_monkey"
        ).undo_patch_thread_modules
        self._log = import_module("_pydev_bundle.pydev_log")
        self._settrace: Callable[..., None] = pydevd.settrace
        self._setup_holder = pydevd.SetupHolder
        self._stoptrace: Callable[[], None] = pydevd.stoptrace
        self._debugger_class = pydevd.PyDB
        self._threads_seen: dict[int, threading.Thread] = constants._thread_id_to_thread_found
        self._waits: CodeType = pydevd.PyDB.do_wait_suspend.__code__
        self._global_debugger: Callable[[], Any] = constants.get_global_debugger
        self._holder = constants.GlobalDebuggerHolder
        self._after_fork: Callable[[], None] = constants.after_fork
        self._old: list[tuple[Any, str, Any]] = []
        self._monitors: bool = constants.PYDEVD_USE_SYS_MONITORING
        if self._monitors:
            self._monitoring = import_module("_pydevd_sys_monitoring.pydevd_sys_monitoring")
            _ = self._monitoring.stop_monitoring, self._monitoring.reset_thread_local_info
        self._tracing = import_module("pydevd_tracing")
        _ = (
            pydevd.start_client,
            self._api.resume_threads,
            self._debugger_class.on_breakpoints_changed,
            self._debugger_class.dispose_and_kill_all_pydevd_threads,
            self._holder.global_dbg,
            self._setup_holder.setup,
            self._tracing.set_trace_to_threads,
            self._tracing.restore_sys_set_trace_func,
            self._tracing.TracingFunctionHolder._original_tracing,
            self._log._LoggingGlobals._debug_stream,
            self._log._LoggingGlobals._debug_stream_initialized,
            constants.NULL,
            constants.STATE_RUN,
            constants.DebugInfoHolder.PYDEVD_DEBUG_FILE,
        )
        sys.breakpointhook = old_hook

    def check_free(self) -> None:
        """Raises `CallRefused` when another debugger or tracer is there, which pydevd would push out."""
        if self._global_debugger() is not None:
            raise _taken("debugpy is already in use in this process, by somebody else")
        if code_events.tool_is_taken():
            raise _taken("another debugger uses sys.monitoring in this process")
        if not self._monitors and threading.gettrace() is not None:
            raise _taken("another tracer, such as coverage, is active in this process")

    def connect(self, line: socket.socket, server_token: str, client_token: str) -> Any:
        """Returns pydevd's debugger once it traces all threads."""
        host, port = line.getpeername()[:2]
        self._replace(self._pydevd, "start_client", lambda *_: line)
        debugpy = os.path.dirname(str(sys.modules["debugpy"].__file__))
        self._settrace(
            host=host,
            port=port,
            suspend=False,
            access_token=server_token,
            client_access_token=client_token,
            protocol="dap",
            block_until_connected=True,
            wait_for_ready_to_run=False,
            patch_multiprocessing=False,
            notify_stdin=False,
            dont_trace_start_patterns=(debugpy, sources.OURS),
        )
        debugger = self._global_debugger()
        self._reach_suspended(debugger)  # for breakpoints that were set before it was ready
        return debugger

    def mend(self) -> None:
        """What is changed in pydevd while it is on."""
        resume = self._api.resume_threads
        changed = self._debugger_class.on_breakpoints_changed
        dispose = self._debugger_class.dispose_and_kill_all_pydevd_threads

        def resume_at_once(*args: Any, **options: Any) -> None:
            resume(*args, **options)
            if (debugger := self._global_debugger()) is not None:
                _wake_all(debugger)

        def dispose_at_once(debugger: Any, *_: Any, **__: Any) -> None:
            dispose(debugger, wait=False, timeout=_FLUSH_TIMEOUT)
            _wake_all(debugger)

        def reach_suspended_too(debugger: Any, *args: Any, **options: Any) -> None:
            changed(debugger, *args, **options)
            self._reach_suspended(debugger)

        if (
            not self._constants.DebugInfoHolder.PYDEVD_DEBUG_FILE
        ):  # else it writes to the program's standard error
            self._replace(self._log._LoggingGlobals, "_debug_stream", self._constants.NULL)
            self._replace(self._log._LoggingGlobals, "_debug_stream_initialized", True)
        self._replace(self._api, "resume_threads", resume_at_once)
        self._replace(self._debugger_class, "on_breakpoints_changed", reach_suspended_too)
        self._replace(self._debugger_class, "dispose_and_kill_all_pydevd_threads", dispose_at_once)
        sys.breakpointhook = self._own_hook

    def threads_of(self, debugger: Any) -> list[threading.Thread]:
        return list(debugger.created_pydb_daemon_threads.copy())

    def dispose(self, debugger: Any) -> None:
        debugger.dispose_and_kill_all_pydevd_threads()

    def wait_until_nothing_stands(self, debugger: Any, timeout: float) -> None:
        """Until the threads that were stopped have left pydevd's code, which what comes next takes away from under
        them. One that evaluates an endless expression stays in it."""
        deadline = time.monotonic() + timeout
        while self._something_stands() and time.monotonic() < deadline:
            _wake_all(debugger)
            time.sleep(_LOOK_AGAIN)

    def _something_stands(self) -> bool:
        for frame in sys._current_frames().values():
            inner: FrameType | None = frame
            for _ in range(_DEEPEST_WAIT):
                if inner is None:
                    break
                if inner.f_code is self._waits:
                    return True
                inner = inner.f_back
        return False

    def take_off(self) -> None:
        """Off is off; in any state."""
        if self._monitors:
            code_events.clear()
            self._monitoring.stop_monitoring(all_threads=True)
        else:
            self._untrace_all_threads()
        self._undo()
        self._release_ended_threads()

    def let_run(self) -> None:
        """A thread that was stopped when pydevd was disposed of runs, but is still marked as stopped or stepping:
        the next debugger would find it "stopped" wherever it happens to be."""
        for thread in getattr(threading, "_active", {}).copy().values():
            if (info := getattr(thread, "additional_info", None)) is not None:
                info.pydev_state = self._constants.STATE_RUN
                info.pydev_step_cmd = info.pydev_original_step_cmd = -1
                info.pydev_step_stop = None

    def forget(self, debugger: Any) -> None:
        """In a forked child, in the only thread there is."""
        if self._monitors:
            self._monitoring.stop_monitoring(all_threads=True)
            self._monitoring.reset_thread_local_info()
        else:
            self._tracing.restore_sys_set_trace_func()
            sys.settrace(None)
            threading.settrace(None)
        self._after_fork()
        debugger = debugger or self._holder.global_dbg
        if debugger is not None:
            debugger.created_pydb_daemon_threads = {}
        threading.current_thread().additional_info = None  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - pydevd's own attribute
        self._undo()

    def _undo(self) -> None:
        self._holder.global_dbg = None
        self._setup_holder.setup = None
        self._undo_thread_patches()
        atexit.unregister(self._stoptrace)
        if sys.breakpointhook is self._own_hook:
            sys.breakpointhook = self._old_hook
        while self._old:
            where, name, old = self._old.pop()
            setattr(where, name, old)

    def _release_ended_threads(self) -> None:
        """pydevd keeps each thread that it ever saw, its own with their sockets and the program's, so that no
        other gets its number while it is on."""
        alive = getattr(threading, "_active", {}).copy()
        for number, thread in self._threads_seen.copy().items():
            if alive.get(getattr(thread, "_ident", None)) is not thread:
                self._threads_seen.pop(number, None)

    def _replace(self, where: Any, name: str, new: Any) -> None:
        self._old.append((where, name, getattr(where, name)))
        setattr(where, name, new)

    def _untrace_all_threads(self) -> None:
        """Each thread takes its own trace function off at its next call. Not `sys.settrace` itself, which
        pydevd has replaced by one that warns."""
        set_trace = self._tracing.TracingFunctionHolder._original_tracing or sys.settrace

        def take_off(*_: Any) -> None:
            set_trace(None)

        self._tracing.set_trace_to_threads(take_off, create_dummy_thread=False)
        threading.settrace(None)
        self._tracing.restore_sys_set_trace_func()

    def _reach_suspended(self, debugger: Any) -> None:
        if not self._monitors:
            return
        wanted: Mapping[str, Mapping[int, Any]] = dict(debugger.breakpoints)
        if not wanted:
            return
        lines_of: dict[str, Mapping[int, Any]] = {}
        for code in code_events.suspended_codes():
            path = code.co_filename
            if path not in lines_of:
                lines_of[path] = wanted.get(self._canonical(path), {})
            if any(line in lines_of[path] for _, _, line in code.co_lines()):
                code_events.add_lines(code)
        code_events.restart()


def _wake_all(debugger: Any) -> None:
    """Threads that stand look whether they may go on."""
    for event in list(debugger._thread_events.values()):
        event.set()


def load() -> Pydevd:
    """Imports debugpy the first time. Raises `CallRefused`."""
    global _loaded
    if _loaded is not None:
        return _loaded
    hook = sys.breakpointhook
    before = {name: os.environ.get(name) for name in _OUT_OF_CHILDREN}
    os.environ.update({name: value for name, value in _OUT_OF_CHILDREN.items() if before[name] is None})
    try:
        version = _version()
        import_module("debugpy.server")
        _loaded = Pydevd(version, hook)
    except (ImportError, AttributeError) as error:
        raise unavailable(
            f"the debugpy of this process lacks {error.name or 'something'}, which Sonde needs: is it complete?"
        ) from None
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
    return _loaded


_loaded: Pydevd | None = None


def _version() -> str:
    """Raises `CallRefused` unless it is one that we know."""
    try:
        version = str(import_module("debugpy").__version__)
    except ImportError:
        raise unavailable("debugpy is not installed in this process: pip install sonde") from None
    if not _KNOWN[0] <= _numbers(version) < _KNOWN[1]:
        raise unavailable(
            f"debugpy {version} is installed in this process, but Sonde needs one from 1.8.22 on and below 1.9"
        )
    return version


def _numbers(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.split("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def unavailable(message: str) -> CallRefused:
    return CallRefused("unavailable", "debugger_unavailable", message)


def _taken(message: str) -> CallRefused:
    return CallRefused("failed_precondition", "debugger_unavailable", message)
