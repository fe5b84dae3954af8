"""The read-only JSON view for scripts and dashboards: which call of `sonde_wire.rpc` each path of /api/v1 is. Pure.

A GET becomes one call with the rights of its token, and its answer is the call's result as it is. So there is one place
where a method is performed and one where it is refused (`desk`, `access`), and nothing here decides who may see what.

Parameters are those of the method. `kind` may be given several times. `since` and `until` are seconds since the epoch, a date
(2026-05-04T12:00:00Z), or how long ago (90s, 15m, 12h, 7d).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct, UnsetType

from sonde_broker.calls import Call
from sonde_wire import Address, Code, Failure, MalformedMessage, Reason, Refused, bus, codec, rpc
from sonde_wire.errors import InvalidAddress

ROOT = "/api/v1"
_REQUEST = 1
"""The number of the one call."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MOST_FIELDS = 64


class Route(Struct, frozen=True, kw_only=True):
    path: str
    """Below `ROOT`."""
    method: str
    sole: str = ""
    """The answer is the one item of this list, and there is none when the list is empty."""

    @property
    def pattern(self) -> re.Pattern[str]:
        parts = (re.sub(r"^\{(\w+)\}$", r"(?P<\1>[^/]+)", part) for part in self.path.split("/"))
        return re.compile(ROOT + "/".join(parts))

    @property
    def fields(self) -> tuple[str, ...]:
        """What may stand in the query."""
        named = set(re.findall(r"\{(\w+)\}", self.path))
        if self.sole:
            return ()
        fields = (each for each in rpc.METHODS[self.method].params.__struct_fields__ if each not in named)
        return tuple("kind" if each == "kinds" else each for each in fields)


ROUTES = (
    Route(path="/whoami", method="whoami"),
    Route(path="/processes", method="process.list"),
    Route(path="/processes/{namespace}/{service}/{instance}", method="process.list", sole="processes"),
    Route(path="/probes", method="probe.list"),
    Route(path="/probes/{probe}", method="probe.show"),
    Route(path="/probes/{probe}/results", method="probe.results"),
    Route(path="/snapshots/{snapshot}", method="snapshot.read"),
    Route(path="/events", method="history.events"),
    Route(path="/sessions", method="history.sessions"),
    Route(path="/sessions/{session}", method="history.session"),
    Route(path="/report", method="fleet.report"),
)
_PATTERNS = tuple((route.pattern, route) for route in ROUTES)

_STATUS = {
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    Code.FAILED_PRECONDITION: HTTPStatus.CONFLICT,
    Code.ABORTED: HTTPStatus.CONFLICT,
    Code.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    Code.UNKNOWN: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}


class Asked(Struct, frozen=True):
    route: Route
    call: Call


def table_rows() -> Iterator[tuple[str, ...]]:
    """Of docs/api.md: the head, then a row for each path."""
    yield "Path", "Parameters", "Method", "Scope", "Answer"
    for route in ROUTES:
        method = rpc.METHODS[route.method]
        fields = ", ".join(f"`{field}`" for field in route.fields)
        kind = getattr(method.result, "__name__", "")
        answer = "`Presence`" if route.sole else f"`{kind}`"
        yield (
            f"`{ROOT}{route.path}`",
            fields,
            f"`{route.method}`",
            f"`{method.scope}`" if method.scope else "any",
            answer,
        )


def is_ours(path: str) -> bool:
    return path == ROOT or path.startswith(f"{ROOT}/")


def read(path: str, query: str, now: float, trace: bus.TraceContext | None = None) -> Asked:
    """`now` in seconds since the epoch. Raises `Refused`."""
    for pattern, route in _PATTERNS:
        if match := pattern.fullmatch(path):
            call = _call(route, match.groupdict(), query, now)
            return Asked(route, msgspec.structs.replace(call, trace=trace))
    offered = ", ".join(ROOT + route.path for route in ROUTES)
    raise Refused(Code.NOT_FOUND, Reason.UNKNOWN_METHOD, f"there is no such path; there are: {offered}")


def answer(asked: Asked, payload: bytes) -> tuple[HTTPStatus, bytes]:
    """Status and body of what the core answered to the call."""
    response = codec.decode(payload, rpc.Response)
    if not isinstance(response.error, UnsetType):
        return failure(response.error.failure)
    if isinstance(response.result, UnsetType):
        return failure(Failure(code=Code.INTERNAL, reason=Reason.BUG, message="the answer carries nothing"))
    if not asked.route.sole:
        return HTTPStatus.OK, bytes(response.result)
    items = codec.decode(response.result, dict[str, tuple[msgspec.Raw, ...]])[asked.route.sole]
    if not items:
        return failure(
            Failure(
                code=Code.NOT_FOUND,
                reason=Reason.UNKNOWN_PROCESS,
                message=f"there is no such process; {ROOT}/processes shows those that your token lets you see",
            )
        )
    return HTTPStatus.OK, bytes(items[0])


def is_answer(payload: bytes) -> bool:
    """Whether it is the answer to the call, and no notification."""
    try:
        return codec.decode(payload, _Addressed).id == _REQUEST
    except MalformedMessage:
        return False


def failure(why: Failure) -> tuple[HTTPStatus, bytes]:
    return _STATUS[why.code], codec.encode({"error": why})


class _Addressed(Struct, frozen=True):
    id: int | str | None


def _call(route: Route, path: Mapping[str, str], query: str, now: float) -> Call:
    given: dict[str, Any] = {"selector": _process(path)} if route.sole else dict(path)
    given |= _query(route, query, now)
    try:
        # not strict: a query is text, "100" and "true" mean a number and yes
        params = msgspec.convert(given, rpc.METHODS[route.method].params, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong(route, str(error)[:200]) from None
    return Call(_REQUEST, route.method, params)


def _process(path: Mapping[str, str]) -> str:
    try:
        return str(Address(path["namespace"], path["service"], path["instance"]))
    except InvalidAddress as error:
        raise Refused(Code.INVALID_ARGUMENT, Reason.INVALID_PARAMS, str(error)) from None


def _query(route: Route, query: str, now: float) -> dict[str, Any]:
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise _wrong(route, "the query cannot be read") from None
    given: dict[str, Any] = {}
    for name, text in pairs:
        if name not in route.fields:
            raise _wrong(route, f"there is no parameter {name[:40]!r}")
        if name == "kind":
            given["kinds"] = (*given.get("kinds", ()), text)
            continue
        if name in given:
            raise _wrong(route, f"{name} is given twice")
        given[name] = _moment(route, name, text, now) if name in {"since", "until"} else text
    return given


def _moment(route: Route, name: str, text: str, now: float) -> float:
    if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text):
        return float(text)
    if ago := re.fullmatch(r"(\d{1,9})([smhd])", text):
        return max(0.0, now - int(ago[1]) * _UNITS[ago[2]])
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong(
            route, f"{name}: give seconds since the epoch, 2026-05-04T12:00:00Z, or how long ago, such as 15m"
        ) from None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())


def _wrong(route: Route, problem: str) -> Refused:
    fields = ", ".join(route.fields) or "none"
    return Refused(
        Code.INVALID_ARGUMENT,
        Reason.INVALID_PARAMS,
        f"{problem}; the parameters of {ROOT}{route.path} are: {fields}",
    )
