"""Reading the program's objects without running any of its code.

Nothing is looked up through a class of the program's: a class could answer with a property, `__getattr__`,
`__getattribute__` or a metaclass. What stands in classes and instances is read by the interpreter's own descriptors,
and classes are told apart by identity, never put in a set or a dict, which would hash them by their metaclass.
Names in a namespace are looked up as the interpreter looks them up itself.
"""

from __future__ import annotations

import sys
from _collections import _tuplegetter  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

from sonde_expressions.errors import ExpressionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MISSING: Any = object()
_MRO: Any = type.__dict__["__mro__"].__get__
_NAMESPACE: Any = type.__dict__["__dict__"].__get__
_QUALNAME: Any = type.__dict__["__qualname__"].__get__
_MODULE: Any = type.__dict__["__module__"].__get__
_FLAGS: Any = type.__dict__["__flags__"].__get__
_MEMBER = type(type(lambda: None).__dict__["__globals__"])
_GETSET = type(type.__dict__["__qualname__"])
_MODULE_TYPE = type(sys)
_HEAP = 1 << 9
"""Py_TPFLAGS_HEAPTYPE of `type.__flags__`: set for every class that Python code made."""


def bases(kind: type) -> tuple[type, ...]:
    """A class and the classes it inherits from, in the order in which attributes are looked up."""
    found: tuple[type, ...] = _MRO(kind)
    return found


def is_made_from(kind: type, base: type) -> bool:
    """issubclass(), and also `in`, would ask the metaclass whether two classes are equal."""
    return any(each is base for each in _MRO(kind))


def class_name(kind: type) -> str:
    """`int`, `shop.Order`."""
    name, home = str.__str__(_QUALNAME(kind))[:200], _MODULE(kind)
    return f"{home[:200]}.{name}" if type(home) is str and home != "builtins" else name


def definer(kind: type, name: str) -> type | None:
    """The class that says what a special method of this class does."""
    for base in _MRO(kind):
        if name in _NAMESPACE(base):
            found: type = base
            return found
    return None


def from_module(module: str, name: str) -> Any:
    """What stands in a module that the program has imported; MISSING otherwise."""
    found = dict.get(sys.modules, module) if is_made_from(type(sys.modules), dict) else None
    return dict.get(found.__dict__, name, MISSING) if type(found) is _MODULE_TYPE else MISSING


def attribute(thing: object, name: str) -> Any:
    """What `thing.name` is, as far as it stands somewhere: in a slot, in the instance, in its class."""
    kind = type(thing)
    in_class: Any = MISSING
    own_dict: Any = MISSING
    for base in _MRO(kind):
        if base is object:
            break
        namespace = _NAMESPACE(base)
        if "__getattribute__" in namespace and (base is type or _FLAGS(base) & _HEAP):
            if is_made_from(base, type):
                return _attribute_of_class(thing, name)
            raise ExpressionFailed(
                f"{class_name(kind)} decides itself what its attributes are; its code is not run"
            )
        if in_class is MISSING and name in namespace:
            in_class = namespace[name]
        if own_dict is MISSING and "__dict__" in namespace:
            own_dict = namespace["__dict__"]
    if in_class is not MISSING and _is_defined(type(in_class), "__get__"):
        found = _described(thing, kind, name, in_class)
        if found is not MISSING:
            return found
    if type(own_dict) is _GETSET or type(own_dict) is _MEMBER:
        found = own_dict.__get__(thing)
        if type(found) is dict or is_made_from(type(found), dict):
            found = dict.get(found, name, MISSING)
            if found is not MISSING:
                return found
    if in_class is MISSING or _is_defined(type(in_class), "__get__"):
        raise ExpressionFailed(
            f"{class_name(kind)} has no attribute '{name}' that can be read without running code"
        )
    return in_class


def _described(thing: object, kind: type, name: str, descriptor: Any) -> Any:
    """What a slot holds; MISSING when the instance may have the attribute nevertheless."""
    how = type(descriptor)
    if how is _MEMBER or how is _tuplegetter or (how is _GETSET and descriptor.__objclass__ is BaseException):
        if how is _MEMBER and not (
            _FLAGS(descriptor.__objclass__) & _HEAP or is_made_from(descriptor.__objclass__, BaseException)
        ):
            raise ExpressionFailed(
                f"'{name}' is a part of the interpreter's own {class_name(kind)}, which is not offered"
            )
        try:
            return descriptor.__get__(thing, kind)
        except (AttributeError, TypeError):
            raise ExpressionFailed(f"{class_name(kind)} has no attribute '{name}' yet") from None
    if name in ("name", "value") and definer(kind, name) is from_module("enum", "Enum"):
        return attribute(thing, f"_{name}_")
    if _is_defined(how, "__set__") or _is_defined(how, "__delete__"):
        raise ExpressionFailed(
            f"'{name}' of {class_name(kind)} is computed by code, which is not run; ask for what it is computed from"
        )
    return MISSING


def _attribute_of_class(thing: Any, name: str) -> Any:
    """A plain value that stands in a class."""
    if type(thing) is type:
        for base in _MRO(thing):
            namespace = _NAMESPACE(base)
            if name in namespace:
                found = namespace[name]
                if not _is_defined(type(found), "__get__"):
                    return found
                break
    raise ExpressionFailed(f"there is no attribute '{name}' of a class that can be read without running code")


def _is_defined(kind: type, name: str) -> bool:
    return any(name in _NAMESPACE(base) for base in _MRO(kind))


class Readable:
    """A namespace of a kind that is made from dict, read past whatever its class does."""

    __slots__ = ("_names",)

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names

    def get(self, name: str, default: Any) -> Any:
        return dict.get(self._names, name, default)


def readable(names: Any) -> Any:
    """A namespace whose `get` runs none of the program's code."""
    kind = type(names)
    if kind is dict or kind is PROXY:
        return names
    if is_made_from(kind, dict):
        return Readable(names)
    raise ExpressionFailed("the names here are kept by an object of the program, which is not asked")


def _proxy() -> type:
    """The kind of `frame.f_locals` of a function: since 3.13 not a dict."""
    return type(sys._getframe().f_locals)


PROXY = _proxy()
