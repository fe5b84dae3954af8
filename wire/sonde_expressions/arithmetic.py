"""Calculating, with numbers and texts of bounded size, so that no result takes long to make or much room."""

from __future__ import annotations

from _operator import add, floordiv, mod, mul, sub, truediv

from sonde_expressions import limits
from sonde_expressions.errors import ExpressionFailed
from sonde_expressions.inert import class_name
from sonde_expressions.values import scalar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "+": add,
    "-": sub,
    "*": mul,
    "/": truediv,
    "//": floordiv,
    "%": mod,
}


def calculated(sign: str, left: Any, right: Any) -> Any:
    one, other = scalar(left, "a number or a text"), scalar(right, "a number or a text")
    if _is_number(one) and _is_number(other):
        return _power(one, other) if sign == "**" else _checked(_SIGNS[sign](one, other))
    if sign == "+" and type(one) is str and type(other) is str:
        _check_size(len(one) + len(other))
        return one + other
    if sign == "*" and (type(one) is str or type(other) is str):
        text, times = (one, other) if type(one) is str else (other, one)
        if type(times) is int or type(times) is bool:
            _check_size(len(text) * max(times, 0))
            return text * min(times, limits.CHARACTERS) if text and times > 0 else ""
    raise ExpressionFailed(
        f"`{sign}` is not offered between {class_name(type(one))} and {class_name(type(other))}"
    )


def negated(value: Any, sign: str) -> Any:
    number = scalar(value, "a number")
    if not _is_number(number):
        raise ExpressionFailed(f"`{sign}` is offered before numbers, not before {class_name(type(number))}")
    return -number if sign == "-" else +number


def number(value: Any) -> int | float:
    """The value as a number that may be calculated with."""
    found = scalar(value, "a number")
    if not _is_number(found):
        raise ExpressionFailed(f"a number is expected here, not {class_name(type(found))}")
    result: int | float = found
    return result


def _is_number(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        if value.bit_length() > limits.BITS:
            raise ExpressionFailed(
                f"numbers of more than {limits.BITS} bits are not calculated with; compare them"
            )
        return True
    return kind is float or kind is bool


def _power(base: Any, exponent: Any) -> Any:
    are_whole = type(base) is not float and type(exponent) is not float
    bits: Any = base
    if are_whole and int.bit_length(bits) * exponent > limits.BITS:
        raise ExpressionFailed(f"this power has more than {limits.BITS} bits; make it smaller")
    result: Any = base**exponent
    if type(result) is complex:
        raise ExpressionFailed("the root of a negative number is not offered; use abs()")
    return _checked(result)


def _checked(result: Any) -> Any:
    if type(result) is int and result.bit_length() > limits.BITS:
        raise ExpressionFailed(f"this result has more than {limits.BITS} bits; make it smaller")
    return result


def _check_size(size: int) -> None:
    if size > limits.CHARACTERS:
        raise ExpressionFailed(
            f"a text is made of at most {limits.CHARACTERS:,} characters here; make it shorter"
        )
