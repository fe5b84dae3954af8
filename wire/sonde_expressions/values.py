"""What is done with values, as Python does it, for kinds of the interpreter's own.

A value of a class that is made from such a kind is read as that kind; whatever its class does instead is not asked.
"""

from __future__ import annotations

import sys
from _collections import deque  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
from _operator import contains

from sonde_expressions import limits
from sonde_expressions.errors import ExpressionFailed
from sonde_expressions.inert import MISSING, bases, class_name, definer, from_module
from sonde_expressions.limits import Steps, spend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_CONTAINERS = (list, tuple, dict, set, frozenset, deque, range, bytearray)
_OWN_EQUALITY = frozenset(
    id(kind)
    for kind in (object, str, int, float, bool, bytes, type(None), tuple, frozenset, complex, range, type)
)
_KEYS = frozenset(
    id(kind)
    for kind in (str, int, float, bool, type(None), tuple, frozenset)
    + (() if sys.flags.bytes_warning else (bytes,))
)
"""Kinds of keys that are compared to a number or a text without code of the program's. `python -b` warns of bytes that
are compared to texts, and what a program does with warnings is its code."""


def plain(value: Any) -> Any:
    """A number, text, bytes, bool or None as itself, also when its class only is made from such a kind; MISSING for
    anything else."""
    kind = type(value)
    if kind is int or kind is str or kind is float or kind is bool or kind is bytes or value is None:
        return value
    for base in bases(kind):
        if base is str:
            _check_copied(str.__len__(value))
            return str.__str__(value)
        if base is int:
            return int.__int__(value)
        if base is float:
            return float.__float__(value)
        if base is bytes:
            _check_copied(bytes.__len__(value))
            return (
                bytes.__getitem__(value, slice(None))
                if kind is bytes
                else bytes.__add__(b"", bytes.__getitem__(value, slice(None)))
            )
    return MISSING


def _check_copied(size: int) -> None:
    if size > limits.LONGEST:
        raise ExpressionFailed(f"this text is longer than {limits.LONGEST:,} characters; ask for its len()")


def scalar(value: Any, wanted: str) -> Any:
    found = plain(value)
    if found is MISSING:
        raise ExpressionFailed(
            f"{wanted} is expected here, not {class_name(type(value))}; ask for a part of it"
        )
    return found


def decimal(value: Any) -> bool:
    """Whether this is the interpreter's own decimal number, whose methods are not Python code."""
    return type(value) is from_module("_decimal", "Decimal")


def fits_decimal(value: Any) -> bool:
    """Whether a decimal number may be compared to it: anything else it would look up among the program's classes."""
    kind = type(value)
    return kind is int or kind is float or kind is bool or decimal(value)


def container(value: Any) -> Any:
    """The kind of container that a value is, or that its class is made from; None for anything else."""
    its = type(value)
    if its is dict or its is list or its is tuple or its is set:
        return its
    for base in bases(its):
        for kind in _CONTAINERS:
            if base is kind:
                return kind
    return None


def length(value: Any) -> int:
    kind = container(value)
    if kind is not None:
        try:
            found: int = kind.__len__(value)
        except OverflowError:
            raise ExpressionFailed("this range is longer than len() can say; compare its ends") from None
        return found
    for base in bases(type(value)):
        if base is str:
            return str.__len__(value)
        if base is bytes:
            return bytes.__len__(value)
    raise ExpressionFailed(
        f"len() of {class_name(type(value))} is not known without running code; ask for a list, dict or text"
    )


def truth(value: Any) -> bool:
    """Whether Python takes the value for true."""
    if value is True or value is False:
        return bool(value)
    found = plain(value)
    if found is not MISSING:
        return bool(found)
    if container(value) is not None:
        return length(value) > 0
    kind = type(value)
    if definer(kind, "__bool__") is None and definer(kind, "__len__") is None:
        return True
    if decimal(value):
        return bool(value)
    raise ExpressionFailed(
        f"{class_name(kind)} decides by its own code whether it is true, which is not run; write `is not None`"
    )


def same(one: Any, other: Any, steps: Steps, depth: int = 0) -> bool:
    """`one == other`."""
    left, right = plain(one), plain(other)
    if left is not MISSING and right is not MISSING:
        return _same_scalars(left, right, steps)
    if decimal(one) or decimal(other):
        first, second = one if left is MISSING else left, other if right is MISSING else right
        if fits_decimal(first) and fits_decimal(second):
            return bool(first == second)
        if left is not MISSING or right is not MISSING:
            return False
    kinds = container(one), container(other)
    if kinds[0] is not None and kinds[1] is not None:
        return _same_containers(one, other, kinds[0], kinds[1], steps, depth)
    for value, found, kind in ((one, left, kinds[0]), (other, right, kinds[1])):
        if found is MISSING and kind is None and not _is_compared_by_identity(type(value)):
            raise ExpressionFailed(
                f"comparing {class_name(type(value))} could run the program's code; compare an attribute of it, or use `is None`"
            )
    return one is other


def _same_scalars(left: Any, right: Any, steps: Steps) -> bool:
    kind = type(left)
    if kind is str or kind is bytes:
        if type(right) is not kind:
            return False
        size = len(left)
        if size != len(right):
            return False
        if size > 1024:
            spend(steps, size >> 10)
    return bool(left == right)


def _same_containers(one: Any, other: Any, kind: Any, second: Any, steps: Steps, depth: int) -> bool:
    if kind is not second and {kind, second} != {set, frozenset}:
        if bytearray in (kind, second):
            raise ExpressionFailed("a bytearray is not compared here; compare its len() or one of its items")
        return False
    if depth >= limits.EQUAL_DEPTH:
        raise ExpressionFailed(
            f"containers are compared {limits.EQUAL_DEPTH} levels deep; compare a part of them"
        )
    if kind is range or kind is bytearray:
        spend(steps, 1 + (kind.__len__(one) >> 10 if kind is bytearray else 0))
        return bool(kind.__eq__(one, other))
    size = kind.__len__(one)
    if size != second.__len__(other):
        return False
    spend(steps, size)
    if kind is set or kind is frozenset:
        _check_keys(kind, one, steps)
        _check_keys(second, other, steps)
        _check_scalars(kind.__iter__(one))
        return bool(kind.__eq__(one, other))
    if kind is dict:
        _check_keys(dict, one, steps)
        _check_keys(dict, other, steps)
        for key, value in zip(dict.keys(one), dict.values(one), strict=True):
            found = dict.get(other, scalar(key, "a text or a number as key"), MISSING)
            if found is MISSING or not (found is value or same(value, found, steps, depth + 1)):
                return False
        return True
    return all(
        left is right or same(left, right, steps, depth + 1)
        for left, right in zip(kind.__iter__(one), kind.__iter__(other), strict=True)
    )


def _is_compared_by_identity(kind: type) -> bool:
    return definer(kind, "__eq__") is object


def has(where: Any, what: Any, steps: Steps) -> bool:
    """`what in where`."""
    kind = container(where)
    if kind is None or kind is bytearray:
        return _has_part(where, what, steps)
    if kind is range:
        number = scalar(what, "a number")
        return type(number) in (int, bool) and range.__contains__(where, number)
    if kind is dict or kind is set or kind is frozenset:
        key = _key(kind, where, what, steps)
        return bool(kind.__contains__(where, key))
    for item in kind.__iter__(where):
        spend(steps, 1)
        if item is what or same(item, what, steps):
            return True
    return False


def _has_part(where: Any, what: Any, steps: Steps) -> bool:
    whole: Any = plain(where)
    if type(whole) is str or type(whole) is bytes:
        part: Any = scalar(what, "a text")
        if type(part) is type(whole) or (type(whole) is bytes and type(part) is int):
            spend(steps, len(whole) >> 7)
            return bool(contains(whole, part))
        raise ExpressionFailed(
            f"{class_name(type(what))} is never in {class_name(type(where))}; compare like with like"
        )
    raise ExpressionFailed(
        f"`in` {class_name(type(where))} could run the program's code; it is offered for lists, dicts, sets and texts"
    )


def _key(kind: Any, where: Any, what: Any, steps: Steps) -> Any:
    """What to look up in a dict or a set: nothing whose comparison with what is there could run code."""
    key = scalar(what, "a text or a number as key")
    if type(key) is bytes and sys.flags.bytes_warning:
        raise ExpressionFailed("bytes are not looked up under python -b")
    _check_keys(kind, where, steps)
    return key


def _check_keys(kind: Any, where: Any, steps: Steps) -> None:
    """A lookup calls `__eq__` of a key that has the same hash, so every key is looked at first."""
    spend(steps, kind.__len__(where))
    if _KEYS.issuperset(map(id, map(type, kind.__iter__(where)))):
        return
    seen = set(_KEYS)
    for key_kind in map(type, kind.__iter__(where)):
        if id(key_kind) not in seen:
            if id(definer(key_kind, "__eq__")) not in _OWN_EQUALITY or (
                key_kind is bytes and sys.flags.bytes_warning
            ):
                raise ExpressionFailed(
                    f"a key here is {class_name(key_kind)}, which compares by its own code; that is not run"
                )
            seen.add(id(key_kind))


def _check_scalars(items: Iterator[Any]) -> None:
    for item in items:
        scalar(item, "a text or a number")


def item(where: Any, index: Any, steps: Steps) -> Any:
    """`where[index]`."""
    kind = container(where)
    if kind is dict:
        found = dict.get(where, _key(dict, where, index, steps), MISSING)
        if found is MISSING:
            raise ExpressionFailed("there is no such key here")
        return found
    if kind is None:
        where = plain(where)
        kind = type(where)
        if kind is not str and kind is not bytes:
            raise ExpressionFailed("only lists, tuples, dicts and texts have items that are read here")
    if kind is set or kind is frozenset:
        raise ExpressionFailed("a set has no items by number; use `in`")
    number = scalar(index, "a number")
    if type(number) is not int and type(number) is not bool:
        raise ExpressionFailed(
            f"{class_name(kind)} has its items by number, not by {class_name(type(index))}"
        )
    try:
        return kind.__getitem__(where, number)
    except (IndexError, OverflowError):
        raise ExpressionFailed(
            f"there is no item {str(number)[:20]} here: the {class_name(kind)} is shorter"
        ) from None


def part(where: Any, low: int | None, high: int | None) -> Any:
    """`where[low:high]`."""
    kind = container(where)
    if kind is None:
        where = plain(where)
        kind = type(where)
    if kind is not list and kind is not tuple and kind is not str and kind is not bytes:
        raise ExpressionFailed("only lists, tuples and texts have slices that are read here")
    start, stop, _ = slice(low, high).indices(kind.__len__(where))
    most = limits.PARTS if kind is list or kind is tuple else limits.CHARACTERS
    if stop - start > most:
        raise ExpressionFailed(f"a slice has at most {most:,} items here; ask for less")
    return kind.__getitem__(where, slice(start, stop))
