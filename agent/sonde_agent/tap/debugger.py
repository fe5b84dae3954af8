"""debugpy, connected only while somebody debugs: the one place that touches pydevd's private names.

    OFF -- connect --> ON (pydevd dials the sidecar, which is its one client) -- disconnect --> OFF

Nothing listens here and no adapter process is started: the sidecar is the adapter. pydevd gets help that it
needs (measured with 1.8.22), taken back when it is off:
- TCP_NODELAY on its socket before the first byte: it writes header and body apart, and each reply takes 44 ms
  otherwise;
- a wake-up for threads that continue: they look only every 200 ms otherwise;
- from 3.12 on, LINE events for coroutines and generators that were suspended when a breakpoint was set: it is
  never hit in them otherwise.

Off is off: when the socket has closed, pydevd's threads are waited for, and tracing (3.11) or monitoring (3.12
on) is taken from every thread, where pydevd would leave it and with it a program that is several times slower.

The private names differ between versions. `_Pydevd` collects all of them before anything is changed, so that a
debugpy which lacks one is refused.
"""

# pathlib costs a program that does not use it more at start than it would be worth here.
# ruff: noqa: PTH120

import atexit
import gc
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from ipaddress import ip_address
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, FunctionType, GeneratorType
from typing import Any

from sonde_agent.tap import sources, wall
from sonde_agent.tap.errors import CallRefused

CONNECT_TIMEOUT = 15.0
"""Seconds for importing debugpy and connecting."""
CLOSE_TIMEOUT = 2.0
"""Seconds that pydevd has to end by itself after its socket was closed."""
_KNOWN = ((1, 8, 22), (1, 9))
"""First known version, first unknown one; as in the dependencies of the distribution."""
_OUT_OF_CHILDREN = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYDEVD_USE_FRAME_EVAL": "NO"}
"""pydevd reads both while it is imported: without the first it prints warnings about frozen modules."""


def connect(host: str, port: int, server_token: str, client_token: str) -> dict[str, Any]:
    """Makes pydevd dial the sidecar; returns debugpy's version. Raises `CallRefused`.

    `server_token` is what the sidecar must show to pydevd, `client_token` what pydevd shows to the sidecar.
    """
    global _session
    if not _is_loopback(host):
        raise CallRefused("invalid_argument", "invalid_params", "the debugger connects to the loopback only")
    disconnect()
    _session = session = _Session()
    session.begin(host, port, server_token, client_token)
    if not session.begun.wait(CONNECT_TIMEOUT):
        raise CallRefused("deadline_exceeded", "no_answer", "debugpy did not connect in time; try again")
    if session.refusal is not None:
        _session = None
        raise session.refusal
    return {"debugpy": session.version}


def disconnect() -> None:
    """When the sidecar has closed pydevd's socket, or to close it; does nothing while it is off."""
    global _session
    if (session := _session) is not None:
        session.end()
        _session = None


def forget() -> None:
    """In a forked child: pydevd's threads stayed in the parent, but its breakpoints came along, and a thread
    that hits one waits for ever."""
    global _session
    session, _session = _session, None
    if session is not None:
        session.forget()


class _Session:
    """One connection. Its thread may still be inside pydevd when nobody waits for it any more; `_abandoned`
    then makes it clean up after itself."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.refusal: CallRefused | None = None
        self.version = ""
        self._line: socket.socket | None = None
        self._pydevd: _Pydevd | None = None
        self._database: Any = None
        self._abandoned = False

    def begin(self, host: str, port: int, server_token: str, client_token: str) -> None:
        """In a thread of its own: pydevd has no deadlines."""

        def run() -> None:
            try:
                self._begin(host, port, server_token, client_token)
            finally:
                if self._database is None and self.refusal is None:
                    self.refusal = _unavailable("debugpy could not be started in this process")
                self.begun.set()
                if self._abandoned:
                    self._clean_up()

        wall.start_thread(run, "sonde-debugger")

    def end(self) -> None:
        if not self.begun.is_set():
            self._abandoned = True
        elif self._database is not None:
            self._clean_up()

    def forget(self) -> None:
        if self._pydevd is not None:
            self._pydevd.forget(self._database)
        if self._line is not None:
            self._line.close()

    def _begin(self, host: str, port: int, server_token: str, client_token: str) -> None:
        try:
            self._pydevd = pydevd = _load()
            pydevd.check_free()
            self.version = pydevd.version
            self._line = line = _dial(host, port)
        except CallRefused as refusal:
            self.refusal = refusal
            return
        pydevd.mend()
        try:
            self._database = pydevd.connect(line, server_token, client_token)
        finally:
            if self._database is None:
                line.close()
                pydevd.take_off()

    def _clean_up(self) -> None:
        pydevd, database, line = self._pydevd, self._database, self._line
        if pydevd is None or line is None:
            return
        try:
            if not _ended(pydevd.threads_of(database), CLOSE_TIMEOUT):
                with suppress(OSError):  # the sidecar has just closed it
                    line.shutdown(socket.SHUT_RDWR)
                pydevd.dispose(database)
                _ended(pydevd.threads_of(database), CLOSE_TIMEOUT)
        finally:
            line.close()
            pydevd.take_off()
            pydevd.let_run()
            self._database = None


_session: _Session | None = None


class _Pydevd:
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
        if _monitoring_is_taken():
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

        def resume_at_once(*args: Any, **options: Any) -> None:
            resume(*args, **options)
            if (debugger := self._global_debugger()) is not None:
                for event in list(debugger._thread_events.values()):
                    event.set()

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
        sys.breakpointhook = self._own_hook

    def threads_of(self, debugger: Any) -> list[threading.Thread]:
        return list(debugger.created_pydb_daemon_threads.copy())

    def dispose(self, debugger: Any) -> None:
        debugger.dispose_and_kill_all_pydevd_threads(wait=False)

    def take_off(self) -> None:
        """Off is off; in any state."""
        if self._monitors:
            _clear_local_events()
            self._monitoring.stop_monitoring(all_threads=True)
        else:
            self._untrace_all_threads()
        self._undo()

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
        for code in _suspended_codes():
            path = code.co_filename
            if path not in lines_of:
                lines_of[path] = wanted.get(self._canonical(path), {})
            if any(line in lines_of[path] for _, _, line in code.co_lines()):
                _add_line_events(code)
        _restart_events()


def _load() -> _Pydevd:
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
        _loaded = _Pydevd(version, hook)
    except (ImportError, AttributeError) as error:
        raise _unavailable(
            f"the debugpy of this process lacks {error.name or 'something'}, which Sonde needs: is it complete?"
        ) from None
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
    return _loaded


_loaded: _Pydevd | None = None


def _version() -> str:
    """Raises `CallRefused` unless it is one that we know."""
    try:
        version = str(import_module("debugpy").__version__)
    except ImportError:
        raise _unavailable("debugpy is not installed in this process: pip install sonde") from None
    if not _KNOWN[0] <= _numbers(version) < _KNOWN[1]:
        raise _unavailable(
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


def _dial(host: str, port: int) -> socket.socket:
    try:
        line = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT)
    except (OSError, OverflowError):
        raise _unavailable("the sidecar cannot be reached for debugging") from None
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.settimeout(None)
    return line


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _ended(threads: list[threading.Thread], timeout: float) -> bool:
    """Whether all of pydevd's threads ended in time. Its own `join` would tell them to."""
    deadline = time.monotonic() + timeout
    for thread in threads:
        threading.Thread.join(thread, max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


if sys.version_info >= (3, 12):

    def _monitoring_is_taken() -> bool:
        return sys.monitoring.get_tool(sys.monitoring.DEBUGGER_ID) is not None

    def _restart_events() -> None:
        sys.monitoring.restart_events()

    def _suspended_codes() -> set[CodeType]:
        """Of coroutines and generators that exist now."""
        frames = [_frame_of(each) for each in gc.get_objects()]
        return {frame.f_code for frame in frames if frame is not None}

    def _frame_of(something: object) -> FrameType | None:
        """Compares types by identity, because anything else may run code of the program's metaclasses."""
        kind = type(something)
        if kind is CoroutineType:
            frame: FrameType | None = something.cr_frame
        elif kind is GeneratorType:
            frame = something.gi_frame
        elif kind is AsyncGeneratorType:
            frame = something.ag_frame
        else:
            return None
        return frame

    def _add_line_events(code: CodeType) -> None:
        monitoring = sys.monitoring
        events = monitoring.get_local_events(monitoring.DEBUGGER_ID, code)
        monitoring.set_local_events(monitoring.DEBUGGER_ID, code, events | monitoring.events.LINE)

    def _clear_local_events() -> None:
        """They stay with the code when the tool is freed, and each line of it would go on costing."""
        monitoring = sys.monitoring
        if monitoring.get_tool(monitoring.DEBUGGER_ID) is None:
            return
        functions = {each.__code__ for each in gc.get_objects() if type(each) is FunctionType}
        for code in functions | _suspended_codes():
            if monitoring.get_local_events(monitoring.DEBUGGER_ID, code):
                monitoring.set_local_events(monitoring.DEBUGGER_ID, code, 0)

else:

    def _monitoring_is_taken() -> bool:
        return False

    def _restart_events() -> None:
        return

    def _suspended_codes() -> set[CodeType]:
        return set()

    def _add_line_events(code: CodeType) -> None:
        return

    def _clear_local_events() -> None:
        return


def _unavailable(message: str) -> CallRefused:
    return CallRefused("unavailable", "debugger_unavailable", message)


def _taken(message: str) -> CallRefused:
    return CallRefused("failed_precondition", "debugger_unavailable", message)
