"""A string to `Claims`, or `BadToken`: who somebody is and what they were given.

Order: size and alphabet before any decoding; the header, of which only `alg`, `typ` and `kid` mean anything and
what could point at another key is refused by its presence; the signature, with the one algorithm of the key
that was configured; the claims, with strict types; the times, by a clock that is an argument.

Sources: RFC 7519, RFC 8725 (best practices), RFC 9068 (`at+jwt`).
"""

import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated

import jwt
from jwt.utils import base64url_decode
from msgspec import Meta, Struct

from sonde_broker.errors import BadToken
from sonde_broker.keys import KEY_ID, KeySet
from sonde_wire import MalformedMessage, Scope, Selector, codec
from sonde_wire.addresses import SelectorText

MOST_BYTES = 8192
TYPE = "at+jwt"
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_REFUSED_HEADERS = ("jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc")

_Name = Annotated[str, Meta(min_length=1, max_length=256)]
_Moment = int | float


class TokenRules(Struct, frozen=True, kw_only=True):
    """What this broker takes. Durations in seconds."""

    keys: KeySet
    issuer: str
    audience: str
    longest_life: float = 3600.0
    leeway: float = 10.0
    """How far the clocks of issuer and broker may be apart."""


class Claims(Struct, frozen=True, kw_only=True):
    """A verified bearer. Nothing is allowed that is not named here."""

    subject: str
    token_id: str
    scopes: frozenset[Scope]
    selectors: tuple[Selector, ...]
    expires: float
    """Seconds since the epoch."""
    key_id: str = ""
    """The fingerprint of the key that signed the token: when that key goes, so does its bearer."""


class _Payload(Struct, frozen=True):
    iss: str
    sub: _Name
    aud: str | Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)]
    exp: _Moment
    nbf: _Moment
    iat: _Moment
    jti: _Name
    scope: Annotated[str, Meta(max_length=1024)] = ""
    processes: Annotated[tuple[SelectorText, ...], Meta(max_length=100)] = ()


def verify(token: str, rules: TokenRules, now: float) -> Claims:
    """`now` in seconds since the epoch. Raises `BadToken`, and nothing else, for anything that is not right."""
    if len(token) > MOST_BYTES:
        raise BadToken(f"longer than {MOST_BYTES} bytes")
    if not _SHAPE.fullmatch(token):
        raise BadToken("not three parts in base64url")
    algorithm, key_id = _read_header(token)
    key = rules.keys.find(key_id)
    if key is None:
        raise BadToken("signed with a key that is not known here")
    if algorithm != key.algorithm:
        raise BadToken("signed with another algorithm than the key's")
    try:
        payload = _reader(key.algorithm).decode(token, key.material, algorithms=[key.algorithm])
    except jwt.PyJWTError as error:
        raise BadToken(f"the signature does not hold ({type(error).__name__})") from None
    try:
        claims = codec.decode(payload, _Payload)
    except MalformedMessage as error:
        raise BadToken(f"claims missing or malformed: {error.problem}") from None
    _check_parties(claims, rules)
    _check_times(claims, rules, now)
    names = set(claims.scope.split())
    return Claims(
        subject=claims.sub,
        token_id=claims.jti,
        scopes=frozenset(scope for scope in Scope if scope.value in names),
        selectors=tuple(Selector.parse(text) for text in claims.processes),
        expires=float(claims.exp),
        key_id=key.fingerprint,
    )


@cache
def _reader(algorithm: str) -> jwt.PyJWS:
    """Of that algorithm alone. Making one takes longer than using it."""
    return jwt.PyJWS(algorithms=[algorithm])


def no_longer_taken(connected: Mapping[str, Claims], taken: frozenset[str]) -> list[str]:
    """Of viewers by name: those whose token is signed by a key that is not taken any more. `taken` are fingerprints."""
    return [name for name, claims in connected.items() if claims.key_id not in taken]


def _read_header(token: str) -> tuple[str, str | None]:
    try:
        header = codec.decode(base64url_decode(token.partition(".")[0]), dict[str, object])
    except (MalformedMessage, ValueError):
        raise BadToken("the header is not a JSON object") from None
    for name in _REFUSED_HEADERS:
        if name in header:
            raise BadToken(f"the header carries {name!r}")
    kind, algorithm, key_id = header.get("typ"), header.get("alg"), header.get("kid")
    if not isinstance(kind, str) or kind.lower() != TYPE:
        raise BadToken(f"typ is not {TYPE!r}: another kind of token")
    if not isinstance(algorithm, str):
        raise BadToken("no algorithm")
    if key_id is not None and not (isinstance(key_id, str) and KEY_ID.fullmatch(key_id)):
        raise BadToken("kid is not a legal key id")
    return algorithm, key_id


def _check_parties(claims: _Payload, rules: TokenRules) -> None:
    if claims.iss != rules.issuer:
        raise BadToken("from another issuer")
    audiences = {claims.aud} if isinstance(claims.aud, str) else set(claims.aud)
    if audiences != {rules.audience}:
        raise BadToken("for another audience, or also for another one")


def _check_times(claims: _Payload, rules: TokenRules, now: float) -> None:
    if not all(math.isfinite(moment) for moment in (claims.exp, claims.nbf, claims.iat)):
        raise BadToken("a time that is no number")
    if claims.exp <= claims.iat or claims.exp - claims.iat > rules.longest_life:
        raise BadToken(f"valid for longer than {rules.longest_life:g} s, or for no time at all")
    if claims.iat > now + rules.leeway or claims.nbf > now + rules.leeway:
        raise BadToken("not valid yet; are the clocks right?")
    if claims.exp <= now - rules.leeway:
        raise BadToken("expired", expired=True)
