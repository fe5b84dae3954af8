"""Nodes become functions, once; an evaluation only calls them. No code is generated, so none of the text is ever run.

Each takes the names of a frame, the names of its module and what is left of the steps. What probes ask most, a name
against a constant, has a way of its own.
"""

from __future__ import annotations

from sys import intern

from sonde_expressions.arithmetic import calculated, negated
from sonde_expressions.calls import called, method
from sonde_expressions.errors import ExpressionFailed
from sonde_expressions.inert import MISSING, attribute
from sonde_expressions.nodes import (
    Attribute,
    Binary,
    Boolean,
    Call,
    Compare,
    Conditional,
    Constant,
    Display,
    Name,
    Node,
    Slice,
    Subscript,
    Unary,
)
from sonde_expressions.ordering import SIGNS, compared
from sonde_expressions.values import item, part, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sonde_expressions.limits import Steps

    Run = Callable[[Any, Any, Steps], Any]


def compiled(node: Node, names: set[str]) -> Run:
    """The function that a node is; adds every name, attribute and key that it mentions to `names`."""
    if type(node) is Constant:
        return _constant(node.value)
    if type(node) is Name:
        names.add(node.name)
        return _name(intern(node.name))
    if type(node) is Attribute:
        names.add(node.name)
        return _attribute(compiled(node.value, names), intern(node.name))
    if type(node) is Subscript:
        key = node.index.value if type(node.index) is Constant else None
        if isinstance(key, bytes):
            key = key.decode("latin-1")
        if isinstance(key, str):
            names.add(key)
        return _subscript(compiled(node.value, names), compiled(node.index, names))
    if type(node) is Slice:
        return _slice(compiled(node.value, names), node.low, node.high)
    if type(node) is Compare:
        return _compare(node, names)
    if type(node) is Boolean:
        return _boolean(node.sign == "and", [compiled(each, names) for each in node.items])
    if type(node) is Unary:
        return _unary(node.sign, compiled(node.operand, names))
    if type(node) is Binary:
        return _binary(node.sign, compiled(node.left, names), compiled(node.right, names))
    if type(node) is Conditional:
        return _conditional(compiled(node.test, names), compiled(node.yes, names), compiled(node.no, names))
    if type(node) is Display:
        return _display([compiled(each, names) for each in node.items], list if node.is_list else tuple)
    assert type(node) is Call  # noqa: S101 - for the type checker; the parser makes no other
    arguments = [compiled(each, names) for each in node.arguments]
    return _call(node.name, None if node.value is None else compiled(node.value, names), arguments)


def _constant(value: Any) -> Run:
    return lambda local, module, steps: value


def _name(name: str) -> Run:
    def run(local: Any, module: Any, steps: Steps) -> Any:
        found = local.get(name, MISSING)
        if found is MISSING:
            found = module.get(name, MISSING)
            if found is MISSING:
                raise _unknown(name)
        return found

    return run


def _unknown(name: str) -> ExpressionFailed:
    return ExpressionFailed(f"there is no name '{name}' here")


def _attribute(value: Run, name: str) -> Run:
    return lambda local, module, steps: attribute(value(local, module, steps), name)


def _subscript(value: Run, index: Run) -> Run:
    return lambda local, module, steps: item(value(local, module, steps), index(local, module, steps), steps)


def _slice(value: Run, low: int | None, high: int | None) -> Run:
    return lambda local, module, steps: part(value(local, module, steps), low, high)


def _compare(node: Compare, names: set[str]) -> Run:
    first = compiled(node.first, names)
    rest = [(sign, compiled(right, names)) for sign, right in node.rest]
    if len(rest) > 1:
        return _chain(first, rest)
    sign, right = node.rest[0]
    if sign in SIGNS and type(right) is Constant:
        value = right.value
        if type(value) is int or type(value) is float:
            if type(node.first) is Name:
                return _name_against_number(intern(node.first.name), sign, value)
            return _against(first, sign, value, int, float)
        if type(value) is str and len(value) < 1024:
            return _against(first, sign, value, str, str)
    if sign in ("in", "not in") and type(right) is Display and all(_is_plain(each) for each in right.items):
        return _among(first, sign, tuple(each.value for each in right.items if type(each) is Constant))
    return _pair(first, sign, rest[0][1])


def _is_plain(node: Node) -> bool:
    return type(node) is Constant and (
        type(node.value) is int or type(node.value) is float or type(node.value) is str
    )


def _name_against_number(name: str, sign: str, value: float) -> Run:
    compare = SIGNS[sign]

    def run(local: Any, module: Any, steps: Steps) -> Any:
        found = local.get(name, MISSING)
        kind = type(found)
        if kind is int or kind is float:
            return compare(found, value)
        if found is MISSING:
            found = module.get(name, MISSING)
            if found is MISSING:
                raise _unknown(name)
            kind = type(found)
            if kind is int or kind is float:
                return compare(found, value)
        return compared(sign, found, value, steps)

    return run


def _against(left: Run, sign: str, value: Any, kind: type, other: type) -> Run:
    """A comparison with a constant that needs no look at the value when it is of one of two kinds."""
    compare = SIGNS[sign]

    def run(local: Any, module: Any, steps: Steps) -> Any:
        found = left(local, module, steps)
        its = type(found)
        if its is kind or its is other:
            return compare(found, value)
        return compared(sign, found, value, steps)

    return run


def _among(left: Run, sign: str, values: tuple[Any, ...]) -> Run:
    """A search in numbers and texts that are written down: nothing in there has code of its own."""
    is_wanted = sign == "in"

    def run(local: Any, module: Any, steps: Steps) -> Any:
        found = left(local, module, steps)
        kind = type(found)
        if kind is int or kind is str or kind is float:
            return (found in values) is is_wanted
        return compared(sign, found, values, steps)

    return run


def _pair(left: Run, sign: str, right: Run) -> Run:
    return lambda local, module, steps: compared(
        sign, left(local, module, steps), right(local, module, steps), steps
    )


def _chain(first: Run, rest: list[tuple[str, Run]]) -> Run:
    def run(local: Any, module: Any, steps: Steps) -> Any:
        left = first(local, module, steps)
        for sign, right in rest:
            value = right(local, module, steps)
            if not compared(sign, left, value, steps):
                return False
            left = value
        return True

    return run


def _boolean(is_and: bool, items: list[Run]) -> Run:
    last = items.pop()

    def run(local: Any, module: Any, steps: Steps) -> Any:
        for each in items:
            value = each(local, module, steps)
            if truth(value) is not is_and:
                return value
        return last(local, module, steps)

    return run


def _unary(sign: str, operand: Run) -> Run:
    if sign == "not":
        return lambda local, module, steps: not truth(operand(local, module, steps))
    return lambda local, module, steps: negated(operand(local, module, steps), sign)


def _binary(sign: str, left: Run, right: Run) -> Run:
    return lambda local, module, steps: calculated(
        sign, left(local, module, steps), right(local, module, steps)
    )


def _conditional(test: Run, yes: Run, no: Run) -> Run:
    return lambda local, module, steps: (yes if truth(test(local, module, steps)) else no)(
        local, module, steps
    )


def _display(items: list[Run], kind: type) -> Run:
    return lambda local, module, steps: kind([each(local, module, steps) for each in items])


def _call(name: str, value: Run | None, arguments: list[Run]) -> Run:
    if value is None:
        return lambda local, module, steps: called(
            name, [each(local, module, steps) for each in arguments], steps
        )
    return lambda local, module, steps: method(
        name, value(local, module, steps), [each(local, module, steps) for each in arguments], steps
    )
