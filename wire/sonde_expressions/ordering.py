"""The comparisons: `<` and its like between numbers, texts and tuples of them; `==`, `in` and `is` by `values`."""

from __future__ import annotations

from _operator import eq, ge, gt, le, lt, ne

from sonde_expressions.errors import ExpressionFailed
from sonde_expressions.inert import MISSING, class_name
from sonde_expressions.limits import Steps, spend
from sonde_expressions.values import container, decimal, fits_decimal, has, plain, same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SIGNS: dict[str, Callable[[Any, Any], Any]] = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


def compared(sign: str, left: Any, right: Any, steps: Steps) -> bool:
    if sign == "==":
        return same(left, right, steps)
    if sign == "!=":
        return not same(left, right, steps)
    if sign == "is":
        return left is right
    if sign == "is not":
        return left is not right
    if sign == "in":
        return has(right, left, steps)
    if sign == "not in":
        return not has(right, left, steps)
    return _ordered(sign, left, right, steps)


def _ordered(sign: str, left: Any, right: Any, steps: Steps) -> bool:
    one, other = plain(left), plain(right)
    if decimal(left) or decimal(right):
        one, other = left if one is MISSING else one, right if other is MISSING else other
        if fits_decimal(one) and fits_decimal(other):
            return bool(SIGNS[sign](one, other))
    elif one is not MISSING and other is not MISSING and _are_alike(one, other):
        if type(one) is str or type(one) is bytes:
            spend(steps, min(len(one), len(other)) >> 10)
        return bool(SIGNS[sign](one, other))
    kind = container(left)
    if (kind is list or kind is tuple) and container(right) is kind:
        return _ordered_items(sign, left, right, kind, steps)
    raise ExpressionFailed(
        f"`{sign}` is not offered between {class_name(type(left))} and {class_name(type(right))}; compare numbers or texts"
    )


def _ordered_items(sign: str, left: Any, right: Any, kind: Any, steps: Steps) -> bool:
    """The first items that differ decide, and otherwise the lengths."""
    for one, other in zip(kind.__iter__(left), kind.__iter__(right), strict=False):
        spend(steps, 1)
        if one is not other and not same(one, other, steps):
            if plain(one) is MISSING or plain(other) is MISSING:
                break
            return _ordered(sign, one, other, steps)
    else:
        return bool(SIGNS[sign](kind.__len__(left), kind.__len__(right)))
    raise ExpressionFailed(f"`{sign}` is offered for lists of numbers and texts, not of other things")


def _are_alike(one: Any, other: Any) -> bool:
    """Whether Python puts two plain values in an order."""
    if one is None or other is None:
        return False
    kinds = type(one), type(other)
    if str in kinds or bytes in kinds:
        return kinds[0] is kinds[1]
    return True
