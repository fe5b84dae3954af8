"""Probes by `sys.monitoring`, from Python 3.12 on.

A tool of our own has events on the code that carries a probe, and nowhere else. Each line of such code asks once, and is given up
(`DISABLE`) when it is none of ours; so is a place whose probes are all closed, until `arm` gives the code its events
anew. `restart_events` would do that too, for all tools and all code.

A second tool hears of each code object when it first runs, and gives it up at once: that is how modules that are
imported, loaded again or executed later get their probes before their first line. It needs a number of its own,
because events on single code cannot be had again while the tool has them everywhere.

Exceptions are heard of everywhere, without giving up, while there is a probe that needs it.

Callbacks look code up by its id: its hash is calculated anew each time. What is not in the table has no events, so that an id
that is given again does no harm.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from types import CodeType, FrameType
from typing import Any
from weakref import ref

from sonde_agent.tap import wall
from sonde_agent.tap.errors import CallRefused
from sonde_agent.tap.probes.handling import Handler, Wiring

NAME = "monitoring"
NO_EXCEPTIONS = ""
"""Why exceptions cannot be heard of as they are raised."""
_TOOL = "sonde"
_SCOUT = "sonde-new-code"
_PREFERRED = (3, 4, 5, 1, 2)
"""0 is a debugger's. 1, 2 and 5 have names too, of tools that may come later."""
_REFRESHED_EVERY = 30.0
_getframe = sys._getframe
_Raised = Callable[[FrameType, BaseException], None]


class _Always:
    is_open = True


class _Several:
    """Handlers at one place. It is not given up while one of them may come back."""

    def __init__(self, handlers: Sequence[Handler]) -> None:
        self.handlers = tuple(handlers)
        self.gate: Any = _Always

    def hit(self, frame: FrameType) -> None:
        for each in self.handlers:
            each.hit(frame)


class _Entry:
    __slots__ = ("code", "end", "events", "lines", "start")

    def __init__(self, code: CodeType, wiring: Wiring, events: int) -> None:
        self.code = ref(code)
        self.events = events
        self.lines = {line: _one(handlers) for line, handlers in wiring.lines.items()}
        self.start = _one(wiring.starts) if wiring.starts else None
        self.end = _one(wiring.ends) if wiring.ends else None


def _one(handlers: Sequence[Handler]) -> Any:
    return handlers[0] if len(handlers) == 1 else _Several(handlers)


if sys.version_info >= (3, 12):
    _monitoring = sys.monitoring
    _events = sys.monitoring.events

    class Monitoring:
        """`on_new` is called with each code object before it first runs, in the thread that runs it, and with its frame.
        Raises `CallRefused` when no tool number is free."""

        def __init__(self, on_new: Callable[[CodeType, FrameType], None]) -> None:
            self._table: dict[int, _Entry] = {}
            self._raised: tuple[_Raised, ...] = ()
            self._refresh_at = 0.0
            self._tool = _claim(_TOOL)
            self.hears_new = True
            try:
                self._scout = _claim(_SCOUT)
            except CallRefused:
                self.hears_new = False
            self._listen(on_new)

        def original(self, code: CodeType) -> CodeType:
            """As the program made it."""
            return code

        def note(self, codes: Iterable[CodeType]) -> str:
            """What people are to know of a probe that was just placed in these."""
            return ""

        def wire(self, wirings: Iterable[tuple[CodeType, Wiring]]) -> None:
            """In place of what was there; an empty wiring takes all away."""
            for code, wiring in wirings:
                self._wire(code, wiring)
            self._listen_everywhere()

        def _wire(self, code: CodeType, wiring: Wiring) -> None:
            events = 0
            if wiring.lines:
                events |= _events.LINE
            if wiring.starts:
                events |= _events.PY_START
            if wiring.ends:
                events |= _events.PY_RETURN
            if events:
                self._table[id(code)] = _Entry(code, wiring, events)
            else:
                self._table.pop(id(code), None)
            _set_events(self._tool, code, events)

        def arm(self, codes: Iterable[CodeType]) -> None:
            """What was given up there is heard of again."""
            for code in codes:
                entry = self._table.get(id(code))
                if entry is not None and entry.code() is code:
                    _set_events(self._tool, code, entry.events)

        def hear_exceptions(self, raised: Sequence[_Raised]) -> None:
            """Each exception goes to all of these, in every frame that it passes."""
            self._raised = tuple(raised)
            self._listen_everywhere()

        def refresh(self, now: float) -> None:
            """Forgets code that is gone, once in a while."""
            if now < self._refresh_at:
                return
            self._refresh_at = now + _REFRESHED_EVERY
            for number, entry in list(self._table.items()):
                if entry.code() is None:
                    self._table.pop(number, None)

        def close(self) -> None:
            """Nothing is left of it."""
            if _monitoring.get_tool(self._tool) == _TOOL:
                for entry in list(self._table.values()):
                    if (code := entry.code()) is not None:
                        _monitoring.set_local_events(self._tool, code, 0)
                _free(self._tool, _TOOL)
            self._table.clear()
            if self.hears_new:
                _free(self._scout, _SCOUT)

        def _listen(self, on_new: Callable[[CodeType, FrameType], None]) -> None:
            table, give_up = self._table, _monitoring.DISABLE

            def on_line(code: CodeType, line: int) -> object:
                entry = table.get(id(code))
                if entry is None:
                    return give_up
                here = entry.lines.get(line)
                if here is None:
                    return give_up
                try:
                    here.hit(_getframe(1))
                except Exception:  # noqa: BLE001 - our own wall
                    wall.fell()
                # Nothing is called from here to the interpreter's own look at the answer, so that no other thread can
                # have opened it, and armed the code, in between.
                if here.gate.is_open:
                    return None
                return give_up

            # These are written out, alike as they are: a call in between would be paid at each hit.
            def on_start(code: CodeType, _: int) -> object:
                entry = table.get(id(code))
                if entry is None or (here := entry.start) is None:
                    return give_up
                try:
                    here.hit(_getframe(1))
                except Exception:  # noqa: BLE001 - our own wall
                    wall.fell()
                if here.gate.is_open:
                    return None
                return give_up

            def on_return(code: CodeType, _: int, __: object) -> object:
                entry = table.get(id(code))
                if entry is None or (here := entry.end) is None:
                    return give_up
                try:
                    here.hit(_getframe(1))
                except Exception:  # noqa: BLE001 - our own wall
                    wall.fell()
                if here.gate.is_open:
                    return None
                return give_up

            def on_unwind(code: CodeType, _: int, __: BaseException) -> None:
                entry = table.get(id(code))
                if entry is not None and (here := entry.end) is not None and here.gate.is_open:
                    try:
                        here.hit(_getframe(1))
                    except Exception:  # noqa: BLE001 - our own wall
                        wall.fell()

            def on_raise(_: CodeType, __: int, error: BaseException) -> None:
                try:
                    for each in self._raised:
                        each(_getframe(1), error)
                except Exception:  # noqa: BLE001 - our own wall
                    wall.fell()

            def on_new_code(code: CodeType, _: int) -> object:
                try:
                    on_new(code, _getframe(1))
                except Exception:  # noqa: BLE001 - our own wall
                    wall.fell()
                return give_up

            for event, callback in (
                (_events.LINE, on_line),
                (_events.PY_START, on_start),
                (_events.PY_RETURN, on_return),
                (_events.PY_UNWIND, on_unwind),
                (_events.RAISE, on_raise),
            ):
                _monitoring.register_callback(self._tool, event, callback)
            if self.hears_new:
                _monitoring.register_callback(self._scout, _events.PY_START, on_new_code)
                _monitoring.set_events(self._scout, _events.PY_START)

        def _listen_everywhere(self) -> None:
            wanted = _events.RAISE if self._raised else 0
            if any(entry.end is not None for entry in list(self._table.values())):
                wanted |= _events.PY_UNWIND
            if _monitoring.get_events(self._tool) != wanted:
                _monitoring.set_events(self._tool, wanted)

    def _claim(name: str) -> int:
        for number in _PREFERRED:
            if _monitoring.get_tool(number) is None:
                try:
                    _monitoring.use_tool_id(number, name)
                except ValueError:  # another thread was faster
                    continue
                return number
        tools = ", ".join(str(_monitoring.get_tool(number)) for number in range(6))
        raise CallRefused(
            "resource_exhausted",
            "too_many",
            f"every tool number of sys.monitoring is taken ({tools}): probes need one, so end one of these",
        )

    def _free(number: int, name: str) -> None:
        if _monitoring.get_tool(number) != name:  # somebody else has freed it, and has it now
            return
        _monitoring.set_events(number, 0)
        for event in (_events.LINE, _events.PY_START, _events.PY_RETURN, _events.PY_UNWIND, _events.RAISE):
            _monitoring.register_callback(number, event, None)
        _monitoring.free_tool_id(number)

    def _set_events(tool: int, code: CodeType, events: int) -> None:
        """By way of none: only so does what was given up come back."""
        _monitoring.set_local_events(tool, code, 0)
        if events:
            _monitoring.set_local_events(tool, code, events)
