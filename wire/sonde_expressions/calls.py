"""The functions of the language and the methods of texts. Whatever the program calls by these names, these are meant."""

from __future__ import annotations

from sonde_expressions import limits
from sonde_expressions.arithmetic import number
from sonde_expressions.errors import ExpressionFailed
from sonde_expressions.inert import bases, class_name
from sonde_expressions.limits import Steps, spend
from sonde_expressions.ordering import compared
from sonde_expressions.values import container, length, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FUNCTIONS = {
    "abs": (1, 1),
    "isinstance": (2, 2),
    "len": (1, 1),
    "max": (2, 20),
    "min": (2, 20),
    "round": (1, 2),
    "type": (1, 1),
}
"""How many arguments each takes: the fewest, the most."""
METHODS = {
    "count": (1, 1),
    "endswith": (1, 1),
    "find": (1, 1),
    "isalnum": (0, 0),
    "isalpha": (0, 0),
    "isdigit": (0, 0),
    "islower": (0, 0),
    "isspace": (0, 0),
    "isupper": (0, 0),
    "lower": (0, 0),
    "lstrip": (0, 1),
    "removeprefix": (1, 1),
    "removesuffix": (1, 1),
    "rstrip": (0, 1),
    "split": (0, 1),
    "startswith": (1, 1),
    "strip": (0, 1),
    "upper": (0, 0),
}
_ANY_SIZE = frozenset(("startswith", "endswith", "count", "find"))
"""Methods that make no text."""


def called(name: str, arguments: list[Any], steps: Steps) -> Any:
    if name == "len":
        return length(arguments[0])
    if name == "type":
        return class_name(type(arguments[0]))
    if name == "isinstance":
        return is_instance(arguments[0], arguments[1])
    if name == "abs":
        return abs(number(arguments[0]))
    if name == "round":
        return _rounded(*arguments)
    best = arguments[0]
    for each in arguments[1:]:
        if compared("<" if name == "min" else ">", each, best, steps):
            best = each
    return best


def is_instance(value: Any, names: tuple[str, ...]) -> bool:
    """Whether a class that the value is of, or one that it inherits from, has one of the names: whole, or its end."""
    for base in bases(type(value)):
        whole = class_name(base)
        for name in names:
            if whole == name or whole.endswith(f".{name}"):
                return True
    return False


def _rounded(value: Any, digits: Any = None) -> Any:
    found = number(value)
    if digits is None:
        return round(found)
    places = number(digits)
    if type(places) is float or abs(places) > limits.DIGITS:
        raise ExpressionFailed(f"round() takes a whole number of at most {limits.DIGITS} places")
    return round(found, int(places))


def method(name: str, value: Any, arguments: list[Any], steps: Steps) -> Any:
    """A method of a text. `value` is read as str whatever its class makes of the method."""
    text = plain(value)
    if type(text) is not str:
        raise ExpressionFailed(f".{name}() is offered for texts, and this is {class_name(type(value))}")
    given = [_text(each, name) for each in arguments]
    if name not in _ANY_SIZE and len(text) > limits.CHARACTERS:
        raise ExpressionFailed(f".{name}() is offered for texts of at most {limits.CHARACTERS:,} characters")
    spend(steps, (len(text) if name in ("count", "find") else _size(given)) >> 7)
    if name == "split":
        return _split(text, given)
    run: Callable[..., Any] = getattr(str, name)
    return run(text, *given)


def _split(text: str, given: list[Any]) -> list[str]:
    if given == [""]:
        raise ExpressionFailed("split() needs a text to split at")
    found = text.split(given[0] if given else None, limits.PARTS)
    if len(found) > limits.PARTS:
        raise ExpressionFailed(f"split() makes at most {limits.PARTS:,} parts here")
    return found


def _text(value: Any, name: str) -> Any:
    found = plain(value)
    if type(found) is str or (found is None and name in ("split", "strip", "lstrip", "rstrip")):
        return found
    if (
        name in ("startswith", "endswith")
        and container(value) is tuple
        and tuple.__len__(value) <= limits.ITEMS
    ):
        return tuple(_text(each, "") for each in tuple.__iter__(value))
    raise ExpressionFailed(f".{name}() is asked with a text here, not {class_name(type(value))}")


def _size(given: list[Any]) -> int:
    return sum(len(each) for each in given if type(each) is str)
