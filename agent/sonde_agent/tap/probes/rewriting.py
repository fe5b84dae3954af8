"""Probes on Python 3.11, which has no `sys.monitoring`: functions get code in which the places call us.

The code is made with the library `bytecode`, from the original with a few instructions more, and is put in the place of
`__code__` of every function that has it; so is that of what these functions make. When the last probe of a function goes,
its `__code__` is the very object that it was.

What runs already runs on in its old code: a loop that never ends, the module's own code, a coroutine that waits. A module that
comes later is found within a second. Who leaves a function by an exception is not seen at its exit.
"""

import sys
from _thread import get_ident
from collections.abc import Callable, Iterable, Sequence
from types import CodeType, FrameType, FunctionType
from typing import Any

from sonde_agent.tap import heap, wall
from sonde_agent.tap.errors import CallRefused
from sonde_agent.tap.probes.handling import Handler, Wiring

NAME = "rewriting"
NO_EXCEPTIONS = (
    "exceptions as they are raised need Python 3.12; on 3.11 only those that nobody catches are seen"
)
_MISSING = (
    "probes at a place need Python 3.12, or on 3.11 the library `bytecode`: install it beside sonde (pip install "
    "'bytecode>=0.17,<1') and start the process again"
)
_PROLOGUE = frozenset({"RESUME", "COPY_FREE_VARS", "MAKE_CELL", "RETURN_GENERATOR", "CACHE"})
_MOST_SWITCHES = 1000
_MOST_ORIGINALS = 5000
_getframe = sys._getframe


class _Switch(list[bool]):
    """What a place asks first: empty while it is given up. One of the code's constants, and so to be hashed: debuggers look
    code up in dictionaries."""

    __slots__ = ()
    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


_Call = tuple[Callable[[], None], _Switch]
"""What is called at a place, and its switch."""


class Rewriting:
    hears_new = False

    def __init__(self, on_new: Callable[..., Any]) -> None:
        try:
            import bytecode
        except ImportError:
            raise CallRefused("failed_precondition", "unsupported", _MISSING) from None
        self._library: Any = bytecode
        self._wirings: dict[int, tuple[CodeType, Wiring]] = {}
        self._made: dict[int, tuple[CodeType, CodeType]] = {}
        """By the id of an original: it, and what is in its place."""
        self._originals: dict[int, tuple[CodeType, CodeType]] = {}
        """By the id of what is in its place: that, and the original."""
        self._busy: set[int] = set()
        self._switches: dict[int, list[_Switch]] = {}
        """Those of its places, by the id of an original."""

    def original(self, code: CodeType) -> CodeType:
        """As the program made it."""
        known = self._originals.get(id(code))
        return code if known is None else known[1]

    def note(self, codes: Iterable[CodeType]) -> str:
        """What people are to know of a probe that was just placed in these."""
        mine = {id(code) for code in codes}
        frames: list[FrameType | None] = [*heap.current_frames().values(), *heap.suspended_frames()]
        for innermost in frames:
            frame = innermost
            while frame is not None:
                if id(frame.f_code) in mine:
                    return (
                        f"calls of {frame.f_code.co_qualname} that run already go on without it: Python 3.11 can only "
                        "change what is called from now on"
                    )
                frame = frame.f_back
        return ""

    def wire(self, wirings: Sequence[tuple[CodeType, Wiring]]) -> None:
        for code, wiring in wirings:
            if wiring == Wiring():
                self._wirings.pop(id(code), None)
                self._switches.pop(id(code), None)
            else:
                self._wirings[id(code)] = (code, wiring)
        files = {code.co_filename for code, _ in wirings}
        for number, (code, _) in list(self._made.items()):
            if code.co_filename in files:  # what stands in the place of its parents is another too
                del self._made[number]
        self._put_everywhere()

    def arm(self, codes: Iterable[CodeType]) -> None:
        """What was given up there is called again."""
        for code in codes:
            for switch in self._switches.get(id(code), ()):
                switch[:] = [True]

    def hear_exceptions(self, raised: Sequence[Any]) -> None:
        """See NO_EXCEPTIONS."""

    def refresh(self, now: float) -> None:
        """Modules are looked for by whoever has the probes."""

    def close(self) -> None:
        self._wirings.clear()
        self._switches.clear()
        self._made.clear()
        self._put_everywhere()
        self._originals.clear()

    def _put_everywhere(self) -> None:
        files = {code.co_filename for code, _ in self._wirings.values()}
        files |= {code.co_filename for _, code in self._originals.values()}
        for function in heap.living(FunctionType):
            code = function.__code__
            if code.co_filename in files:
                wanted = self._rewritten(self.original(code))
                if wanted is not code:
                    function.__code__ = wanted

    def _rewritten(self, code: CodeType) -> CodeType:
        """With what it makes: a function in it is made of a constant."""
        known = self._made.get(id(code))
        if known is not None:
            return known[1]
        constants = tuple(
            self._rewritten(each) if type(each) is CodeType else each for each in code.co_consts
        )
        made = code
        if any(new is not old for new, old in zip(constants, code.co_consts, strict=True)):
            made = code.replace(co_consts=constants)
        wired = self._wirings.get(id(code))
        if wired is not None:
            switches = self._switches.setdefault(id(code), [])
            del switches[:-_MOST_SWITCHES]  # calls that run in older code have theirs
            made = self._with_calls(made, wired[1], switches)
        self._made[id(code)] = (code, made)
        if made is not code:
            self._originals[id(made)] = (made, code)
            if len(self._originals) > _MOST_ORIGINALS:
                in_use = {id(each) for _, each in self._made.values()}
                self._originals = {key: pair for key, pair in self._originals.items() if key in in_use}
        return made

    def _with_calls(self, code: CodeType, wiring: Wiring, switches: list[_Switch]) -> CodeType:
        before = self._library.Bytecode.from_code(code)
        after = before.copy()
        after.clear()
        calls = {line: self._call(handlers, switches) for line, handlers in wiring.lines.items()}
        start, end = self._call(wiring.starts, switches), self._call(wiring.ends, switches)
        targets, sources = self._lines_of_labels(before), self._sources_of_labels(before)
        last: int | None = None
        falls, labels = True, list[int]()
        """Whether the instruction before goes on here; and the labels between the two."""
        for each in before:
            if not isinstance(each, self._library.Instr):
                if isinstance(each, self._library.Label):
                    labels.append(id(each))
                after.append(each)
                continue
            line = each.lineno if isinstance(each.lineno, int) else None
            if each.name not in _PROLOGUE:
                if each.name.startswith("JUMP_BACKWARD"):  # to a line that begins anew there, such as `for`
                    target = targets.get(id(each.arg))
                    if target in calls and target != line:
                        after.extend(self._calling(calls[target], target))
                elif (
                    line is not None
                    and line != last
                    and line in calls
                    and (falls or {source for label in labels for source in sources.get(label, ())} != {line})
                ):
                    after.extend(self._calling(calls[line], line))
                if each.name == "RETURN_VALUE" and wiring.ends:
                    after.extend(self._calling(end, line))
                last = line if line is not None else last
            after.append(each)
            falls, labels = not each.is_final(), []
            if each.name == "RESUME" and each.arg == 0 and wiring.starts:
                after.extend(self._calling(start, line))
        made: CodeType = after.to_code(stacksize=code.co_stacksize + 3)
        return made

    def _lines_of_labels(self, instructions: Any) -> dict[int, int]:
        lines: dict[int, int] = {}
        waiting: list[int] = []
        for each in instructions:
            if isinstance(each, self._library.Label):
                waiting.append(id(each))
            elif isinstance(each, self._library.Instr) and isinstance(each.lineno, int):
                lines.update(dict.fromkeys(waiting, each.lineno))
                waiting.clear()
        return lines

    def _sources_of_labels(self, instructions: Any) -> dict[int, set[int]]:
        """The lines that they are jumped to from."""
        found: dict[int, set[int]] = {}
        for each in instructions:
            if isinstance(each, self._library.Instr) and isinstance(each.arg, self._library.Label):
                found.setdefault(id(each.arg), set()).add(each.lineno or 0)
        return found

    def _calling(self, call: _Call, line: int | None) -> list[Any]:
        """A place that is given up costs no more than to look at its switch."""
        instruction, after = self._library.Instr, self._library.Label()
        function, switch = call
        return [
            instruction("LOAD_CONST", switch, lineno=line),
            instruction("POP_JUMP_FORWARD_IF_FALSE", after, lineno=line),
            instruction("PUSH_NULL", lineno=line),
            instruction("LOAD_CONST", function, lineno=line),
            instruction("PRECALL", 0, lineno=line),
            instruction("CALL", 0, lineno=line),
            instruction("POP_TOP", lineno=line),
            after,
        ]

    def _call(self, handlers: Sequence[Handler], switches: list[_Switch]) -> _Call:
        """What our own work comes by, in this thread, is no hit."""
        busy, switch = self._busy, _Switch([True])
        switches.append(switch)
        handlers = tuple(handlers)

        def sonde_probe() -> None:
            for each in handlers:
                if each.gate.is_open:
                    break
            else:
                switch.clear()
                for each in handlers:
                    if each.gate.is_open:  # meanwhile
                        switch[:] = [True]
                return
            ident = get_ident()
            if ident in busy:
                return
            busy.add(ident)
            try:
                frame = _getframe(1)
                for each in handlers:
                    each.hit(frame)
            except Exception:  # noqa: BLE001 - our own wall
                wall.fell()
            finally:
                busy.discard(ident)

        return sonde_probe, switch
