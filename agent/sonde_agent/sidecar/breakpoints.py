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
MOST_PLACES = 500
"""Places in which one session can have breakpoints."""


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


class News(Struct, frozen=True):
    """The breakpoints of a session in a place look different from what everybody was told last."""

    session: str
    place: Place
    breakpoints: tuple[dict[str, Any], ...]
    changed: tuple[dict[str, Any], ...]
    """Those of them that its session knows otherwise; the others are new."""


class Breakpoints:
    """`armed` is False while they sleep: sessions keep theirs, pydevd gets none."""

    def __init__(self) -> None:
        self.armed = True
        self._wanted: dict[Place, dict[str, tuple[Spec, ...]]] = {}
        self._known: dict[tuple[Place, int | str], _Known] = {}
        self._unsure: set[Place] = set()
        """Where pydevd was told the union and has not (yet) said that it has it."""
        self._told: dict[tuple[str, Place], tuple[dict[str, Any], ...]] = {}
        self._next_id = itertools.count(1).__next__

    # What sessions want ---------------------------------------------------------------------------------------

    @property
    def places(self) -> tuple[Place, ...]:
        """Where anybody has any, or pydevd may still have one."""
        return tuple(dict.fromkeys((*self._wanted, *self._unsure)))

    def places_of(self, session: str) -> tuple[Place, ...]:
        return tuple(place for place, sessions in self._wanted.items() if session in sessions)

    def replace(self, session: str, place: Place, specs: tuple[Spec, ...]) -> bool:
        """Whether pydevd must be told: the union changed, or it is unsure what pydevd has. Raises `Refused`."""
        places = self.places_of(session)
        if specs and place not in places and len(places) >= MOST_PLACES:
            raise Refused(
                Code.RESOURCE_EXHAUSTED,
                Reason.TOO_MANY,
                f"this session has breakpoints in {MOST_PLACES} files already; clear those of one first",
            )
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
        """What all sessions together want there, in the order in which it is sent."""
        grouped: dict[int | str, list[Spec]] = {}
        for specs in self._wanted.get(place, {}).values():
            for spec in specs:
                grouped.setdefault(spec.at, []).append(spec)
        return tuple(merge(group) for group in grouped.values())

    def forget(self, session: str) -> list[Place]:
        """Takes a session's own away: the places where pydevd must be told so."""
        return [place for place in self.places_of(session) if self._changes_by(session, place, ())]

    def clear(self) -> None:
        """Nobody debugs any more."""
        self.armed = True
        self._wanted.clear()
        self._known.clear()
        self._unsure.clear()
        self._told.clear()

    # What pydevd has ------------------------------------------------------------------------------------------

    def at_pydevd(self, place: Place) -> tuple[Spec, ...]:
        """What pydevd must have there."""
        return self.union(place) if self.armed else ()

    def to_request(self, place: Place) -> tuple[str, dict[str, Any]]:
        """The DAP request that makes pydevd's set what it must be; it is to be sent."""
        self._unsure.add(place)
        listed = [spec.to_dap() for spec in self.at_pydevd(place)]
        if place is None:
            return "setFunctionBreakpoints", {"breakpoints": listed}
        return "setBreakpoints", {"source": {"path": place}, "breakpoints": listed}

    def learn(self, place: Place, sent: tuple[Spec, ...], answered: list[Any]) -> None:
        """`answered` are pydevd's Breakpoints, in the order of `sent`."""
        if sent == self.at_pydevd(place):
            self._unsure.discard(place)
        for spec, body in zip(sent, answered, strict=False):
            known = self._known.get((place, spec.at))
            if known is not None and isinstance(body, dict):
                _note(known, body)
                known.pydevd = body.get("id")

    def lost(self) -> None:
        """pydevd is gone, and its breakpoints with it; sessions keep theirs, to be set again."""
        self._unsure.clear()
        for known in self._known.values():
            known.verified, known.pydevd = False, None
            known.message = "the debugger is being attached again; this breakpoint is set then"

    def note_changed(self, body: Mapping[str, Any]) -> list[Place]:
        """pydevd's `breakpoint` event: where to look for news."""
        for (place, _), known in self._known.items():
            if known.pydevd is not None and known.pydevd == body.get("id"):
                _note(known, body)
                return [place]
        return []

    # What is shown --------------------------------------------------------------------------------------------

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

    def all_shown(self) -> list[tuple[str, Place, list[dict[str, Any]]]]:
        """Of every session in every place."""
        return [
            (session, place, self.shown(session, place))
            for place, sessions in self._wanted.items()
            for session in sessions
        ]

    def news(self, place: Place) -> list[News]:
        """Each piece once."""
        sessions = {session for session, where in self._told if where == place}
        news = []
        for session in sorted(sessions | self._wanted.get(place, {}).keys()):
            told = self._told.pop((session, place), ())
            shown = tuple(self.shown(session, place))
            if shown:
                self._told[session, place] = shown
            if shown != told:
                before = {body["id"]: body for body in told}
                changed = tuple(body for body in shown if before.get(body["id"], body) != body)
                news.append(News(session, place, shown, changed))
        return news

    def ours(self, pydevd_ids: Iterable[Any]) -> list[int]:
        known = {each.pydevd: each.id for each in self._known.values() if each.pydevd is not None}
        return [known[each] for each in pydevd_ids if each in known]


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
