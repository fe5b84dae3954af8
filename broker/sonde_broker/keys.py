"""Files to keys that verify tokens. Each key has exactly one algorithm, fixed here and never by a token.

Secrets (HS256) are for development: whoever can verify with one can also issue. A file of public keys never
yields a secret and a secret file never yields a public key, so families cannot be confused (RFC 8725, 3.1).
Weak keys are refused when the broker starts (`InvalidSettings`), not when somebody finds out.
"""

import hashlib
import hmac
import re
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from msgspec import Struct

from sonde_broker.errors import InvalidSettings
from sonde_wire import MalformedMessage, codec

LEAST_SECRET = 32
"""Bytes; as long as the hash of HS256 (RFC 7518, 3.2)."""
LEAST_RSA = 2048
KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_PEM = b"-----BEGIN"
_MOST_KEYS = 64


class VerifyingKey(Struct, frozen=True):
    algorithm: str
    material: Any
    """Bytes of a secret, or one of cryptography's public keys; whatever PyJWT takes for the algorithm."""
    fingerprint: str
    """Which key it is, whatever it is called: another key under the same name has another one."""

    def __repr__(self) -> str:
        return f"VerifyingKey({self.algorithm}, {self.fingerprint})"

    @classmethod
    def of(cls, algorithm: str, material: Any) -> "VerifyingKey":
        if isinstance(material, bytes):
            # by HMAC: the digest of a secret would be the same wherever else it is used
            digest = hmac.new(material, b"sonde key", hashlib.sha256).hexdigest()
        else:
            encoded: bytes = material.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            digest = hashlib.sha256(encoded).hexdigest()
        return cls(algorithm, material, digest[:16])


class KeySet(Struct, frozen=True):
    """Either one key, for tokens without a key id or with any legal one, or several, each named by its id."""

    only: VerifyingKey | None = None
    named: dict[str, VerifyingKey] = {}

    def find(self, key_id: str | None) -> VerifyingKey | None:
        if self.only is not None:
            return self.only
        return None if key_id is None else self.named.get(key_id)

    @property
    def fingerprints(self) -> frozenset[str]:
        """Of the keys whose tokens are taken."""
        keys = [self.only] if self.only is not None else self.named.values()
        return frozenset(key.fingerprint for key in keys)


def read_secret(path: Path) -> bytes:
    """The secret itself: the file's bytes without surrounding whitespace."""
    secret = _read(path).strip()
    if secret.startswith((_PEM, b"{")):
        raise InvalidSettings(f"{path} holds a key, not a secret; use --public-key or --jwks")
    if len(secret) < LEAST_SECRET:
        raise InvalidSettings(
            f"the secret in {path} has {len(secret)} bytes, at least {LEAST_SECRET} are needed; make one with: "
            f"python -c 'import secrets; print(secrets.token_urlsafe(48))' > {path}"
        )
    return secret


def from_secret(secret: bytes) -> KeySet:
    return KeySet(only=VerifyingKey.of("HS256", secret))


def from_public_key(path: Path) -> KeySet:
    """A PEM file with one public key: Ed25519, P-256, or RSA of at least 2048 bits."""
    data = _read(path)
    if b"PRIVATE KEY" in data:
        raise InvalidSettings(
            f"{path} holds a private key; the broker needs, and should have, only the public one"
        )
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidSettings(f"{path} is not a public key in PEM form") from None
    return KeySet(only=VerifyingKey.of(algorithm_of(key, path), key))


def from_jwks(path: Path) -> KeySet:
    """A JSON Web Key Set (RFC 7517, 5) of public keys, each with its own key id."""
    try:
        document = codec.decode(_read(path), dict[str, Any])
    except MalformedMessage:
        raise InvalidSettings(f"{path} is not a JSON Web Key Set") from None
    entries = document.get("keys")
    if not isinstance(entries, list) or not 1 <= len(entries) <= _MOST_KEYS:
        raise InvalidSettings(f'{path} needs "keys", a list of 1 to {_MOST_KEYS} keys')
    named: dict[str, VerifyingKey] = {}
    for entry in entries:
        key_id, key = _read_jwk(entry, path)
        if key_id in named:
            raise InvalidSettings(f"{path} holds two keys with the id {key_id!r}")
        named[key_id] = key
    return KeySet(named=named)


def algorithm_of(key: object, path: Path) -> str:
    """The one algorithm that goes with a key, public or private."""
    match key:
        case ed25519.Ed25519PublicKey() | ed25519.Ed25519PrivateKey():
            return "EdDSA"
        case ec.EllipticCurvePublicKey() | ec.EllipticCurvePrivateKey() if isinstance(
            key.curve, ec.SECP256R1
        ):
            return "ES256"
        case rsa.RSAPublicKey() | rsa.RSAPrivateKey():
            if key.key_size < LEAST_RSA:
                raise InvalidSettings(
                    f"the RSA key in {path} has {key.key_size} bits, at least {LEAST_RSA} are needed"
                )
            return "RS256"
        case _:
            raise InvalidSettings(f"{path}: only Ed25519, P-256 and RSA keys are taken")


def _read_jwk(entry: Any, path: Path) -> tuple[str, VerifyingKey]:
    if not isinstance(entry, dict):
        raise InvalidSettings(f"{path} holds a key that is not an object")
    key_id = entry.get("kid")
    if not isinstance(key_id, str) or not KEY_ID.fullmatch(key_id):
        raise InvalidSettings(
            f"{path} holds a key without a legal kid (letters, digits, '_', '-', at most 64)"
        )
    if entry.get("kty") == "oct":
        raise InvalidSettings(f"{path} holds a secret ({key_id}); secrets and public keys are never mixed")
    if "d" in entry:
        raise InvalidSettings(f"{path} holds a private key ({key_id}); the broker needs only public ones")
    if entry.get("use", "sig") != "sig":
        raise InvalidSettings(f"the key {key_id} in {path} is not for signatures")
    try:
        material = jwt.PyJWK(entry).key
    except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidSettings(f"the key {key_id} in {path} cannot be read") from None
    algorithm = algorithm_of(material, path)
    if entry.get("alg", algorithm) not in {algorithm, "Ed25519" if algorithm == "EdDSA" else algorithm}:
        raise InvalidSettings(f"the key {key_id} in {path} says another algorithm than {algorithm}")
    return key_id, VerifyingKey.of(algorithm, material)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidSettings(f"cannot read {path}: {error.strerror}") from None
