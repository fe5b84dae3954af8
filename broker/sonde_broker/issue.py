"""Makes the tokens that `tokens` takes: for development, for tests, and for sites without an identity provider."""

import secrets
from collections.abc import Iterable
from pathlib import Path

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from msgspec import Struct

from sonde_broker.errors import InvalidSettings
from sonde_broker.keys import algorithm_of, read_secret
from sonde_broker.tokens import TYPE
from sonde_wire import Scope, Selector


class SigningKey(Struct, frozen=True):
    algorithm: str
    material: bytes
    """A secret, or a private key in PEM form."""
    key_id: str | None = None

    def __repr__(self) -> str:
        return f"SigningKey({self.algorithm})"

    @classmethod
    def from_secret_file(cls, path: Path) -> "SigningKey":
        return cls("HS256", read_secret(path))

    @classmethod
    def from_private_key(cls, path: Path, key_id: str | None = None) -> "SigningKey":
        """An unencrypted PEM file."""
        try:
            data = path.read_bytes()
            key = serialization.load_pem_private_key(data, password=None)
        except OSError as error:
            raise InvalidSettings(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise InvalidSettings(f"{path} is not an unencrypted private key in PEM form") from None
        return cls(algorithm_of(key, path), data, key_id)


def issue(
    key: SigningKey,
    *,
    subject: str,
    scopes: Iterable[Scope],
    processes: Iterable[Selector],
    issuer: str,
    audience: str,
    life: float,
    now: float,
) -> str:
    """A token valid from `now` for `life` seconds."""
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "jti": secrets.token_hex(16),
        "iat": int(now),
        "nbf": int(now),
        "exp": int(now + life),
        "scope": " ".join(sorted(scopes)),
        "processes": [str(selector) for selector in processes],
    }
    headers = {"typ": TYPE} | ({"kid": key.key_id} if key.key_id else {})
    return jwt.encode(claims, key.material, algorithm=key.algorithm, headers=headers)
