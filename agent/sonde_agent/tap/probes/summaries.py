"""What is said of an object in place of what is in it: the shape and type of an array, the time that a `datetime` means,
where a function is from. Data is never copied or touched.

Libraries are found in `sys.modules`, by the identity of their classes, and never imported. Subclasses of the program's are read
as what they are made from, through descriptors of C. A summary is `value`, which is the program's data, or `note`, which
is about its size and type.
"""

from _thread import LockType
from _weakref import CallableProxyType, ProxyType, ref
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from sonde_agent.tap import inert, wall
from sonde_agent.tap.probes import arrays
from sonde_agent.tap.probes.layouts import (
    Summary,
    class_value,
    is_in,
    own_name,
    own_of,
    read,
    short,
    type_name,
)

LONGEST = 1024
"""Characters of a text that are read; the representer cuts what it shows."""
_TOP_BITS = 800
MOST_BITS = 2048
"""Of a whole number that is written in decimal: below 640 digits Python always does it, and quickly."""


def summary_of(kind: type) -> Summary | None:
    """How objects of a class are summarised; None when their parts are shown."""
    exact = _EXACT.get(id(kind))
    if exact is not None:
        return exact
    for each in inert.bases(kind):
        if (based := _BASES.get(id(each))) is not None:
            return based
        name = own_name(each)
        if (found := _LIBRARY.get(name)) is not None and is_in(*name, each):
            return found
    return None


def whole(number: int) -> str:
    """In decimal, or the beginning in hexadecimal: decimal digits of a long number take quadratic time, and Python
    refuses them."""
    bits = int.bit_length(number)
    if bits <= MOST_BITS:
        return int.__repr__(number)
    top = int.__rshift__(number, bits - _TOP_BITS)
    return f"{hex(top)}... ({bits} bits)"


def scalar(thing: object) -> str | None:
    """A plain value as Python shows it; None for what is none."""
    kind = type(thing)
    if kind is str or kind is bytes:
        return repr(thing[:LONGEST])  # type: ignore[index] # pyright: ignore[reportIndexIssue] - told by its type
    if kind is int:
        return whole(thing)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    return repr(thing) if kind is bool or kind is float or kind is complex or thing is None else None


def guarded(summary: Summary) -> Summary:
    """Of a library whose insides change: what is not as expected is nothing to say."""
    return lambda thing: wall.behind(lambda: summary(thing), None)


def _function(thing: FunctionType) -> dict[str, str]:
    code = thing.__code__
    return {
        "value": f"<function {short(thing.__qualname__)} at {short(code.co_filename)}:{code.co_firstlineno}>"
    }


def _builtin(thing: BuiltinFunctionType) -> dict[str, str]:
    return {"value": f"<built-in function {short(thing.__name__)}>"}


def _method(thing: MethodType) -> dict[str, str]:
    """Attributes of a method are looked up in its function when it has none of its own; these it has."""
    function, owner = thing.__func__, thing.__self__
    name = short(function.__qualname__) if type(function) is FunctionType else type_name(type(function))
    return {"value": f"<bound method {name} of {type_name(type(owner))}>"}


def _generator(thing: "GeneratorType[Any, Any, Any]") -> dict[str, str]:
    return _suspended(thing.gi_code, thing.gi_frame, thing.gi_running)


def _coroutine(thing: "CoroutineType[Any, Any, Any]") -> dict[str, str]:
    return _suspended(thing.cr_code, thing.cr_frame, thing.cr_running)


def _async_generator(thing: "AsyncGeneratorType[Any, Any]") -> dict[str, str]:
    return _suspended(thing.ag_code, thing.ag_frame, thing.ag_running)


def _suspended(code: CodeType, frame: FrameType | None, is_running: bool) -> dict[str, str]:
    state = "ended" if frame is None else f"{'running' if is_running else 'waiting'} at line {frame.f_lineno}"
    return {"value": f"<{short(code.co_qualname)}, {state}>"}


def _code(thing: CodeType) -> dict[str, str]:
    return {
        "value": f"<code {short(thing.co_qualname)} at {short(thing.co_filename)}:{thing.co_firstlineno}>"
    }


def _frame(thing: FrameType) -> dict[str, str]:
    return {"value": f"<frame of {short(thing.f_code.co_qualname)} at line {thing.f_lineno}>"}


def _cell(thing: CellType) -> dict[str, str]:
    try:
        return {"note": f"of {type_name(type(thing.cell_contents))}"}
    except ValueError:
        return {"note": "empty"}


def _class(thing: type) -> dict[str, str]:
    return {"value": f"<class '{type_name(thing)}'>"}


def _module(thing: ModuleType) -> dict[str, str] | None:
    own = own_of(thing, class_value(ModuleType, "__dict__")) or {}
    name, path = own.get("__name__"), own.get("__file__")
    if type(name) is not str:
        return None
    return {
        "value": f"<module {short(name)!r} from {short(path)!r}>"
        if type(path) is str
        else f"<module {short(name)!r}>"
    }


def _range(thing: range) -> dict[str, str]:
    step = "" if thing.step == 1 else f", {whole(thing.step)}"
    return {"value": f"range({whole(thing.start)}, {whole(thing.stop)}{step})"}


def _slice(thing: slice) -> dict[str, str] | None:
    parts = [scalar(part) for part in (thing.start, thing.stop, thing.step)]
    return {"value": f"slice({', '.join(part or '...' for part in parts)})"}


def _memory(thing: memoryview) -> dict[str, str]:
    try:
        return {"note": f"{thing.format} {thing.shape}, {thing.nbytes} bytes"}
    except ValueError:
        return {"note": "released"}


def _weak(thing: Any) -> dict[str, str]:
    return {"note": "dead"} if (target := thing()) is None else {"note": f"to {type_name(type(target))}"}


def _proxy(_: object) -> dict[str, str]:
    return {"note": "weak proxy"}


def _constant(thing: object) -> dict[str, str]:
    return {"value": repr(thing)}


def _enumerated(thing: object) -> dict[str, str] | None:
    kind = type(thing)
    name, value = read(thing, "_name_"), scalar(read(thing, "_value_"))
    shown = f"{type_name(kind).rpartition('.')[2]}.{short(name)}" if type(name) is str else None
    if shown is None:
        return None if value is None else {"value": value}
    return {"value": shown if value is None else f"<{shown}: {value}>"}


def _decimal(thing: Any) -> dict[str, str] | None:
    """`repr` of one in C asks no other code. One of very many digits would be long; its size tells."""
    kind = _base(thing, "decimal", "Decimal")
    shown = class_value(kind, "__repr__")
    if type(shown) is not WrapperDescriptorType:
        return None
    size = class_value(kind, "__sizeof__")(thing)
    return {"note": f"of {size} bytes"} if size > LONGEST else {"value": shown(thing)}


def _date(thing: object) -> dict[str, str] | None:
    day = _numbers(thing, "year", "month", "day")
    return None if day is None else {"value": "{:04}-{:02}-{:02}".format(*day)}


def _time(thing: object) -> dict[str, str] | None:
    text = _clock(thing)
    return None if text is None else {"value": text}


def _datetime(thing: Any) -> dict[str, str] | None:
    if type(thing) is inert.names_in("datetime").get("datetime") and thing.tzinfo is None:
        return {"value": thing.isoformat(" ")}
    day, clock = _date(thing), _clock(thing)
    return None if day is None or clock is None else {"value": f"{day['value']} {clock}"}


def _clock(thing: object) -> str | None:
    numbers = _numbers(thing, "hour", "minute", "second", "microsecond")
    if numbers is None:
        return None
    text = "{:02}:{:02}:{:02}".format(*numbers) + (f".{numbers[3]:06}" if numbers[3] else "")
    zone = read(thing, "tzinfo")
    return text if zone is None else text + _zone_text(zone)


def _zone_text(zone: Any) -> str:
    """The difference from UTC is a method of the zone, and so asked only where that is the interpreter's."""
    if is_in("datetime", "timezone", type(zone)):
        seconds = _seconds(zone.utcoffset(None))
        sign = "-" if seconds < 0 else "+"
        minutes, rest = divmod(abs(seconds), 60)
        return f"{sign}{minutes // 60:02}:{minutes % 60:02}" + (f":{rest:02}" if rest else "")
    key = read(zone, "key")
    return f" {short(key)}" if type(key) is str else f" {type_name(type(zone))}"


def _seconds(delta: Any) -> int:
    seconds: int = delta.days * 86_400 + delta.seconds
    return seconds


def _zone(zone: object) -> dict[str, str]:
    return {"value": _zone_text(zone).strip()}


def _delta(thing: object) -> dict[str, str] | None:
    numbers = _numbers(thing, "days", "seconds", "microseconds")
    if numbers is None:
        return None
    days, seconds, micro = numbers
    clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}" + (f".{micro:06}" if micro else "")
    return {"value": f"{days} day{'' if abs(days) == 1 else 's'}, {clock}" if days else clock}


def _numbers(thing: object, *names: str) -> tuple[int, ...] | None:
    """Of a class in C. One that is written in Python has them under other names, and is shown by those."""
    found = tuple(read(thing, name) for name in names)
    return found if all(type(each) is int for each in found) else None


def _uuid(thing: object) -> dict[str, str] | None:
    number = read(thing, "int")
    if type(number) is not int or not 0 <= number < 1 << 128:
        return None
    digits = f"{number:032x}"
    return {"value": "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))}


def _path(thing: object) -> dict[str, str] | None:
    """Its text is made when it is first asked for; until then there are the parts that it was made from."""
    text = read(thing, "_str")
    if type(text) is not str:
        text = _joined(read(thing, "_raw_paths")) or _of_parts(thing)
    return (
        None
        if text is None
        else {"value": f"{type_name(type(thing)).rpartition('.')[2]}({text[:LONGEST]!r})"}
    )


def _joined(parts: object) -> str | None:
    """As 3.12 and later keep them. A part that begins anew takes the place of those before it."""
    if type(parts) is not list or not parts or not all(type(part) is str for part in parts):
        return None
    text = ""
    for part in parts[:100]:
        text = part if not text or part.startswith("/") else f"{text.rstrip('/')}/{part}"
    return text


def _of_parts(thing: object) -> str | None:
    """As 3.11 keeps them: the first of absolute ones is drive and root."""
    parts, drive, root = read(thing, "_parts"), read(thing, "_drv"), read(thing, "_root")
    if type(parts) is not list or type(drive) is not str or type(root) is not str:
        return None
    named = [part for part in parts[:100] if type(part) is str]
    anchor = drive + root
    return (anchor + "/".join(named[1:]) if anchor else "/".join(named)) or "."


def _pattern(thing: object) -> dict[str, str]:
    return {"value": f"re.compile({scalar(read(thing, 'pattern')) or '...'})"}


def _match(thing: Any) -> dict[str, str] | None:
    if type(read(thing, "string")) not in (str, bytes):
        return None
    start, end = thing.span()
    return {"value": f"<match at {start} to {end}: {scalar(read(thing, 'string')[start:end][:LONGEST])}>"}


def _lock(thing: Any) -> dict[str, str]:
    return {"value": "locked" if thing.locked() else "unlocked"}


def _array(thing: Any) -> dict[str, str] | None:
    letter, length = read(thing, "typecode"), class_value(_base(thing, "array", "array"), "__len__")
    return {"note": f"{letter} ({length(thing)},)"} if type(letter) is str else None


def _base(thing: object, module: str, name: str) -> type:
    """The library's class that an object is of, which is known to be there."""
    return next(each for each in inert.bases(type(thing)) if is_in(module, name, each))


_EXACT: dict[int, Summary] = {
    id(FunctionType): _function,
    id(BuiltinFunctionType): _builtin,
    id(MethodType): _method,
    id(GeneratorType): _generator,
    id(CoroutineType): _coroutine,
    id(AsyncGeneratorType): _async_generator,
    id(CodeType): _code,
    id(FrameType): _frame,
    id(CellType): _cell,
    id(range): _range,
    id(slice): _slice,
    id(memoryview): _memory,
    id(ref): _weak,
    id(ProxyType): _proxy,
    id(CallableProxyType): _proxy,
    id(type(...)): _constant,
    id(type(NotImplemented)): _constant,
    id(LockType): _lock,
}
_BASES: dict[int, Summary] = {id(type): _class, id(ModuleType): _module}
_LIBRARY: dict[tuple[str, str], Summary] = {
    ("array", "array"): _array,
    ("datetime", "date"): _date,
    ("datetime", "datetime"): _datetime,
    ("datetime", "time"): _time,
    ("datetime", "timedelta"): _delta,
    ("datetime", "timezone"): _zone,
    ("decimal", "Decimal"): _decimal,
    ("enum", "Enum"): _enumerated,
    ("pathlib", "PurePath"): _path,
    ("pathlib._local", "PurePath"): _path,
    ("pandas.api.typing", "NaTType"): lambda _: {"value": "NaT"},
    ("re", "Match"): _match,
    ("re", "Pattern"): _pattern,
    ("uuid", "UUID"): _uuid,
    ("zoneinfo", "ZoneInfo"): _zone,
    **{key: guarded(summary) for key, summary in arrays.SUMMARIES.items()},
}
