"""Arrays, tables and tensors: their shape and type, told by what C keeps of them. Their data stays untouched, be it on
this machine, in a file or on a graphics card.
"""

from typing import Any

from sonde_agent.tap import inert
from sonde_agent.tap.probes.layouts import Summary, class_value, read, type_name

_SIZED = {"f": "float", "i": "int", "u": "uint", "c": "complex"}
_OTHER = {
    "b": "bool",
    "M": "datetime64",
    "m": "timedelta64",
    "O": "object",
    "S": "bytes",
    "T": "str",
    "U": "str",
    "V": "record",
}
_PLAIN = frozenset({bool, int, float, complex})
_MOST_TYPES = 10
_DEEPEST = 4


def _array(thing: object) -> dict[str, str] | None:
    shape, kind = read(thing, "shape"), _type_of_items(read(thing, "dtype"))
    return {"note": f"{kind} {_shape(shape)}"} if kind and shape is not None else None


def _number(thing: object) -> dict[str, str] | None:
    """A scalar of numpy's. Texts are shown as those of Python are."""
    if issubclass(type(thing), str | bytes):
        return None
    for each in inert.bases(type(thing)):
        if (item := class_value(each, "item")) is not None:
            value = item(thing)
            return {"value": repr(value)} if type(value) in _PLAIN else {"note": "scalar"}
    return None


def _number_type(thing: object) -> dict[str, str] | None:
    kind = _type_of_items(thing)
    return {"value": kind} if kind else None


def _table(thing: object) -> dict[str, str] | None:
    """A DataFrame: columns and rows by the lengths of its axes, and the types of its blocks of columns."""
    manager = read(thing, "_mgr")
    columns, rows = (_length(axis) for axis in read(manager, "axes"))
    kinds = dict.fromkeys(_type_of_values(read(block, "values")) for block in read(manager, "blocks"))
    shown = ", ".join(list(kinds)[:_MOST_TYPES])
    return {"note": f"{shown} ({rows}, {columns})".strip()}


def _column(thing: object) -> dict[str, str] | None:
    manager = read(thing, "_mgr")
    (rows,) = (_length(axis) for axis in read(manager, "axes"))
    (block,) = read(manager, "blocks")
    return {"note": f"{_type_of_values(read(block, 'values'))} ({rows},)"}


def _index(thing: object) -> dict[str, str] | None:
    length = _length(thing)
    kind = "int64" if type(read(thing, "_range")) is range else _type_of_values(read(thing, "_data"))
    return None if length is None else {"note": f"{kind} ({length},)"}


def _tensor(thing: object) -> dict[str, str] | None:
    """Exact types only, and no mode in force: with either torch asks the program's `__torch_function__` even for a shape."""
    torch, inner = inert.names_in("torch"), inert.names_in("torch._C")
    parameter = inert.names_in("torch.nn.parameter").get("Parameter")
    modes = inner.get("_len_torch_function_stack")
    if type(thing) is not torch.get("Tensor") and type(thing) is not parameter:
        return None
    if modes is None or modes() != 0:
        return {"note": "tensor"}
    kind = repr(read(thing, "dtype")).removeprefix("torch.")
    device = read(read(thing, "device"), "type")
    return {
        "note": f"{kind} {_shape(read(thing, 'shape'))}" + (f" on {device}" if type(device) is str else "")
    }


def _length(axis: object) -> int | None:
    """Of an index: a range, or values of some kind. The labels themselves may be the program's objects."""
    numbers = read(axis, "_range")
    if type(numbers) is range:
        return max(0, -((numbers.start - numbers.stop) // numbers.step))
    values = read(axis, "_data")
    for _ in range(_DEEPEST):
        shape = read(values, "shape")
        if issubclass(type(shape), tuple):
            first: int = tuple.__getitem__(shape, 0)
            return first
        values = _inside(values)
    return None


def _type_of_values(values: object) -> str:
    """Of numpy's arrays by their `dtype`; of pandas' own, which keep theirs in Python, by the class."""
    return _type_of_items(read(values, "dtype")) or type_name(type(values)).rpartition(".")[2]


def _inside(values: object) -> Any:
    """pandas' own arrays keep one of numpy under one of these names."""
    return next(
        (found for name in ("_ndarray", "_data", "_codes") if (found := read(values, name)) is not None), None
    )


def _type_of_items(dtype: object) -> str:
    letter, size = read(dtype, "kind"), read(dtype, "itemsize")
    if type(letter) is not str or type(size) is not int:
        return ""
    return f"{_SIZED[letter]}{size * 8}" if letter in _SIZED else _OTHER.get(letter, "")


def _shape(shape: Any) -> str:
    lengths = list(tuple.__iter__(shape)) if issubclass(type(shape), tuple) else []
    inner = ", ".join(str(each) for each in lengths if type(each) is int)
    return f"({inner},)" if len(lengths) == 1 else f"({inner})"


SUMMARIES: dict[tuple[str, str], Summary] = {
    ("numpy", "ndarray"): _array,
    ("numpy", "generic"): _number,
    ("numpy", "dtype"): _number_type,
    ("pandas", "DataFrame"): _table,
    ("pandas", "Series"): _column,
    ("pandas", "Index"): _index,
    ("pandas.core.frame", "DataFrame"): _table,
    ("pandas.core.series", "Series"): _column,
    ("pandas.core.indexes.base", "Index"): _index,
    ("torch", "Tensor"): _tensor,
}
