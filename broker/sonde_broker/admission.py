"""Who may connect: the decision over one opening handshake. Pure.

Programs send `Authorization: Bearer`, browsers (which cannot) one more subprotocol, `sonde.bearer.<token>`. A
token is never taken from a query or a cookie: those end up in logs, or are sent by pages that are not ours.
A browser learns nothing of an HTTP refusal, so a page of ours with a bad token is let in and closed with 4401;
everybody else gets an HTTP status. Origin and Host are judged before any token, against lists: "Origin equals
Host" would fall to DNS rebinding.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

from msgspec import Struct

from sonde_broker.errors import BadToken
from sonde_broker.tokens import Claims
from sonde_wire import rpc

_MOST_OFFERED = 8


class Headers(Struct, frozen=True):
    """All values of the headers that matter."""

    host: tuple[str, ...] = ()
    origin: tuple[str, ...] = ()
    authorization: tuple[str, ...] = ()
    subprotocols: tuple[str, ...] = ()
    """The offered ones, already split at commas."""


class Admitted(Struct, frozen=True):
    claims: Claims


class TurnedAway(Struct, frozen=True):
    """To be accepted and closed at once with 4401."""

    reason: str
    problem: str
    """For the log."""


class Rejected(Struct, frozen=True):
    status: HTTPStatus
    text: str
    challenge: bool = False
    """Whether WWW-Authenticate says that a bearer token is wanted."""


class DoorRules(Struct, frozen=True):
    origins: frozenset[str]
    """Exact origins, in lower case: scheme://host[:port]."""
    hosts: frozenset[str]
    """Names, without a port, by which this broker may be addressed."""
    verify: Callable[[str], Claims]
    """Raises `BadToken`."""


def check_host(headers: Headers, rules: DoorRules) -> Rejected | None:
    """For every request, also for the page: a rebound name must not even read it."""
    if len(headers.host) != 1 or host_name(headers.host[0]) not in rules.hosts:
        return Rejected(
            HTTPStatus.FORBIDDEN,
            "This broker is not known by that host name; allow it with --allow-host.\n",
        )
    return None


def admit(query: str, headers: Headers, rules: DoorRules) -> Admitted | TurnedAway | Rejected:
    """Call after `check_host`."""
    if query:
        return Rejected(HTTPStatus.BAD_REQUEST, "No query is taken here; a token never belongs into a URL.\n")
    if refused := _check_origin(headers, rules):
        return refused
    offered = headers.subprotocols
    if rpc.SUBPROTOCOL not in offered or len(offered) > _MOST_OFFERED:
        return Rejected(HTTPStatus.BAD_REQUEST, f"Offer the subprotocol {rpc.SUBPROTOCOL}.\n")
    carried = [
        each.removeprefix(rpc.BEARER_SUBPROTOCOL_PREFIX)
        for each in offered
        if each.startswith(rpc.BEARER_SUBPROTOCOL_PREFIX)
    ]
    if len(carried) + len(headers.authorization) > 1:
        return Rejected(HTTPStatus.BAD_REQUEST, "Send exactly one token.\n")
    if headers.authorization:
        return _by_header(headers.authorization[0], rules)
    if not carried:
        return TurnedAway("no token: sign in", "no token")
    try:
        return Admitted(rules.verify(carried[0]))
    except BadToken as error:
        return TurnedAway(error.public, error.problem)


def admit_program(headers: Headers, rules: DoorRules) -> Admitted | Rejected:
    """For what is asked over plain HTTP with a token. Call after `check_host`. A page of another origin does not get here:
    a browser asks first whether it may send the header, and is told no."""
    match headers.origin:
        case ():
            pass
        case (origin,) if origin.lower() in rules.origins:
            pass
        case _:
            return Rejected(HTTPStatus.FORBIDDEN, "Pages of that origin may not ask.\n")
    if len(headers.authorization) != 1:
        return Rejected(
            HTTPStatus.UNAUTHORIZED, "Send one Authorization: Bearer with a token.\n", challenge=True
        )
    return _by_header(headers.authorization[0], rules)


def host_name(host: str) -> str:
    """`name`, `name:port`, `1.2.3.4:port` or `[::1]:port` to the name in lower case; empty if it is no such."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    bare = (
        parts.netloc == host and parts.username is None and not (parts.path or parts.query or parts.fragment)
    )
    return (parts.hostname or "").lower() if bare else ""


def own_origins(hosts: Iterable[str], port: int) -> set[str]:
    """The origins of the page that this broker serves itself, without TLS."""
    return {f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}" for host in hosts}


def _check_origin(headers: Headers, rules: DoorRules) -> Rejected | None:
    match headers.origin:
        case ():
            if headers.authorization:
                return None
            return Rejected(
                HTTPStatus.UNAUTHORIZED, "Send Authorization: Bearer with a token.\n", challenge=True
            )
        case (origin,) if origin.lower() in rules.origins:
            return None
        case (_,):
            return Rejected(
                HTTPStatus.FORBIDDEN, "Pages of that origin may not connect; allow it with --allow-origin.\n"
            )
        case _:
            return Rejected(HTTPStatus.BAD_REQUEST, "More than one Origin.\n")


def _by_header(value: str, rules: DoorRules) -> Admitted | Rejected:
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer":
        return Rejected(HTTPStatus.UNAUTHORIZED, "Only Bearer tokens are taken.\n", challenge=True)
    try:
        return Admitted(rules.verify(token))
    except BadToken as error:
        return Rejected(HTTPStatus.UNAUTHORIZED, f"{error.public}\n", challenge=True)
