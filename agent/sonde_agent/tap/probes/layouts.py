"""What the instances of a class are made of, found without running any code of the class: no attribute is looked up
through it, no metaclass is asked, and nothing is compared but by identity.

A layout is made once for each class. Classes are told apart by their ids, because a metaclass can have a `__hash__`; the
weak reference beside each says whether the id is still that class's.
"""

import sys
from _weakref import ref
from collections.abc import Callable, Iterator
from itertools import islice
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

from sonde_agent.records import Record
from sonde_agent.tap import inert
from sonde_agent.tap.identity import plain

Summary = Callable[[Any], dict[str, str] | None]
"""Reads an object into `value` or `note`; None when it is not what it seemed to be."""

MOST_CLASSES = 2000
"""Layouts that are kept. When there are more, all are forgotten and made again as needed."""
MOST_SLOTS = 200
LONGEST_NAME = 200
_BESIDE = ("__pydantic_extra__", "__pydantic_private__")

_class_dictionary = type.__dict__["__dict__"].__get__
_qualified_name = type.__dict__["__qualname__"].__get__
_home = type.__dict__["__module__"].__get__
known: dict[int, tuple[Any, "Layout"]] = {}
"""By id of the class, with a reference to it: who looks here sees that it still is that class."""


class Layout(Record):
    """`own` reads the instance's dictionary; `base` is the class of the interpreter's whose methods read the rest;
    `slots` are read by descriptors of C; `names` are those of a named tuple. `is_veiled`: the class shows something else
    as `__dict__`, and what its instances have cannot be seen without running its code."""

    name: str
    base: type
    own: Any
    slots: tuple[tuple[str, Any], ...]
    names: tuple[str, ...]
    summary: Summary | None
    is_veiled: bool
    beside: tuple[Any, ...]


def layout(kind: type, summary_of: Callable[[type], Summary | None], bases: dict[int, type]) -> Layout:
    """The same arguments are given each time, but for the class."""
    found = known.get(id(kind))
    if found is not None and found[0]() is kind:
        return found[1]
    made = _made(kind, summary_of, bases)
    if len(known) >= MOST_CLASSES:
        known.clear()
    known[id(kind)] = (ref(kind), made)
    return made


def type_name(kind: type) -> str:
    """`shop.Order`; without its module for a builtin."""
    name = short(_qualified_name(kind))
    home = _home(kind)
    return name if type(home) is not str or home == "builtins" else f"{short(home)}.{name}"


def own_name(kind: type) -> tuple[str, str]:
    """Module and name of a class, as far as they are plain strings."""
    home, name = _home(kind), _qualified_name(kind)
    return (home if type(home) is str else "", name if type(name) is str else "")


def class_value(kind: type, name: str) -> Any:
    """What stands in one class under that name; None when there is nothing."""
    return _class_dictionary(kind).get(name)


def own_of(thing: object, descriptor: Any) -> dict[str, Any] | None:
    """The instance's dictionary, not a copy; None when it has none."""
    if descriptor is None:
        return None
    try:
        own = descriptor.__get__(thing)
    except (AttributeError, TypeError):
        return None
    return own if type(own) is dict else None


def read(thing: object, name: str) -> Any:
    """An attribute as it stands in the instance, or as C keeps it; None when it is neither."""
    kind = type(thing)
    own = own_of(thing, _dictionary_of(inert.bases(kind))[0])
    if own and name in own:
        return own[name]
    for each in inert.bases(kind):
        found = class_value(each, name)
        if type(found) is MemberDescriptorType or type(found) is GetSetDescriptorType:
            try:
                return found.__get__(thing)
            except (AttributeError, TypeError, ValueError):
                return None
    return None


def is_in(module: str, name: str, kind: type) -> bool:
    """Whether the program's module, if it has been imported, has exactly this class under that name."""
    return module in sys.modules and inert.names_in(module).get(name) is kind


def slot(thing: object, descriptor: Any) -> tuple[bool, Any]:
    """Whether a slot is filled, and with what."""
    try:
        return True, descriptor.__get__(thing)
    except (AttributeError, TypeError, ValueError, SystemError):  # not yet filled, or another class's
        return False, None


def beside(thing: object, made: Layout) -> Iterator[dict[str, Any]]:
    """What pydantic keeps of an instance beside its fields: what was given in addition, and its private attributes."""
    for descriptor in made.beside:
        found = slot(thing, descriptor)[1]
        if type(found) is dict:
            yield found


def _made(kind: type, summary_of: Callable[[type], Summary | None], bases: dict[int, type]) -> Layout:
    order = inert.bases(kind)
    own, is_veiled = _dictionary_of(order)
    return Layout(
        name=type_name(kind),
        base=next((bases[id(each)] for each in order if id(each) in bases), object),
        own=own,
        slots=tuple(islice(_slots(order, bases), MOST_SLOTS)),
        names=_names(order),
        summary=summary_of(kind),
        is_veiled=is_veiled,
        beside=tuple(each for name in _BESIDE if (each := _member(order, name)) is not None),
    )


def _dictionary_of(order: tuple[type, ...]) -> tuple[Any, bool]:
    """The descriptor of `__dict__`, and whether a class has put something else in front of it."""
    is_veiled = False
    for each in order:
        found = class_value(each, "__dict__")
        if type(found) is GetSetDescriptorType or type(found) is MemberDescriptorType:
            return found, False
        is_veiled |= found is not None
    return None, is_veiled


def _slots(order: tuple[type, ...], bases: dict[int, type]) -> Iterator[tuple[str, Any]]:
    """Of the outermost base first, without those that are shown by their value. Names with two underscores on both sides are the interpreter's, or a library's."""
    seen = set()
    for each in reversed(order):
        if id(each) in bases:
            continue
        for name, found in list(_class_dictionary(each).items()):
            if type(found) is not MemberDescriptorType or type(name) is not str or name in seen:
                continue
            seen.add(name)
            if not (name.startswith("__") and name.endswith("__")):
                yield short(name), found


def _member(order: tuple[type, ...], name: str) -> Any:
    members = (class_value(each, name) for each in order)
    return next((each for each in members if type(each) is MemberDescriptorType), None)


def _names(order: tuple[type, ...]) -> tuple[str, ...]:
    if not any(each is tuple for each in order):
        return ()
    for each in order:
        names = class_value(each, "_fields")
        if names is not None:
            named = type(names) is tuple and all(type(name) is str for name in names)
            return tuple(short(name) for name in names) if named else ()
    return ()


def short(name: str) -> str:
    """A name as it can be sent. What the program calls a string may be of a class of its own."""
    name = str.__getitem__(name, slice(0, LONGEST_NAME))
    return name if name.isascii() else plain(name)
