"""What a probe is to do, as the link brings it: the fields of the wire's `ProbeSpec`, checked once more, because the tap
cannot import the wire and whoever sends may be newer.

A limit that is absent is the wire's for the kind (`most_hits`, `hits_per_second`); a test holds the two together. What
is not understood is refused with a sentence, not ignored: a probe must not do more than was asked for.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sonde_agent.records import Record
from sonde_agent.tap.errors import CallRefused
from sonde_agent.tap.identity import plain

MOST_EXPRESSIONS = 20
_LONGEST_TEXT = 4096
_LONGEST_TTL = 86_400.0 * 2
_HITS = {"snapshot": 100, "log": 100, "exception": 100, "watch": 100}
_RATES = {"snapshot": 1.0, "log": 100.0, "exception": 1.0, "watch": 1.0}
_OF_KINDS: Mapping[str, tuple[str, ...]] = {
    "snapshot": ("expressions",),
    "log": ("template",),
    "counter": ("expression",),
    "gauge": ("expression",),
    "histogram": ("expression",),
    "timer": ("until",),
    "exception": ("types",),
    "watch": ("expression",),
}
_NEEDED = {"gauge": "expression", "histogram": "expression", "watch": "expression", "log": "template"}
_FIELDS = frozenset(
    {
        "kind",
        "place",
        "target",
        "name",
        "condition",
        "python",
        "calls_user_code",
        "sample",
        "max_hits",
        "rate",
        "burst",
        "ttl",
        "capture",
    }
)
_CAPTURE = {
    "depth": "depth",
    "items": "items",
    "length": "length",
    "fields": "fields",
    "size": "bytes",
    "seconds": "seconds",
    "frames": "frames",
    "frames_with_locals": "frames_with_locals",
}


class LinePlace(Record):
    """`path` may be the end of one."""

    path: str
    line: int


class FunctionPlace(Record):
    """`function` is a qualified name; `on` is entry or exit."""

    module: str
    function: str
    on: str = "entry"


class Specification(Record):
    """Fields of kinds that are not this one's are empty. `capture` has the names of the representer's limits."""

    id: str
    kind: str
    place: LinePlace | FunctionPlace | None = None
    expressions: tuple[str, ...] = ()
    template: str = ""
    expression: str | None = None
    until: int | None = None
    types: tuple[str, ...] = ()
    condition: str | None = None
    python: bool = False
    calls_user_code: bool = False
    sample: float = 1.0
    max_hits: int | None = None
    rate: float | None = None
    burst: int | None = None
    capture: dict[str, Any] = {}  # noqa: RUF012 - copied for each

    @property
    def title(self) -> str:
        """As the wire's `title`."""
        match self.place:
            case LinePlace(path=path, line=line):
                return plain(f"{self.kind} {path}:{line}")
            case FunctionPlace(module=module, function=function, on=on):
                return plain(f"{self.kind} {module}:{function} {on}")
            case _:
                return plain(f"{self.kind} {', '.join(self.types) or 'that nobody catches'}")


def read(probe: Mapping[str, Any]) -> tuple[Specification, float]:
    """With the seconds that are left to it. Raises `CallRefused`."""
    number = _of(probe, "id", str)
    spec = _of(probe, "spec", dict)
    left = _number(probe, "left", 0.0, _LONGEST_TTL)
    _only(spec, _FIELDS, "a probe")
    kind = _of(spec, "kind", dict)
    name = _of(kind, "type", str)
    if name not in _OF_KINDS:
        raise _refusal(f"this tap has no probes of the kind {name[:40]!r}")
    _only(kind, {"type", *_OF_KINDS[name]}, f"a {name}")
    if name in _NEEDED and not kind.get(_NEEDED[name]):
        raise _refusal(f"a {name} needs its {_NEEDED[name]}")
    specification = Specification(
        id=number,
        kind=name,
        place=_place(spec.get("place")),
        expressions=_texts(kind, "expressions"),
        template=_text(kind, "template") or "",
        expression=_text(kind, "expression"),
        until=None if kind.get("until") is None else int(_number(kind, "until", 1, 10_000_000, int)),
        types=_texts(kind, "types"),
        condition=_text(spec, "condition"),
        python=_flag(spec, "python"),
        calls_user_code=_flag(spec, "calls_user_code"),
        sample=_number(spec, "sample", 0, 1) if "sample" in spec else 1.0,
        max_hits=_limit(spec, "max_hits", _HITS.get(name), int),
        rate=_limit(spec, "rate", _RATES.get(name), float),
        burst=_limit(spec, "burst", None, int),
        capture=_capture(spec.get("capture") or {}),
    )
    _check_place(specification)
    return specification, left


def _check_place(spec: Specification) -> None:
    place = spec.place
    if place is None and spec.kind != "exception":
        raise _refusal(f"a {spec.kind} needs a place: a line or a function")
    if spec.kind == "timer" and isinstance(place, FunctionPlace):
        if place.on != "entry":
            raise _refusal("a timer begins at a line or at a function's entry; its end is the call's")
        if spec.until is not None:
            raise _refusal("a timer that ends at a line begins at a line too")


def _place(place: Any) -> LinePlace | FunctionPlace | None:
    if place is None:
        return None
    if type(place) is not dict:
        raise _refusal("the place of a probe is a line or a function")
    match place.get("type"):
        case "line":
            _only(place, {"type", "path", "line"}, "a line")
            return LinePlace(_of(place, "path", str), int(_number(place, "line", 1, 10_000_000, int)))
        case "function":
            _only(place, {"type", "module", "function", "on"}, "a function")
            on = place.get("on", "entry")
            if on not in {"entry", "exit"}:
                raise _refusal("a probe is at the entry or at the exit of a function")
            return FunctionPlace(_of(place, "module", str), _of(place, "function", str), on)
        case _:
            raise _refusal("the place of a probe is a line or a function")


def _capture(capture: Any) -> dict[str, Any]:
    if type(capture) is not dict:
        raise _refusal("capture must be an object")
    _only(capture, set(_CAPTURE), "a capture")
    read: Mapping[str, Callable[..., Any]] = {"seconds": float}
    return {
        _CAPTURE[name]: read.get(name, int)(_number(capture, name, 0, 1 << 30, type(capture[name])))
        for name in capture
    }


def _limit(fields: Mapping[str, Any], name: str, default: Any, kind: type) -> Any:
    return default if fields.get(name) is None else kind(_number(fields, name, 0, 1e12))


def _of(fields: Mapping[str, Any], name: str, kind: type) -> Any:
    value = fields.get(name)
    if type(value) is not kind or not value:
        raise _refusal(f"{name} must be given, as {kind.__name__}")
    return value


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is not str or not 0 < len(value) <= _LONGEST_TEXT:
        raise _refusal(f"{name} must be a text of at most {_LONGEST_TEXT} characters")
    return value


def _texts(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = fields.get(name) or []
    if type(value) not in (list, tuple) or len(value) > MOST_EXPRESSIONS:
        raise _refusal(f"{name} must be a list of at most {MOST_EXPRESSIONS} texts")
    texts = tuple(_text({name: each}, name) for each in value)
    if None in texts:
        raise _refusal(f"{name} must be a list of texts")
    return tuple(each for each in texts if each is not None)


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if type(value) is not bool:
        raise _refusal(f"{name} must be true or false")
    return value


def _number(fields: Mapping[str, Any], name: str, least: float, most: float, *kinds: type) -> float:
    value = fields.get(name)
    if type(value) not in (kinds or (int, float)) or not least <= value <= most:  # type: ignore[operator]
        raise _refusal(f"{name} must be a number from {least:g} to {most:g}")
    return value  # type: ignore[return-value]


def _only(fields: Mapping[str, Any], known: frozenset[str] | set[str], what: str) -> None:
    unknown = sorted(str(name)[:40] for name in fields if name not in known)
    if unknown:
        raise _refusal(
            f"this tap does not know {', '.join(unknown[:5])} of {what}: the process needs a newer sonde"
        )


def _refusal(message: str) -> CallRefused:
    return CallRefused("invalid_argument", "invalid_params", message)
