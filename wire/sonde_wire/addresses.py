"""Names of processes, and selectors that match many of them.

A process is addressed ``namespace/service/instance``. Each level is also a level of an MQTT topic and a part
of a URL, so it is held to a small alphabet: lower-case letters, digits, ``.``, ``_`` and ``-``, at most 63
characters, beginning and ending with a letter or digit (the label rule of RFC 1123, widened by ``_``).
"""

import re
from typing import Annotated

from msgspec import Meta, Struct

from sonde_wire.errors import InvalidAddress

_LEVEL = r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?"
_GLOB = rf"(?:{_LEVEL}|[a-z0-9._-]{{0,62}}\*)"

END = r"$(?!\n)"
"""The end of a pattern, for Python and JSON Schema alike: Python's `$` also matches before a last newline."""

ProcessName = Annotated[
    str, Meta(pattern=rf"^{_LEVEL}/{_LEVEL}/{_LEVEL}{END}", description="namespace/service/instance")
]
SelectorText = Annotated[
    str,
    Meta(
        pattern=rf"^{_GLOB}/{_GLOB}/{_GLOB}{END}", description="namespace/service/instance, `*` ends a prefix"
    ),
]

_LEVEL_RE = re.compile(_LEVEL)
_GLOB_RE = re.compile(_GLOB)
_NOT_ALLOWED = re.compile(r"[^a-z0-9._-]+")


class Address(Struct, frozen=True, order=True):
    """Where a process stands in the fleet. Raises `InvalidAddress` when a level is not a legal name."""

    namespace: str
    service: str
    instance: str

    def __post_init__(self) -> None:
        for level in (self.namespace, self.service, self.instance):
            if not _LEVEL_RE.fullmatch(level):
                raise InvalidAddress(level)

    @classmethod
    def parse(cls, text: str) -> "Address":
        levels = text.split("/")
        if len(levels) != 3:
            raise InvalidAddress(text)
        return cls(*levels)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}/{self.instance}"


class Selector(Struct, frozen=True):
    """A set of processes: each level is a name, or a prefix that ends in ``*``.

    There are no other wildcards and no regular expressions, so that a selector in a token can be read and
    compared by a person.
    """

    namespace: str = "*"
    service: str = "*"
    instance: str = "*"

    def __post_init__(self) -> None:
        for level in (self.namespace, self.service, self.instance):
            if not _GLOB_RE.fullmatch(level):
                raise InvalidAddress(level)

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """``namespace/service/instance``; shorter forms name the service: ``shop``, ``prod/shop``, ``*``."""
        levels = text.split("/")
        match levels:
            case [service]:
                return cls(service=service)
            case [namespace, service]:
                return cls(namespace=namespace, service=service)
            case [namespace, service, instance]:
                return cls(namespace=namespace, service=service, instance=instance)
            case _:
                raise InvalidAddress(text)

    def matches(self, address: Address) -> bool:
        return (
            _level_matches(self.namespace, address.namespace)
            and _level_matches(self.service, address.service)
            and _level_matches(self.instance, address.instance)
        )

    @property
    def address(self) -> Address | None:
        """The one process that it names, when it has no `*`."""
        if any(level.endswith("*") for level in (self.namespace, self.service, self.instance)):
            return None
        return Address(self.namespace, self.service, self.instance)

    def narrowed(self, other: "Selector") -> "Selector | None":
        """What both match; None when no process could match both."""
        if not self.overlaps(other):
            return None
        return Selector(
            _narrower(self.namespace, other.namespace),
            _narrower(self.service, other.service),
            _narrower(self.instance, other.instance),
        )

    def overlaps(self, other: "Selector") -> bool:
        """Whether a process could match both."""
        return all(
            _levels_overlap(mine, theirs)
            for mine, theirs in (
                (self.namespace, other.namespace),
                (self.service, other.service),
                (self.instance, other.instance),
            )
        )

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}/{self.instance}"


def _levels_overlap(one: str, other: str) -> bool:
    if one.endswith("*") and other.endswith("*"):
        return one[:-1].startswith(other[:-1]) or other[:-1].startswith(one[:-1])
    return _level_matches(one, other) if one.endswith("*") else _level_matches(other, one)


def _narrower(one: str, other: str) -> str:
    """Of two levels that overlap, the one that the other contains."""
    if one.endswith("*") and other.endswith("*"):
        return max(one, other, key=len)
    return other if one.endswith("*") else one


def _level_matches(pattern: str, level: str) -> bool:
    return level.startswith(pattern[:-1]) if pattern.endswith("*") else level == pattern


def to_level(text: str, fallback: str = "unnamed") -> str:
    """The nearest legal level to any text, such as a host name or the path of a script."""
    level = _NOT_ALLOWED.sub("-", text.lower())[:63].strip("._-")
    return level or fallback
