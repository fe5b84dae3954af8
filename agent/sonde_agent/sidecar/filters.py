"""Which exceptions stop: each session owns its filters, pydevd gets their union. Pure.

A session says either `filters` (raised, uncaught, userUnhandled: of every exception) or, with `exceptionOptions`,
names and a break mode for each; the two can be mixed. pydevd looks a name up for each mode apart, with its
base classes, so what it is given is the set of all (name, mode) that anybody wants: it stops wherever one of the
sessions wants it to. `never` adds nothing to that, and cannot except anything.

pydevd reads filters only where no options are given; so once one session has named an exception, the filters of
all are sent as options on BaseException, which is what pydevd makes of them itself.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from sonde_wire import Code, Reason, Refused

MOST_NAMES = 100
"""Exceptions that one session can name."""
_MODES = {"raised": "always", "userUnhandled": "userUnhandled", "uncaught": "unhandled"}
_CATEGORY = "Python Exceptions"
# pydevd evaluates them as Python
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


class Wanted(Struct, frozen=True):
    """`named` are exception names and break modes; an empty name is every exception."""

    filters: frozenset[str] = frozenset()
    named: frozenset[tuple[str, str]] = frozenset()


def read(arguments: Mapping[str, Any]) -> Wanted:
    """The arguments of `setExceptionBreakpoints`. Raises `Refused`."""
    filters = _list(arguments, "filters")
    for option in _list(arguments, "filterOptions"):
        if not isinstance(option, dict) or option.get("condition"):
            raise _invalid("a filter cannot have a condition here; leave it away, or name the exception")
        filters.append(option.get("filterId"))
    if unknown := [each for each in filters if not isinstance(each, str) or each not in _MODES]:
        raise _invalid(f"filters are {', '.join(_MODES)}, not {unknown[0]!r:.60}")
    named: set[tuple[str, str]] = set()
    for option in _list(arguments, "exceptionOptions"):
        named |= _read_option(option)
    if len(named) > MOST_NAMES:
        raise Refused(
            Code.RESOURCE_EXHAUSTED, Reason.TOO_MANY, f"a session can name at most {MOST_NAMES} exceptions"
        )
    return Wanted(frozenset(filters), frozenset(named))


def _read_option(option: Any) -> set[tuple[str, str]]:
    if not isinstance(option, dict):
        raise _invalid("exceptionOptions must be a list of objects")
    mode, path = option.get("breakMode"), option.get("path") or []
    if not isinstance(mode, str) or mode not in {*_MODES.values(), "never"}:
        raise _invalid("breakMode must be always, unhandled, userUnhandled or never")
    if not isinstance(path, list) or not all(_is_segment(each) for each in path):
        raise _invalid("path must be a list of segments with names, without negate")
    if not path or _CATEGORY not in path[0]["names"]:
        raise _invalid(f"path must begin with the segment {_CATEGORY}")
    names = [name for segment in path[1:] for name in segment["names"]]
    if bad := [name for name in names if not _NAME.fullmatch(name)]:
        raise _invalid(f"{bad[0][:60]!r} is no exception's name, such as ValueError or shop.errors.SoldOut")
    return {(name, mode) for name in names or [""] if mode != "never"}


def _is_segment(segment: Any) -> bool:
    names = segment.get("names") if isinstance(segment, dict) else None
    return isinstance(names, list) and all(type(n) is str for n in names) and not segment.get("negate")


def _list(arguments: Mapping[str, Any], key: str) -> list[Any]:
    listed = arguments.get(key) or []
    if not isinstance(listed, list):
        raise _invalid(f"{key} must be a list")
    return list(listed)


def _invalid(message: str) -> Refused:
    return Refused(Code.INVALID_ARGUMENT, Reason.INVALID_PARAMS, message)


class Filters:
    """`armed` is False while they sleep, as with `Breakpoints`."""

    def __init__(self) -> None:
        self.armed = True
        self._wanted: dict[str, Wanted] = {}
        self._unsure = False

    @property
    def in_use(self) -> bool:
        """Whether pydevd has, or must have, any."""
        return self._unsure or self.union != Wanted()

    @property
    def union(self) -> Wanted:
        every = self._wanted.values()
        return Wanted(
            frozenset().union(*(each.filters for each in every)),
            frozenset().union(*(each.named for each in every)),
        )

    def replace(self, session: str, wanted: Wanted) -> bool:
        """Whether pydevd must be told: the union changed, or it is unsure what pydevd has."""
        before = self.union
        self._wanted[session] = wanted
        return before != self.union or self._unsure

    def forget(self, session: str) -> bool:
        before = self.union
        self._wanted.pop(session, None)
        return before != self.union

    def at_pydevd(self) -> Wanted:
        """What pydevd must have."""
        return self.union if self.armed else Wanted()

    def to_request(self) -> dict[str, Any]:
        """The arguments that make pydevd's what it must be; they are to be sent."""
        self._unsure = True
        wanted = self.at_pydevd()
        if not wanted.named:
            return {"filters": sorted(wanted.filters)}
        named = wanted.named | {("", _MODES[each]) for each in wanted.filters}
        return {"filters": [], "exceptionOptions": [_to_option(*each) for each in sorted(named)]}

    def learn(self, sent: Wanted) -> None:
        """pydevd has said that it has these."""
        if sent == self.at_pydevd():
            self._unsure = False

    def lost(self) -> None:
        """pydevd is gone."""
        self._unsure = False

    def clear(self) -> None:
        """Nobody debugs any more."""
        self.armed = True
        self._wanted.clear()
        self._unsure = False


def _to_option(name: str, mode: str) -> dict[str, Any]:
    path = [{"names": [_CATEGORY]}]
    return {"path": [*path, {"names": [name]}] if name else path, "breakMode": mode}
