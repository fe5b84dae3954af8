"""Two snapshots beside one another: frame by frame, name by name; pure.

Frames go together by file and function, in the order of the stack, so that two looks at one place are compared although
one came in through another caller or the lines have moved. Values go together by the names that lead to them. The
numbers that tell objects apart (`id`) differ from process to process and count for nothing.
"""

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

from msgspec import Struct
from msgspec.structs import replace

from sonde_viewer.probes import values
from sonde_wire.probes import Captured, CapturedFrame, Value

_MOST = 1000
"""Changes; two snapshots that share nothing would bring as many as there are values."""


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`name` leads to it, such as `order.lines[2]`. None: on that side there is no such thing."""

    name: str
    before: Value | None = None
    after: Value | None = None


class FrameChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One frame of both, or of one of them: `line_before` or `line_after` is None then."""

    path: str
    function: str
    line_before: int | None = None
    line_after: int | None = None
    changes: tuple[Change, ...] = ()


class Difference(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Only what differs, the innermost frame first."""

    about: tuple[Change, ...] = ()
    """Thread, task, exception and context."""
    expressions: tuple[Change, ...] = ()
    frames: tuple[FrameChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.about or self.expressions or self.frames)


def diff(before: Captured, after: Captured) -> Difference:
    return Difference(
        about=tuple(_changes(_about(before), _about(after))),
        expressions=tuple(_changes(_expressions(before), _expressions(after))),
        frames=tuple(_frames(before.frames, after.frames)),
    )


def _about(captured: Captured) -> dict[str, Value]:
    task, raised = captured.task, captured.exception
    found = {"thread": _text(captured.thread.name)}
    if task is not None:
        found["task"] = _text(task.name)
    if raised is not None:
        found["exception"] = _text(f"{raised.type}: {raised.message}")
    return found | {f"context {name}": value for name, value in captured.context.items()}


def _expressions(captured: Captured) -> dict[str, Value]:
    return {each.text: each.node or _text(f"failed: {each.error}") for each in captured.expressions}


def _text(text: str) -> Value:
    return Value(type="", value=text)


def _frames(before: tuple[CapturedFrame, ...], after: tuple[CapturedFrame, ...]) -> Iterator[FrameChange]:
    ours, theirs = ([(each.path, each.function) for each in frames] for frames in (before, after))
    for kind, start, stop, first, last in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if kind == "equal":
            pairs = zip(before[start:stop], after[first:last], strict=True)
            yield from (change for one, other in pairs if (change := _frame(one, other)))
            continue
        for gone in before[start:stop]:
            yield FrameChange(path=gone.path, function=gone.function, line_before=gone.line)
        for new in after[first:last]:
            yield FrameChange(path=new.path, function=new.function, line_after=new.line)


def _frame(before: CapturedFrame, after: CapturedFrame) -> FrameChange | None:
    """None: nothing differs. Locals that only one of them has taken tell nothing."""
    changes: tuple[Change, ...] = ()
    if before.locals is not None and after.locals is not None:
        changes = tuple(_changes(dict(before.locals), dict(after.locals)))
    if not changes and before.line == after.line:
        return None
    return FrameChange(
        path=after.path,
        function=after.function,
        line_before=before.line,
        line_after=after.line,
        changes=changes,
    )


def _changes(before: dict[str, Value], after: dict[str, Value]) -> list[Change]:
    found: list[Change] = []
    for name in _both(before, after):
        for change in _compared(name, before.get(name), after.get(name)):
            if len(found) == _MOST:
                return found
            found.append(change)
    return found


def _both(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """The names of either, in the order in which they come."""
    return list(dict.fromkeys((*before, *after)))


def _compared(name: str, before: Value | None, after: Value | None) -> Iterator[Change]:
    """As far inside as the difference lies."""
    if before is not None and after is not None:
        if _plain(before) == _plain(after):
            return
        inside, others = dict(values.parts(before)), dict(values.parts(after))
        if inside and others and before.type == after.type:
            differs = False
            for part in _both(inside, others):
                for change in _compared(name + part, inside.get(part), others.get(part)):
                    differs = True
                    yield change
            if differs:
                return
    yield Change(name=name, before=before, after=after)


def _plain(value: Value) -> Value:
    """What of it two processes can have in common."""
    return replace(
        value,
        id=None,
        items=value.items and tuple(map(_plain, value.items)),
        entries=value.entries and tuple((_plain(key), _plain(each)) for key, each in value.entries),
        fields=value.fields and tuple((name, _plain(each)) for name, each in value.fields),
    )
