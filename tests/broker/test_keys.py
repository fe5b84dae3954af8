"""Keys that the broker does not start with."""

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from sonde_broker import keys
from sonde_broker.errors import InvalidSettings

ED = ed25519.Ed25519PrivateKey.generate()
ED_JWK: dict[str, Any] = {
    **jwt.get_algorithm_by_name("EdDSA").to_jwk(ED.public_key(), as_dict=True),
    "kid": "k1",
}


def public_pem(private: Any) -> bytes:
    pem: bytes = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


def private_pem(private: Any) -> bytes:
    pem: bytes = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem


@pytest.mark.parametrize("secret", [b"", b"secret", b"x" * 31, b" " * 40, b"x" * 31 + b"\n" * 9])
def test_a_secret_needs_32_bytes(tmp_path: Path, secret: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(secret)
    with pytest.raises(InvalidSettings, match="at least 32"):
        keys.read_secret(path)


@pytest.mark.parametrize(
    "content", [public_pem(ED), private_pem(ED), json.dumps({"keys": [ED_JWK]}).encode()]
)
def test_a_key_is_no_secret(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(InvalidSettings, match="not a secret"):
        keys.read_secret(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"x" * 40, "not a public key"),
        (private_pem(ED), "private key"),
        (public_pem(rsa.generate_private_key(65537, 1024)), "1024 bits"),  # noqa: S505 - weak on purpose
        (public_pem(ec.generate_private_key(ec.SECP384R1())), "only Ed25519, P-256 and RSA"),
        (public_pem(dsa.generate_private_key(2048)), "only Ed25519, P-256 and RSA"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key"),
    ],
    ids=range(6),
)
def test_public_keys_that_are_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(InvalidSettings, match=problem):
        keys.from_public_key(path)


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([], "1 to 64"),
        ([ED_JWK, ED_JWK], "two keys with the id"),
        ([{key: value for key, value in ED_JWK.items() if key != "kid"}], "without a legal kid"),
        ([ED_JWK | {"kid": "../x"}], "without a legal kid"),
        ([ED_JWK | {"d": "AAAA"}], "private key"),
        ([ED_JWK | {"use": "enc"}], "not for signatures"),
        ([ED_JWK | {"alg": "HS256"}], "."),
        ([ED_JWK | {"alg": "RS256"}], "."),
        ([{"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}], "secrets and public keys are never mixed"),
        ([{"kty": "OKP", "kid": "k1"}], "cannot be read"),
        ([{"kty": "nonsense", "kid": "k1"}], "cannot be read"),
        (["k1"], "not an object"),
        ("k1", "1 to 64"),
    ],
    ids=range(13),
)
def test_key_sets_that_are_refused(tmp_path: Path, entries: Any, problem: str) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": entries}))
    with pytest.raises(InvalidSettings, match=problem):
        keys.from_jwks(path)


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    for read in (keys.read_secret, keys.from_public_key, keys.from_jwks):
        with pytest.raises(InvalidSettings, match="cannot read"):
            read(tmp_path / "nothing")


def test_keys_are_not_shown(tmp_path: Path) -> None:
    assert "xxx" not in repr(keys.from_secret(b"x" * 40))
