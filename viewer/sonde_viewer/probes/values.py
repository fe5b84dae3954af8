"""A captured value as text: on one line, or as the lines of a tree; pure. What it holds comes from a process and is not
harmless for a terminal yet."""

from collections.abc import Iterator
from dataclasses import dataclass

from sonde_wire.probes import Value

_BRACKETS = {
    "list": ("[", "]"),
    "tuple": ("(", ")"),
    "set": ("{", "}"),
    "dict": ("{", "}"),
}
_WHY_CUT = {
    "depth": "deeper",
    "items": "more",
    "length": "longer",
    "fields": "more fields",
    "bytes": "the capture was full",
    "time": "the capture took too long",
}


def inline(value: Value) -> str:
    """All of it on one line, such as `Order(total=42, lines=[1, 2, … 98 more])`."""
    if (short := _closed(value)) is not None:
        return short
    parts = [f"{inline(key)}: {inline(each)}" for key, each in value.entries or ()]
    parts += [inline(each) for each in value.items or ()]
    parts += [f"{name}={inline(each)}" for name, each in value.fields or ()]
    if rest := _rest(value):
        parts.append(rest)
    opening, closing = _brackets(value)
    return f"{opening}{', '.join(parts)}{closing}"


@dataclass(frozen=True)
class Row:
    """One line of a tree."""

    depth: int
    name: str
    text: str


def tree(name: str, value: Value, *, width: int, depth: int = 0) -> Iterator[Row]:
    """What fits into `width` characters is one row; otherwise its parts follow, a level deeper."""
    text = inline(value)
    if _closed(value) is not None or len(text) + len(name) <= width:
        yield Row(depth, name, text)
        return
    yield Row(depth, name, _summary(value))
    for part, each in parts(value):
        yield from tree(part, each, width=width, depth=depth + 1)
    if rest := _rest(value):
        yield Row(depth + 1, "", rest)


def parts(value: Value) -> Iterator[tuple[str, Value]]:
    """What is directly inside it, by the name that leads there: `.total`, `['key']`, `[0]`."""
    for name, each in value.fields or ():
        yield f".{name}", each
    for key, each in value.entries or ():
        yield f"[{inline(key)}]", each
    for number, each in enumerate(value.items or ()):
        yield f"[{number}]", each


def _closed(value: Value) -> str | None:
    """The text of what has nothing inside, or nothing that was taken."""
    if value.redacted:
        return f"<{value.type}: redacted>"
    if value.note:
        return f"<{value.type}: {value.note}>"
    if value.value is not None:
        more = value.cut is not None and not value.value.endswith(("…", "..."))
        return f"{value.value}{'…' if more else ''}"
    if value.seen:
        return f"<{value.type}: shown elsewhere>"
    if value.items is None and value.entries is None and value.fields is None:
        size = "" if value.size is None else f" of {value.size}"
        return f"<{value.type}{size}{': …' if value.cut else ''}>"
    return None


def _summary(value: Value) -> str:
    return value.type if value.size is None else f"{value.type} of {value.size}"


def _rest(value: Value) -> str:
    """What there is beyond what was taken."""
    taken = len(value.items or ()) + len(value.entries or ())
    left = (value.size or 0) - taken if value.fields is None else 0
    if left > 0:
        return f"… {left} more"
    return f"… {_WHY_CUT[value.cut]}" if value.cut else ""


def _brackets(value: Value) -> tuple[str, str]:
    if value.type in _BRACKETS:
        return _BRACKETS[value.type]
    if value.fields is not None:
        return f"{value.type}(", ")"
    return (f"{value.type}({{", "})") if value.entries is not None else (f"{value.type}([", "])")
