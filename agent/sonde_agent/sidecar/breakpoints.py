"""Whose breakpoints stand where: each session owns its sets, pydevd gets their union.

pydevd keeps one set for each file, replaces it whole, numbers it anew each time, and holds one breakpoint a
line. So specifications of several sessions for the same line are merged:

    any plain one            -> plain: it stops for all (a message or condition of another session gives way)
    conditions only          -> stops when either holds
    anything else            -> the first that was set stands, the others are shown as not verified

Ids are ours: one for each line (or function name) and kept as long as anybody has a breakpoint there, so that
an answer that a session got stays true when another session changes the same file. Pure; no I/O.
"""

import itertools
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from sonde_wire import Code, Reason, Refused

Place = str | None
"""A source path, or None for function breakpoints."""
MOST = 1000
"""Breakpoints of one session in one place."""


class Spec(Struct, frozen=True):
    """A breakpoint as a session asked for it: at a line, or at a function's name."""

    at: int | str
    condition: str = ""
    hit_condition: str = ""
    log_message: str = ""

    @property
    def plain(self) -> bool:
        return not (self.condition or self.hit_condition or self.log_message)

    def to_dap(self) -> dict[str, Any]:
        body: dict[str, Any] = {"line" if isinstance(self.at, int) else "name": self.at}
        if self.condition:
            body["condition"] = self.condition
        if self.hit_condition:
            body["hitCondition"] = self.hit_condition
        if self.log_message:
            body["logMessage"] = self.log_message
        return body


def read_place(arguments: Mapping[str, Any]) -> str:
    """The path that `setBreakpoints` is about. Raises `Refused`."""
    source = arguments.get("source")
    path = source.get("path") if isinstance(source, dict) else None
    if not isinstance(path, str) or not path:
        raise _invalid("setBreakpoints needs source.path, the file's path where the process runs")
    return posixpath.normpath(path)


def read_specs(arguments: Mapping[str, Any], place: Place) -> tuple[Spec, ...]:
    """Raises `Refused`."""
    listed = arguments.get("breakpoints") or []
    if not isinstance(listed, list) or len(listed) > MOST:
        raise _invalid(f"breakpoints must be a list of at most {MOST}")
    return tuple(_read_spec(each, "name" if place is None else "line") for each in listed)


def _read_spec(body: Any, key: str) -> Spec:
    at = body.get(key) if isinstance(body, dict) else None
    legal = (type(at) is int and at > 0) if key == "line" else (type(at) is str and at != "")
    if at is None or not legal:
        raise _invalid(f"each breakpoint needs a {key}")
    texts = [body.get(name) or "" for name in ("condition", "hitCondition", "logMessage")]
    if not all(isinstance(text, str) for text in texts):
        raise _invalid("condition, hitCondition and logMessage must be text")
    return Spec(at, *texts)


def _invalid(message: str) -> Refused:
    return Refused(Code.INVALID_ARGUMENT, Reason.INVALID_PARAMS, message)


def merge(specs: Iterable[Spec]) -> Spec:
    """The one specification that pydevd gets for a line. `specs` are not empty and in the order of arrival."""
    distinct = list(dict.fromkeys(specs))
    first = distinct[0]
    if plain := next((spec for spec in distinct if spec.plain), None):
        return plain
    if all(not spec.hit_condition and not spec.log_message for spec in distinct) and len(distinct) > 1:
        # each on lines of its own: a condition may end in a comment
        return Spec(first.at, condition=" or ".join(f"({spec.condition}\n)" for spec in distinct))
    return first


class _Known(Struct):
    """What pydevd said of one merged breakpoint."""

    id: int
    verified: bool = False
    line: int | None = None
    message: str | None = None
    pydevd: int | None = None


class Breakpoints:
    def __init__(self) -> None:
        self._wanted: dict[Place, dict[str, tuple[Spec, ...]]] = {}
        self._filters: dict[str, tuple[str, ...]] = {}
        self._known: dict[tuple[Place, int | str], _Known] = {}
        self._unsure: set[Place] = set()
        """Where pydevd was told the union and has not (yet) said that it has it."""
        self._filters_unsure = False
        self._next_id = itertools.count(1).__next__

    def replace(self, session: str, place: Place, specs: tuple[Spec, ...]) -> bool:
        """Whether pydevd must be told: the union changed, or it is unsure what pydevd has."""
        return self._changes_by(session, place, specs) or place in self._unsure

    def _changes_by(self, session: str, place: Place, specs: tuple[Spec, ...]) -> bool:
        before = self.union(place)
        sessions = self._wanted.setdefault(place, {})
        if specs:
            sessions[session] = specs
        else:
            sessions.pop(session, None)
        if not sessions:
            del self._wanted[place]
        after = self.union(place)
        standing = {spec.at for spec in after}
        for key in [key for key in self._known if key[0] == place and key[1] not in standing]:
            del self._known[key]
        for at in standing:
            if (place, at) not in self._known:
                self._known[place, at] = _Known(self._next_id())
        return before != after

    def union(self, place: Place) -> tuple[Spec, ...]:
        """What pydevd must have there, in the order in which it is sent."""
        grouped: dict[int | str, list[Spec]] = {}
        for specs in self._wanted.get(place, {}).values():
            for spec in specs:
                grouped.setdefault(spec.at, []).append(spec)
        return tuple(merge(group) for group in grouped.values())

    def to_request(self, place: Place) -> tuple[str, dict[str, Any]]:
        """The DAP request that makes pydevd's set the union; it is to be sent."""
        self._unsure.add(place)
        listed = [spec.to_dap() for spec in self.union(place)]
        if place is None:
            return "setFunctionBreakpoints", {"breakpoints": listed}
        return "setBreakpoints", {"source": {"path": place}, "breakpoints": listed}

    def learn(self, place: Place, sent: tuple[Spec, ...], answered: list[Any]) -> None:
        """`answered` are pydevd's Breakpoints, in the order of `sent`."""
        if sent == self.union(place):
            self._unsure.discard(place)
        for spec, body in zip(sent, answered, strict=False):
            known = self._known.get((place, spec.at))
            if known is not None and isinstance(body, dict):
                _note(known, body)
                known.pydevd = body.get("id")

    def shown(self, session: str, place: Place, own: tuple[Spec, ...] | None = None) -> list[dict[str, Any]]:
        """DAP Breakpoints in the order in which the session listed its own: now, or in the request that is being
        answered."""
        standing = {spec.at: spec for spec in self.union(place)}
        if own is None:
            own = self._wanted.get(place, {}).get(session, ())
        return [
            _to_dap(spec, standing[spec.at], self._known[place, spec.at], place)
            if spec.at in standing
            else {"verified": False, "message": "a later request took it away"}
            for spec in own
        ]

    def changed(self, body: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """pydevd's `breakpoint` event, as each session that has one there must see it."""
        for (place, at), known in self._known.items():
            if known.pydevd is not None and known.pydevd == body.get("id"):
                _note(known, body)
                return [
                    (session, shown)
                    for session, specs in self._wanted.get(place, {}).items()
                    for spec, shown in zip(specs, self.shown(session, place), strict=True)
                    if spec.at == at
                ]
        return []

    def ours(self, pydevd_ids: Iterable[Any]) -> list[int]:
        known = {each.pydevd: each.id for each in self._known.values() if each.pydevd is not None}
        return [known[each] for each in pydevd_ids if each in known]

    def set_filters(self, session: str, filters: tuple[str, ...]) -> bool:
        """Exception filters of a session; whether pydevd must be told."""
        return self._filters_change_by(session, filters) or self._filters_unsure

    def _filters_change_by(self, session: str, filters: tuple[str, ...]) -> bool:
        before = self.filters
        if filters:
            self._filters[session] = filters
        else:
            self._filters.pop(session, None)
        return before != self.filters

    def to_filters_request(self) -> dict[str, Any]:
        """The arguments that make pydevd's filters the union; they are to be sent."""
        self._filters_unsure = True
        return {"filters": list(self.filters)}

    def learn_filters(self) -> None:
        """pydevd has said that it has them."""
        self._filters_unsure = False

    @property
    def filters(self) -> tuple[str, ...]:
        return tuple(sorted({each for filters in self._filters.values() for each in filters}))

    def forget(self, session: str) -> tuple[list[Place], bool]:
        """Takes a session's own away: the places whose union changed, and whether the filters' did."""
        places = [place for place, sessions in self._wanted.items() if session in sessions]
        changed = [place for place in places if self._changes_by(session, place, ())]
        return changed, self._filters_change_by(session, ())

    def clear(self) -> None:
        """pydevd is gone, and its breakpoints with it."""
        self._wanted.clear()
        self._filters.clear()
        self._known.clear()
        self._unsure.clear()
        self._filters_unsure = False


def _note(known: _Known, body: Mapping[str, Any]) -> None:
    known.verified = body.get("verified") is True
    known.line = body.get("line") if isinstance(body.get("line"), int) else None
    known.message = body.get("message") if isinstance(body.get("message"), str) else None


def _to_dap(spec: Spec, standing: Spec, known: _Known, place: Place) -> dict[str, Any]:
    body: dict[str, Any] = {"id": known.id, "verified": known.verified}
    if known.line is not None:
        body["line"] = known.line
    elif isinstance(spec.at, int):
        body["line"] = spec.at
    if place is not None:
        body["source"] = {"path": place}
    if known.message:
        body["message"] = known.message
    if standing != spec and standing.plain:
        body["message"] = "another session's breakpoint here always stops, so this one's terms do not count"
        body["verified"] = known.verified and not spec.log_message
    elif standing != spec and (
        spec.hit_condition or spec.log_message or spec.condition not in standing.condition
    ):
        body["message"] = "another session has a breakpoint on other terms here, and it came first"
        body["verified"] = False
    return body
