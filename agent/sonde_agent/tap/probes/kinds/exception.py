"""A snapshot where an exception is raised, or where nobody caught it."""

from types import FrameType, TracebackType
from typing import Any
from weakref import ref

from sonde_agent.tap import inert
from sonde_agent.tap.probes.kinds.snapshot import Snapshot
from sonde_agent.tap.probes.kinds.tools import Tools
from sonde_agent.tap.probes.layouts import type_name
from sonde_agent.tap.probes.specification import Specification

_MOST_KNOWN = 1000
_traceback = BaseException.__dict__["__traceback__"].__get__
_arguments = BaseException.__dict__["args"].__get__


class OnException:
    """Of named types, or of any that nobody catches. The text of an exception is what it was made with: its `__str__` is
    the program's."""

    is_heavy = True

    def __init__(self, spec: Specification, tools: Tools) -> None:
        self._snapshot = Snapshot(spec.id, (), tools)
        self._names = frozenset(spec.types)
        self._tools = tools
        self._known: dict[int, tuple[Any, bool]] = {}
        """By the id of a class: whether it is meant. With a weak reference, for ids are given again."""
        self.error: BaseException | None = None

    def is_meant(self, error: BaseException) -> bool:
        kind = type(error)
        known = self._known.get(id(kind))
        if known is None or known[0]() is not kind:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            meant = any(self._is_named(each) for each in inert.bases(kind))
            known = self._known[id(kind)] = (ref(kind), meant)
        return known[1]

    def take(self, frame: FrameType, number: int) -> bool:
        return self._snapshot.take(frame, number)

    def take_error(self, frame: FrameType, number: int, error: BaseException, caught: bool | None) -> None:
        described: dict[str, Any] = {"type": type_name(type(error)), "message": self._text(error)}
        if caught is not None:
            described["caught"] = caught
        self._snapshot.take_of(frame, number, described)

    def measured(self) -> dict[str, Any] | None:
        return None

    def _is_named(self, kind: type) -> bool:
        name = inert.class_name(kind)
        return name in self._names or f"{inert.class_home(kind)}.{name}" in self._names

    def _text(self, error: BaseException) -> str:
        arguments = _arguments(error)
        representer = self._tools.representer()
        if not arguments or not self._tools.redaction.shows_values:
            return ""
        if len(arguments) == 1:
            return representer.text(arguments[0])
        return ", ".join(representer.text(each) for each in arguments[:5])


def is_new(error: BaseException, frame: FrameType) -> bool:
    """Whether it is raised here, and does not come from a call of this frame, or of another that had it before."""
    trace: TracebackType | None = _traceback(error)
    return trace is None or (trace.tb_next is None and trace.tb_frame is frame)


def innermost(error: BaseException) -> FrameType | None:
    """Where it was raised, if that is known."""
    trace: TracebackType | None = _traceback(error)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else trace.tb_frame
