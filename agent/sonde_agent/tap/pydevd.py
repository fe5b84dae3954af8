"""The names of pydevd that are used, most of them private: found at once, before anything is changed, so that a
debugpy which lacks one is refused instead of half mended.
"""

import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from sonde_agent.tap import code_events
from sonde_agent.tap.errors import CallRefused

_KNOWN = ((1, 8, 22), (1, 9))
"""First known version, first unknown one; as in the dependencies of the distribution."""
_OUT_OF_CHILDREN = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYDEVD_USE_FRAME_EVAL": "NO"}
"""pydevd reads both while it is imported: without the first it prints warnings about frozen modules."""
_REQUEST_AT = {
    "internal_evaluate_expression_json": 0,
    "internal_set_expression_json": 0,
    "internal_get_variable_json": 0,
    "internal_change_variable_json": 0,
    "internal_get_exception_details_json": 0,
    "internal_get_step_in_targets_json": 3,
}
"""What pydevd runs in a thread on request, and which argument is the request."""
_COMPLETIONS = "internal_get_completions"
"""The same; its first argument is the request's number."""
_NAMES = {
    "pydevd": (
        "start_client",
        "settrace",
        "stoptrace",
        "threadingEnumerate",
        "SetupHolder.setup",
        "PyDB.on_breakpoints_changed",
        "PyDB.dispose_and_kill_all_pydevd_threads",
        "PyDB.do_wait_suspend",
        "PyDB.handle_breakpoint_condition",
        "PyDB.handle_breakpoint_expression",
    ),
    "_pydevd_bundle.pydevd_breakpoints": ("LineBreakpoint.handle_hit_condition",),
    "_pydevd_bundle.pydevd_api": ("resume_threads", "PyDevdAPI.send_error_message"),
    "_pydevd_bundle.pydevd_comm": (
        "InternalThreadCommand.do_it",
        "WriterThread.add_command",
        "ReaderThread",
        "filter_all_warnings",
        _COMPLETIONS,
        *_REQUEST_AT,
    ),
    "_pydevd_bundle.pydevd_comm_constants": ("CMD_RETURN",),
    "_pydevd_bundle.pydevd_constants": (
        "NULL",
        "STATE_RUN",
        "PYDEVD_USE_SYS_MONITORING",
        "DebugInfoHolder.PYDEVD_DEBUG_FILE",
        "GlobalDebuggerHolder.global_dbg",
        "_thread_id_to_thread_found",
        "_fork_safe_locks",
        "after_fork",
        "filter_all_warnings",
        "get_global_debugger",
    ),
    "_pydevd_bundle.pydevd_additional_thread_info": (
        "remove_additional_info",
        "PyDBAdditionalThreadInfo.pydev_state",
        "PyDBAdditionalThreadInfo.pydev_step_cmd",
        "PyDBAdditionalThreadInfo.pydev_original_step_cmd",
        "PyDBAdditionalThreadInfo.pydev_step_stop",
        "PyDBAdditionalThreadInfo.step_in_initial_location",
        "PyDBAdditionalThreadInfo.thread_tracer",
        "PyDBAdditionalThreadInfo.top_level_thread_tracer_unhandled",
        "PyDBAdditionalThreadInfo.top_level_thread_tracer_no_back_frames",
    ),
    "_pydevd_bundle.pydevd_io": ("redirect_stream_to_pydb_io_messages_context",),
    "_pydevd_bundle.pydevd_net_command": ("NetCommand",),
    "_pydevd_bundle.pydevd_net_command_factory_json": ("build_exception_info_response",),
    "_pydevd_bundle.pydevd_safe_repr": ("SafeRepr",),
    "_pydevd_bundle.pydevd_suspended_frames": ("_AbstractVariable.get_var_data",),
    "_pydevd_bundle.pydevd_vars": (
        "evaluate_expression.__wrapped__",
        "_EvalAwaitInNewEventLoop._on_run",
        "_EvalAwaitInNewEventLoop._async_func",
    ),
    "_pydev_bundle._pydev_completer": ("generate_completions",),
    "_pydev_bundle.pydev_log": (
        "_LoggingGlobals._debug_stream",
        "_LoggingGlobals._debug_stream_initialized",
    ),
    "_pydev_bundle.pydev_monkey": ("undo_patch_thread_modules",),
    "pydevd_file_utils": ("canonical_normalized_path",),
    "pydevd_tracing": (
        "set_trace_to_threads",
        "restore_sys_set_trace_func",
        "TracingFunctionHolder._original_tracing",
        "_last_tracing_func_thread_local",
    ),
}
_MONITORING_NAMES = (
    "stop_monitoring",
    "restart_events",
    "reset_thread_local_info",
    "suspend_current_thread_tracing",
    "resume_current_thread_tracing",
)
_MONITORING_EDITIONS = ("_pydevd_sys_monitoring_cython", "_pydevd_sys_monitoring")
"""Compiled and not: one of them is there and in use."""
_MONITORING_EDITION_NAMES = ("monitor", "sys", "_thread_local_info")
_MADE_BY = {
    "PyDB": (
        "breakpoints",
        "function_breakpoint_name_to_breakpoint",
        "has_plugin_line_breaks",
        "mtime",
        "pydb_disposed",
        "skip_print_breakpoint_exception",
        "skip_suspend_on_breakpoint_exception",
    ),
    "LineBreakpoint": ("condition", "expression", "hit_condition", "_hit_count", "_hit_condition_lock"),
}
"""Attributes that the objects of a class get when they are made."""


class Pydevd:
    """Raises `AttributeError` or `ImportError` with the name that is missing."""

    def __init__(self, version: str, old_hook: Callable[..., Any]) -> None:
        self.version = version
        self.old_hook = old_hook
        for module, names in _NAMES.items():
            for name in names:
                _find(module, name)
        self.module: Any = import_module("pydevd")
        _check_made(self.module.PyDB)
        _check_made(import_module("_pydevd_bundle.pydevd_breakpoints").LineBreakpoint)
        self.own_hook = sys.breakpointhook
        self.api = import_module("_pydevd_bundle.pydevd_api")
        self.comm = import_module("_pydevd_bundle.pydevd_comm")
        self.constants = import_module("_pydevd_bundle.pydevd_constants")
        self.io = import_module("_pydevd_bundle.pydevd_io")
        self.vars = import_module("_pydevd_bundle.pydevd_vars")
        self.factory: Any = import_module("_pydevd_bundle.pydevd_net_command_factory_json")
        self.infos = import_module("_pydevd_bundle.pydevd_additional_thread_info")
        self.completer = import_module("_pydev_bundle._pydev_completer")
        self.monkey = import_module("_pydev_bundle.pydev_monkey")
        self.log = import_module("_pydev_bundle.pydev_log")
        self.tracing: Any = import_module("pydevd_tracing")
        self.canonical: Callable[[str], str] = import_module("pydevd_file_utils").canonical_normalized_path
        self.safe_repr: Callable[[], Any] = import_module("_pydevd_bundle.pydevd_safe_repr").SafeRepr
        frames = import_module("_pydevd_bundle.pydevd_suspended_frames")
        self.variable_class: Any = frames._AbstractVariable
        self.debugger_class: Any = self.module.PyDB
        self.command_class: Any = self.comm.InternalThreadCommand
        self.writer_class: Any = self.comm.WriterThread
        self.holder: Any = self.constants.GlobalDebuggerHolder
        self.setup_holder: Any = self.module.SetupHolder
        self.monitors: bool = self.constants.PYDEVD_USE_SYS_MONITORING
        self.monitoring: Any = None
        self.monitoring_module: Any = None
        """Where the callbacks are: the module itself, which `monitoring` has only the names of."""
        if self.monitors:
            module = "_pydevd_sys_monitoring.pydevd_sys_monitoring"
            for name in _MONITORING_NAMES:
                _find(module, name)
            self.monitoring = import_module(module)
            self.monitoring_module = _home_of(self.monitoring.restart_events)
        self._net_command = import_module("_pydevd_bundle.pydevd_net_command").NetCommand
        self._returns = import_module("_pydevd_bundle.pydevd_comm_constants").CMD_RETURN
        sys.breakpointhook = old_hook

    def check_free(self) -> None:
        """Raises `CallRefused` when another debugger or tracer is there, which pydevd would push out."""
        if self.current() is not None:
            raise refused("debugpy is already in use in this process, by somebody else")
        if code_events.tool_is_taken():
            raise refused("another debugger uses sys.monitoring in this process")
        if not self.monitors and threading.gettrace() is not None:
            raise refused("another tracer, such as coverage, is active in this process")

    def current(self) -> Any:
        return self.constants.get_global_debugger()

    def request_of(self, command: Any) -> tuple[int, str] | None:
        """The number and name of the request that this internal command does for somebody, if it runs the
        program's code."""
        method = getattr(command.method, "__name__", "")
        if method == _COMPLETIONS:
            return command.args[0], "completions"
        if method not in _REQUEST_AT:
            return None
        request = command.args[_REQUEST_AT[method]]
        return request.seq, request.command

    def failure(self, seq: int, name: str, message: str) -> Any:
        body = {"type": "response", "request_seq": seq, "success": False, "command": name}
        return self._net_command(self._returns, 0, {**body, "message": message, "body": {}}, is_json=True)

    def warn(self, debugger: Any, message: str) -> None:
        """The viewers see it as output of the debugger."""
        self.api.PyDevdAPI().send_error_message(debugger, message)


def wake_all(debugger: Any) -> None:
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


def _find(module: str, name: str) -> None:
    found: Any = import_module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise AttributeError(name=f"{module}.{name}")
        found = getattr(found, part)


def _check_made(kind: Any) -> None:
    for name in _MADE_BY[kind.__name__]:
        if name not in kind.__init__.__code__.co_names:
            raise AttributeError(name=f"{kind.__module__}.{kind.__name__}.{name}")


def _home_of(restart_events: Any) -> Any:
    for edition in _MONITORING_EDITIONS:
        path = f"_pydevd_sys_monitoring.{edition}"
        module = sys.modules.get(path)
        if getattr(module, "restart_events", None) is restart_events:
            for name in _MONITORING_EDITION_NAMES:
                _find(path, name)
            return module
    raise AttributeError(name="_pydevd_sys_monitoring.restart_events")


def _version() -> str:
    """Raises `CallRefused` unless it is one that we know."""
    try:
        version = str(import_module("debugpy").__version__)
    except ImportError:
        raise unavailable("debugpy is not installed in this process: pip install sonde") from None
    if not is_known(version):
        raise unavailable(
            f"debugpy {version} is installed in this process, but Sonde needs one from 1.8.22 on and below 1.9"
        )
    return version


def is_known(version: str) -> bool:
    """Whether it is a debugpy for which the mends are made."""
    return _KNOWN[0] <= _numbers(version) < _KNOWN[1]


def _numbers(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.split("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def unavailable(message: str) -> CallRefused:
    return CallRefused("unavailable", "debugger_unavailable", message)


def refused(message: str) -> CallRefused:
    return CallRefused("failed_precondition", "debugger_unavailable", message)
