"""From Python 3.12 on: a line without a breakpoint costs nothing, also where a neighbour has one.

pydevd has LINE events on the whole code of a function with a breakpoint, and keeps them: each line of it calls
pydevd. Here stands a gate in front of its callbacks, which gives a place up (`sys.monitoring.DISABLE`) where pydevd
would look and go on:

    a line with a breakpoint               pydevd is asked, always
    any other, while a thread stands or    pydevd is asked
    steps, or is to stand
    any other                              given up, until pydevd restarts all events

The condition of a breakpoint is decided here, before pydevd is asked, which costs more than most conditions; it then
takes the answer over. The first time it decides itself: so it is known whether it filters the code out.

pydevd restarts them (`restart_events`) whenever a thread is to stand, breakpoints are set or filters change, because
it gives up places itself in functions without breakpoints. So stepping, pausing and stopping are its own affair, whole.
Nothing is given up when a restart came while the gate was deciding.

What is replaced is what pydevd's module calls `monitor` (`sys.monitoring`) and its way to the program's frame, which is
the one that called it: the gate's own frame in between is passed over. Before 3.12 there is nothing to gate.

On 3.12 pydevd also hears of jumps, because a jump back within one line is no new line there, and skips the next event
of the line that it jumped to, if none comes in between. In between are the events given up here; so a function that
jumps within a line with a breakpoint keeps all of its own.
"""

import sys
import threading
from _thread import get_ident
from collections.abc import Callable
from types import CodeType, FrameType, SimpleNamespace
from typing import Any

from sonde_agent.tap import wall
from sonde_agent.tap.pydevd import Pydevd

APPLIED = True
"""Set to False before the debugger connects, pydevd's breakpoints are as pydevd makes them; to compare."""
_JUMPS = sys.version_info < (3, 13)
"""Whether pydevd hears of jumps."""
_ASK, _GIVE_UP, _PASS, _WATCH, _HOLDS = range(5)
"""What becomes of a line: ask pydevd; hear of it no more; nothing; ask, and see whether it filters the code; ask, and the
condition holds. Numbers, because it is decided for each hit."""
_SKIPS_NEXT = "f_disable_next_line_if_match"
"""pydevd's note, in its thread-local, of the line that it jumped to."""
_Callback = Callable[..., object]
_Holds = Callable[[Any, Any, Any, Any], bool]
"""Of a debugger, what it knows of the thread, a breakpoint and a frame."""
_gates: set[int] = set()
"""The code of the callbacks here, by identity, which is kept by the functions that make them."""
_getframe = sys._getframe

if sys.version_info >= (3, 12):

    class _Era:
        """What is known of breakpoints between two restarts of all events."""

        def __init__(self, mtime: int) -> None:
            self.mtime = mtime
            """pydevd's count of changes."""
            self.points: dict[str, dict[int, Any]] = {}
            """Breakpoints by the files of code."""
            self.debugged: dict[int, CodeType] = {}
            """By identity: code that pydevd filters out by no rule, as it has shown itself."""

    class GatedLines:
        """`replacements`, to be put in the place of pydevd's own by `mends`."""

        def __init__(self, pydevd: Pydevd, holds: _Holds) -> None:
            self._pydevd = pydevd
            self._holds = holds
            self._held: dict[int, Any] = {}
            """By thread: the breakpoint whose condition has just been found to hold."""
            self._own = threading.local()
            """What pydevd knows of the thread, as `info`."""
            self._monitoring = sys.monitoring
            self._runs = pydevd.constants.STATE_RUN
            self._era = _Era(-1)
            self._whole: dict[int, CodeType] = {}
            """By identity: code whose events are all kept."""
            events = self._monitoring.events
            self._unheard = events.PY_RESUME | events.JUMP
            """Events that pydevd turns on, and does not listen to in every Python: they would cost all the same."""
            self._gates: dict[int, Callable[[_Callback], _Callback]] = {
                events.LINE: self._lines,
                events.JUMP: self._jumps,
                events.PY_START: self._starts,
            }

        def replacements(self) -> list[tuple[Any, str, Any]]:
            """Of what, which name, and by what."""
            pydevd = self._pydevd
            if not (APPLIED and pydevd.monitors):
                return []
            module = pydevd.monitoring_module
            monitor = SimpleNamespace(
                **{name: getattr(self._monitoring, name) for name in dir(self._monitoring)}
            )
            monitor.register_callback = self._register
            monitor.set_events = self._set_events
            monitor.set_local_events = self._set_local_events
            monitor.restart_events = self._restart
            compiled = not hasattr(module, "_getframe")
            return [
                (module, "monitor", monitor),
                (module, "sys", _System()) if compiled else (module, "_getframe", _frame_of_program),
                (pydevd.debugger_class, "handle_breakpoint_condition", self._decided()),
            ]

        def _register(self, tool: int, event: int, callback: _Callback | None) -> object:
            if callback is not None:
                self._unheard &= ~event
                if event in self._gates:
                    callback = self._gates[event](callback)
            return self._monitoring.register_callback(tool, event, callback)

        def _set_events(self, tool: int, events: int) -> None:
            self._monitoring.set_events(tool, events & ~self._unheard)

        def _set_local_events(self, tool: int, code: CodeType, events: int) -> None:
            self._monitoring.set_local_events(tool, code, events & ~self._unheard)

        def _restart(self) -> None:
            # before the true restart: what is decided on the old one is dropped or started again
            self._begin_era()
            self._monitoring.restart_events()

        def _begin_era(self) -> None:
            debugger = self._pydevd.holder.global_dbg
            mtime = -1 if debugger is None else debugger.mtime
            if mtime != self._era.mtime:
                self._whole = {}
            self._era = _Era(mtime)

        def _lines(self, ask: _Callback) -> _Callback:
            disable, held = self._monitoring.DISABLE, self._held

            def on_line(code: CodeType, line: int) -> object:
                era = self._era
                verdict = _ASK
                try:
                    verdict = self._weigh(era, code, line, _getframe(1))
                except Exception:  # noqa: BLE001 - pydevd goes on as it would without us
                    wall.fell()
                if verdict is _GIVE_UP:
                    # No thread gets its turn between this look and the interpreter's at the answer.
                    if era is self._era:
                        return disable
                elif verdict is _PASS:
                    return None
                try:
                    answer = ask(code, line)
                finally:
                    if verdict is _HOLDS:
                        held.pop(get_ident(), None)
                if verdict is _WATCH and answer is None:
                    era.debugged[id(code)] = code
                return answer

            _gates.add(id(on_line.__code__))
            return on_line

        def _weigh(self, era: _Era, code: CodeType, line: int, frame: FrameType) -> int:
            here = era.points.get(code.co_filename)
            if here is None:
                here = self._learn(era, code.co_filename)
            point = here.get(line)
            if point is None:
                return _GIVE_UP if self._is_quiet() and id(code) not in self._whole else _ASK
            if _JUMPS:
                if id(code) in self._whole:
                    return _ASK
                self._forget_jump()
            if not point.condition and not point.hit_condition:
                return _ASK
            debugger = self._pydevd.holder.global_dbg
            if debugger is None:
                return _ASK
            if debugger.mtime != era.mtime:  # breakpoints were taken away, for which pydevd restarts nothing
                self._begin_era()
                return _ASK
            try:
                info = self._own.info
            except AttributeError:
                info = self._info(get_ident())
                if info is None:
                    return _ASK
                self._own.info = info
            if (
                info.pydev_state != self._runs
                or info.pydev_step_cmd != -1
                or point.expression is not None  # a log message is made first, whatever the condition says
                or debugger.has_plugin_line_breaks
                or not self._is_traced()
            ):
                return _ASK
            if id(code) not in era.debugged:
                return _WATCH
            if not self._holds(debugger, info, point, frame):
                return _PASS
            self._held[get_ident()] = point
            return _HOLDS

        def _decided(self) -> _Holds:
            def handle_breakpoint_condition(debugger: Any, info: Any, point: Any, frame: Any) -> bool:
                if self._held.pop(get_ident(), None) is point:
                    return True
                return self._holds(debugger, info, point, frame)

            return handle_breakpoint_condition

        def _jumps(self, ask: _Callback) -> _Callback:
            disable = self._monitoring.DISABLE

            def on_jump(code: CodeType, start: int, end: int) -> object:
                era = self._era
                idle = False
                try:
                    idle = self._is_idle_jump(era, code, start, end, _getframe(1).f_lineno)
                except Exception:  # noqa: BLE001 - pydevd goes on as it would without us
                    wall.fell()
                if idle and era is self._era:
                    return disable
                return ask(code, start, end)

            _gates.add(id(on_jump.__code__))
            return on_jump

        def _is_idle_jump(self, era: _Era, code: CodeType, start: int, end: int, line: int) -> bool:
            here = era.points.get(code.co_filename)
            if here is None:
                here = self._learn(era, code.co_filename)
            if id(code) in self._whole:
                return False
            if line not in here:
                return self._is_quiet()
            if end <= start and _is_one_line(code, start, end):
                self._whole[id(code)] = code
                self._restart()
            return False

        def _starts(self, ask: _Callback) -> _Callback:
            disable = self._monitoring.DISABLE

            def on_start(code: CodeType, offset: int) -> object:
                era = self._era
                if id(code) in self._whole:
                    self._forget_jump()
                answer = ask(code, offset)
                idle = False
                try:
                    idle = answer is None and self._is_idle_start(code)
                except Exception:  # noqa: BLE001 - pydevd goes on as it would without us
                    wall.fell()
                return disable if idle and era is self._era else answer

            _gates.add(id(on_start.__code__))
            return on_start

        def _is_idle_start(self, code: CodeType) -> bool:
            """After pydevd was asked and wants to be again, as it does of each function with a breakpoint."""
            monitoring = self._monitoring
            events = monitoring.get_local_events(monitoring.DEBUGGER_ID, code)
            # without, it is a thread of pydevd's own, and nothing is turned on yet for the others
            has_lines = bool(events & monitoring.events.LINE)
            return has_lines and id(code) not in self._whole and self._is_quiet(code.co_name)

        def _learn(self, era: _Era, file: str) -> dict[int, Any]:
            debugger = self._pydevd.holder.global_dbg
            found = {} if debugger is None else debugger.breakpoints.get(self._pydevd.canonical(file)) or {}
            era.points[file] = found
            return found

        def _is_quiet(self, function: str = "") -> bool:
            """Whether breakpoints in lines are all that anybody waits for. `function` is one that begins."""
            debugger = self._pydevd.holder.global_dbg
            if debugger is None or debugger.pydb_disposed or debugger.has_plugin_line_breaks:
                return False
            if function in debugger.function_breakpoint_name_to_breakpoint:
                return False
            for ident in _threads().copy():
                info = self._info(ident)
                if info is not None and (info.pydev_state != self._runs or info.pydev_step_cmd != -1):
                    return False
            return True

        def _info(self, ident: int) -> Any:
            """What pydevd knows of a thread, past a `__getattr__` of the program's."""
            thread = _threads().get(ident)
            return (
                None if thread is None else object.__getattribute__(thread, "__dict__").get("additional_info")
            )

        def _is_traced(self) -> bool:
            """Whether this thread is, which pydevd says only when it is told to change it."""
            if not self._pydevd.monitoring.suspend_current_thread_tracing():
                return False
            self._pydevd.monitoring.resume_current_thread_tracing()
            return True

        def _forget_jump(self) -> None:
            vars(self._pydevd.monitoring_module._thread_local_info).pop(_SKIPS_NEXT, None)

else:

    class GatedLines:
        """Functions are traced here, not code."""

        def __init__(self, pydevd: Pydevd, holds: _Holds) -> None:
            del pydevd, holds

        def replacements(self) -> list[tuple[Any, str, Any]]:
            return []


def _frame_of_program(depth: int = 0) -> FrameType:
    """In the place of `sys._getframe`."""
    frame = _getframe(depth + 1)
    return frame.f_back or frame if id(frame.f_code) in _gates else frame


def _threads() -> dict[int, threading.Thread]:
    return getattr(threading, "_active", {})


def _is_one_line(code: CodeType, start: int, end: int) -> bool:
    """Whether two offsets are in the same line, as pydevd counts."""
    found: dict[int, int] = {}
    for first, last, line in code.co_lines():
        for offset in (start, end):
            if line is not None and first <= offset <= last:
                found.setdefault(offset, line)
    return found.get(start) == found.get(end)


class _System:
    """`sys` for the compiled module."""

    _getframe = staticmethod(_frame_of_program)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)
