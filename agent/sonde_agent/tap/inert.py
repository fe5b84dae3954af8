"""Reading the program's objects without running any of its code: no attribute is looked up through a class of the
program's, which could answer with a property, `__getattr__` or a metaclass.
"""

import sys
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

from sonde_agent.tap.identity import plain

_namespace = type.__dict__["__dict__"].__get__
_OF_C = (GetSetDescriptorType, MemberDescriptorType)
_HEAP = 1 << 9
"""Py_TPFLAGS_HEAPTYPE of `type.__flags__`: set for every class that Python code made."""


def names_in(module: str) -> dict[str, Any]:
    """The names in a module; none while the program has not imported it."""
    found = sys.modules.get(module)
    return attributes(found) if issubclass(type(found), ModuleType) else {}


def attributes(thing: object) -> dict[str, Any]:
    """An object's own attributes; not a copy. None of one whose class answers for `__dict__` itself."""
    for kind in bases(type(thing)):
        descriptor = _namespace(kind).get("__dict__")
        if descriptor is not None:
            own = descriptor.__get__(thing) if type(descriptor) in _OF_C else None
            return own if type(own) is dict else {}
    return {}


def class_attributes(kind: object) -> dict[str, Any]:
    """What stands in a class itself; nothing for what is no class, or one of a metaclass."""
    return dict(_namespace(kind)) if type(kind) is type else {}


def class_name(kind: type) -> str:
    name: str = type.__dict__["__qualname__"].__get__(kind)
    return plain(name)


def class_home(kind: type) -> str:
    """The module that a class says it is from."""
    home = type.__dict__["__module__"].__get__(kind)
    return plain(home) if type(home) is str else ""


def bases(kind: type) -> tuple[type, ...]:
    """The classes in which a method is looked up, in that order."""
    found: tuple[type, ...] = type.__dict__["__mro__"].__get__(kind)
    return found


def function(kind: object, name: str) -> FunctionType | None:
    """A method as it stands in a class."""
    found = class_attributes(kind).get(name)
    return found if type(found) is FunctionType else None


def is_of_c(kind: type) -> bool:
    """Whether a class is one of the interpreter's own, made in C."""
    return type(kind) is type and not type.__dict__["__flags__"].__get__(kind) & _HEAP
