"""Tokens, keys and rules for the broker's tests."""

import time

from sonde_broker import keys
from sonde_broker.issue import SigningKey, issue
from sonde_broker.tokens import Claims, TokenRules
from sonde_wire import Scope, Selector

SECRET = b"0123456789abcdef0123456789abcdef"
RULES = TokenRules(keys=keys.from_secret(SECRET), issuer="sonde", audience="sonde")
EVERYTHING = tuple(Scope)


def token(
    subject: str = "ada",
    *,
    scopes: tuple[Scope, ...] = EVERYTHING,
    processes: tuple[str, ...] = ("*",),
    life: float = 600,
    now: float | None = None,
    audience: str = "sonde",
    secret: bytes = SECRET,
    key: SigningKey | None = None,
) -> str:
    return issue(
        key or SigningKey("HS256", secret),
        subject=subject,
        scopes=scopes,
        processes=[Selector.parse(text) for text in processes],
        issuer="sonde",
        audience=audience,
        life=life,
        now=time.time() if now is None else now,
    )


def claims(
    subject: str = "ada",
    *,
    scopes: tuple[Scope, ...] = EVERYTHING,
    processes: tuple[str, ...] = ("*",),
    expires: float = 1e9,
    key_id: str = "",
) -> Claims:
    return Claims(
        subject=subject,
        token_id=f"token-of-{subject}",
        scopes=frozenset(scopes),
        selectors=tuple(Selector.parse(text) for text in processes),
        expires=expires,
        key_id=key_id,
    )
