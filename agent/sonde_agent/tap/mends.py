"""What is changed in pydevd while it is on, and how it is connected.

It gets help that it needs (measured with 1.8.22), taken back by `undo`:
- TCP_NODELAY on its socket before the first byte: it writes header and body apart, and each reply takes 44 ms
  otherwise;
- a wake-up for threads that continue: they look only every 200 ms otherwise;
- an end that does not wait: its reader waits for its writer and its writer for its reader, 500 ms, otherwise;
- from 3.12 on, LINE events for coroutines and generators that were suspended when a breakpoint was set: it is
  never hit in them otherwise;
- a list of the threads without the lock of `threading`: a thread may stand while it holds it, and pydevd would
  wait for it with its own lock in hand, which the thread needs to go on;
- a note of which threads stand since when, for the dead-man timer;
- evaluations that end and are answered (`evaluating`);
- from 3.12 on, lines without a breakpoint that cost nothing where a neighbour has one (`gated_lines`).
"""

# pathlib costs a program that does not use it more at start than it would be worth here.
# ruff: noqa: PTH120

import atexit
import os
import socket
import sys
import threading
from _thread import get_ident
from collections.abc import Mapping
from time import monotonic
from typing import Any

from sonde_agent.tap import code_events, off, sources
from sonde_agent.tap.evaluating import Evaluating
from sonde_agent.tap.gated_lines import GatedLines
from sonde_agent.tap.heap import without_collection
from sonde_agent.tap.interruption import Evaluations
from sonde_agent.tap.pydevd import Pydevd, wake_all

_FLUSH_TIMEOUT = 0.05
"""Seconds that the end of pydevd may spend on what it has not yet sent; mostly there is nobody to send it to."""


class Mends:
    """`apply`, `connect`, and in the end `undo`, which leaves nothing of either."""

    def __init__(self, pydevd: Pydevd, evaluations: Evaluations) -> None:
        self._pydevd = pydevd
        self.evaluating = Evaluating(pydevd, evaluations)
        self._old: list[tuple[Any, str, Any]] = []
        self._standing: dict[int, float] = {}

    def standing(self) -> list[float]:
        """Since when each thread stands that does."""
        return list(self._standing.values())

    def apply(self) -> None:
        pydevd = self._pydevd
        resume = pydevd.api.resume_threads
        changed = pydevd.debugger_class.on_breakpoints_changed
        dispose = pydevd.debugger_class.dispose_and_kill_all_pydevd_threads
        wait = pydevd.debugger_class.do_wait_suspend
        standing = self._standing

        def resume_at_once(*args: Any, **options: Any) -> None:
            resume(*args, **options)
            if (debugger := pydevd.current()) is not None:
                wake_all(debugger)

        def dispose_at_once(debugger: Any, *_: Any, **__: Any) -> None:
            dispose(debugger, wait=False, timeout=_FLUSH_TIMEOUT)
            wake_all(debugger)

        def reach_suspended_too(debugger: Any, *args: Any, **options: Any) -> None:
            changed(debugger, *args, **options)
            self._reach_suspended(debugger)

        def stand(*args: Any, **options: Any) -> None:
            ident = get_ident()
            before = standing.get(ident)
            standing[ident] = monotonic()
            try:
                wait(*args, **options)
            finally:
                if before is None:
                    standing.pop(ident, None)
                else:  # it stood again in the same place, as after a jump to another line
                    standing[ident] = before

        if (
            not pydevd.constants.DebugInfoHolder.PYDEVD_DEBUG_FILE
        ):  # else it writes to the program's standard error
            self._replace(pydevd.log._LoggingGlobals, "_debug_stream", pydevd.constants.NULL)
            self._replace(pydevd.log._LoggingGlobals, "_debug_stream_initialized", True)
        self._replace(pydevd.api, "resume_threads", resume_at_once)
        self._replace(pydevd.debugger_class, "on_breakpoints_changed", reach_suspended_too)
        self._replace(pydevd.debugger_class, "dispose_and_kill_all_pydevd_threads", dispose_at_once)
        self._replace(pydevd.debugger_class, "do_wait_suspend", stand)
        self._replace(pydevd.module, "threadingEnumerate", _all_threads)
        if not pydevd.monitors:  # in the list of all threads a collection of garbage may lock up, see `heap`
            trace = pydevd.tracing.set_trace_to_threads

            def trace_threads(
                function: Any, thread_idents: Any = None, create_dummy_thread: bool = True
            ) -> int:
                if thread_idents is not None:
                    return int(trace(function, thread_idents, create_dummy_thread))
                return int(without_collection(trace, function, None, create_dummy_thread))

            self._replace(pydevd.tracing, "set_trace_to_threads", trace_threads)
        gated = GatedLines(pydevd, self.evaluating.holds)
        for where, name, new in (*self.evaluating.replacements(), *gated.replacements()):
            self._replace(where, name, new)
        sys.breakpointhook = pydevd.own_hook

    def connect(self, line: socket.socket, server_token: str, client_token: str) -> Any:
        """Returns pydevd's debugger once it traces all threads."""
        host, port = line.getpeername()[:2]
        self._replace(self._pydevd.module, "start_client", lambda *_: line)
        debugpy = os.path.dirname(str(sys.modules["debugpy"].__file__))
        self._pydevd.module.settrace(
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
        debugger = self._pydevd.current()
        off.forget_thread(
            self._pydevd, threading.current_thread()
        )  # it ends, and pydevd keeps what it knows of it
        if debugger is not None:  # else the sidecar was gone again at once
            self._reach_suspended(debugger)  # for breakpoints that were set before it was ready
        return debugger

    def undo(self) -> None:
        pydevd = self._pydevd
        pydevd.holder.global_dbg = None
        pydevd.setup_holder.setup = None
        pydevd.monkey.undo_patch_thread_modules()
        atexit.unregister(pydevd.module.stoptrace)
        if sys.breakpointhook is pydevd.own_hook:
            sys.breakpointhook = pydevd.old_hook
        while self._old:
            where, name, old = self._old.pop()
            setattr(where, name, old)

    def _replace(self, where: Any, name: str, new: Any) -> None:
        self._old.append((where, name, getattr(where, name)))
        setattr(where, name, new)

    def _reach_suspended(self, debugger: Any) -> None:
        if not self._pydevd.monitors:
            return
        wanted: Mapping[str, Mapping[int, Any]] = dict(debugger.breakpoints)
        if not wanted:
            return
        lines_of: dict[str, Mapping[int, Any]] = {}
        for code in code_events.suspended_codes():
            path = code.co_filename
            if path not in lines_of:
                lines_of[path] = wanted.get(self._pydevd.canonical(path), {})
            if any(line in lines_of[path] for _, _, line in code.co_lines()):
                code_events.add_lines(code)
        self._pydevd.monitoring.restart_events()


def _all_threads() -> list[threading.Thread]:
    return list(getattr(threading, "_active", {}).values()) + list(getattr(threading, "_limbo", {}).values())
