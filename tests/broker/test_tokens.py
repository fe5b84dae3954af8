"""Tokens: what is taken, and every way known to us of making one that must not be (RFC 8725; OWASP)."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from sonde_broker import keys
from sonde_broker.errors import BadToken
from sonde_broker.issue import SigningKey, issue
from sonde_broker.tokens import MOST_BYTES, TokenRules, verify
from sonde_wire import Address, Reason, Scope, Selector
from tests.broker.tokens import RULES, SECRET

NOW = 1_000_000.0
HEADER = {"alg": "HS256", "typ": "at+jwt"}
CLAIMS: dict[str, Any] = {
    "iss": "sonde",
    "aud": "sonde",
    "sub": "ada",
    "jti": "t1",
    "iat": int(NOW),
    "nbf": int(NOW),
    "exp": int(NOW) + 600,
    "scope": "observe inspect",
    "processes": ["shop/checkout/*"],
}


def b64(data: bytes | str) -> str:
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: Any, payload: Any, secret: bytes = SECRET) -> str:
    """HS256 over anything at all: texts are taken as they are, everything else becomes JSON."""
    parts = [b64(part if isinstance(part, str | bytes) else json.dumps(part)) for part in (header, payload)]
    signature = hmac.new(secret, ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, b64(signature)])


def with_header(**more: Any) -> str:
    return signed(HEADER | more, CLAIMS)


def with_claims(**more: Any) -> str:
    return signed(HEADER, CLAIMS | more)


def without(claim: str) -> str:
    return signed(HEADER, {name: value for name, value in CLAIMS.items() if name != claim})


GOOD = signed(HEADER, CLAIMS)


def flipped_bit() -> str:
    head, payload, signature = GOOD.split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[0] ^= 1
    return f"{head}.{payload}.{b64(bytes(raw))}"


def swapped_payload() -> str:
    head, _, signature = GOOD.split(".")
    return f"{head}.{b64(json.dumps(CLAIMS | {'sub': 'root'}))}.{signature}"


def test_a_good_token_says_who_and_what() -> None:
    claims = verify(GOOD, RULES, NOW)
    assert claims.subject == "ada"
    assert claims.scopes == {Scope.OBSERVE, Scope.INSPECT}
    assert claims.selectors == (Selector("shop", "checkout", "*"),)
    assert claims.expires == NOW + 600


def test_a_token_without_processes_may_see_nothing() -> None:
    assert verify(without("processes"), RULES, NOW).selectors == ()


def test_scopes_that_sonde_does_not_have_grant_nothing() -> None:
    assert verify(with_claims(scope="openid OBSERVE observe* admin"), RULES, NOW).scopes == {Scope.ADMIN}


ATTACKS: dict[str, Callable[[], str]] = {
    "alg none, no signature": lambda: (
        f"{b64(json.dumps(HEADER | {'alg': 'none'}))}.{b64(json.dumps(CLAIMS))}."
    ),
    "alg none, some signature": lambda: with_header(alg="none"),
    "alg NONE": lambda: with_header(alg="NONE"),
    "alg nOnE": lambda: with_header(alg="nOnE"),
    "alg empty": lambda: with_header(alg=""),
    "alg a list": lambda: with_header(alg=["HS256"]),
    "no alg": lambda: signed({"typ": "at+jwt"}, CLAIMS),
    "another HMAC": lambda: with_header(alg="HS512"),
    "another secret": lambda: signed(HEADER, CLAIMS, b"x" * 32),
    "signature stripped": lambda: GOOD.rpartition(".")[0] + ".",
    "two parts": lambda: GOOD.rpartition(".")[0],
    "four parts": lambda: GOOD + ".a",
    "five parts, as a JWE": lambda: GOOD + ".a.b",
    "one bit of the signature flipped": flipped_bit,
    "another payload under the signature": swapped_payload,
    "jwk in the header": lambda: with_header(jwk={"kty": "oct", "k": b64(SECRET)}),
    "jku in the header": lambda: with_header(jku="http://169.254.169.254/keys"),
    "x5u in the header": lambda: with_header(x5u="http://169.254.169.254/cert"),
    "x5c in the header": lambda: with_header(x5c=["MIIB"]),
    "crit with a name": lambda: with_header(crit=["x-mfa"], **{"x-mfa": True}),
    "crit empty": lambda: with_header(crit=[]),
    "crit a text": lambda: with_header(crit="exp"),
    "b64 false": lambda: with_header(b64=False),
    "zip": lambda: with_header(zip="DEF"),
    "kid a path": lambda: with_header(kid="../../dev/null"),
    "kid some SQL": lambda: with_header(kid="' OR 1=1 --"),
    "kid of 65 characters": lambda: with_header(kid="k" * 65),
    "kid with a NUL": lambda: with_header(kid="a\0b"),
    "kid a number": lambda: with_header(kid=7),
    "kid with a newline at its end": lambda: with_header(kid="a\n"),
    "an ID token": lambda: with_header(typ="JWT"),
    "a signed command as token": lambda: with_header(typ="sonde-command+jws"),
    "no typ": lambda: signed({"alg": "HS256"}, CLAIMS),
    "typ a list": lambda: with_header(typ=["at+jwt"]),
    "expired beyond the leeway": lambda: with_claims(iat=int(NOW) - 600, exp=int(NOW) - 11),
    "nbf in the future": lambda: with_claims(nbf=int(NOW) + 11),
    "iat in the future": lambda: with_claims(iat=int(NOW) + 11),
    "valid for too long": lambda: with_claims(exp=int(NOW) + 3601),
    "ends before it begins": lambda: with_claims(iat=int(NOW) + 5, exp=int(NOW) + 4),
    "exp NaN": lambda: signed(HEADER, json.dumps(CLAIMS | {"exp": float("nan")})),
    "exp Infinity": lambda: signed(HEADER, json.dumps(CLAIMS | {"exp": float("inf")})),
    "exp 1e400": lambda: signed(HEADER, json.dumps(CLAIMS).replace(str(int(NOW) + 600), "1e400")),
    "exp true": lambda: with_claims(exp=True),
    "exp a text": lambda: with_claims(exp=str(int(NOW) + 600)),
    "exp null": lambda: with_claims(exp=None),
    "aud of somebody else": lambda: with_claims(aud="other"),
    "aud a prefix of ours": lambda: with_claims(aud="sond"),
    "aud longer than ours": lambda: with_claims(aud="sonde2"),
    "aud in another case": lambda: with_claims(aud="Sonde"),
    "aud an empty list": lambda: with_claims(aud=[]),
    "aud ours and another": lambda: with_claims(aud=["sonde", "other"]),
    "aud an object": lambda: with_claims(aud={"sonde": 1}),
    "iss of somebody else": lambda: with_claims(iss="https://evil.example"),
    "iss with a slash": lambda: with_claims(iss="sonde/"),
    "iss in another case": lambda: with_claims(iss="SONDE"),
    "iss a list": lambda: with_claims(iss=["sonde"]),
    "sub empty": lambda: with_claims(sub=""),
    "sub a number": lambda: with_claims(sub=1),
    "sub of 257 characters": lambda: with_claims(sub="a" * 257),
    "jti empty": lambda: with_claims(jti=""),
    "processes a text": lambda: with_claims(processes="*/*/*"),
    "processes with a regular expression": lambda: with_claims(processes=["shop/(a|b)/x"]),
    "processes climbing": lambda: with_claims(processes=["shop/checkout/../admin"]),
    "processes with an MQTT wildcard": lambda: with_claims(processes=["shop/+/#"]),
    "processes with an empty one": lambda: with_claims(processes=[""]),
    "processes with a newline": lambda: with_claims(processes=["*/*/*\n"]),
    "processes by the hundred and one": lambda: with_claims(processes=["*/*/*"] * 101),
    "scope a list": lambda: with_claims(scope=["observe"]),
    "payload with a BOM": lambda: signed(HEADER, b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode()),
    "payload not UTF-8": lambda: signed(HEADER, b'{"sub":"\xff"}'),
    "payload an array": lambda: signed(HEADER, [CLAIMS]),
    "payload nested": lambda: signed(HEADER, "[" * 3000 + "]" * 3000),
    "payload with a huge integer": lambda: signed(HEADER, '{"exp":' + "9" * 5000 + "}"),
    "payload not JSON": lambda: signed(HEADER, "sub=ada"),
    "header an array": lambda: signed(["HS256"], CLAIMS),
    "header not JSON": lambda: signed("alg=HS256", CLAIMS),
    "header not UTF-8": lambda: signed(b'{"alg":"\xff"}', CLAIMS),
    "longer than the cap": lambda: with_claims(note="x" * MOST_BYTES),
    "a megabyte": lambda: "a" * 2**20,
    "empty": lambda: "",
    "only dots": lambda: "..",
    "a space before": lambda: " " + GOOD,
    "a newline after": lambda: GOOD + "\n",
    "padding": lambda: GOOD + "=",
    "the standard alphabet": lambda: GOOD[:-2] + "+/",
    "a zero width space": lambda: GOOD[:10] + "\u200b" + GOOD[10:],
    "letters that are not ASCII": lambda: GOOD[:-1] + "\u0430",
} | {
    f"without {claim}": (lambda c=claim: without(c))
    for claim in ("exp", "iat", "nbf", "aud", "iss", "sub", "jti")
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_refuses(attack: Callable[[], str]) -> None:
    with pytest.raises(BadToken) as caught:
        verify(attack(), RULES, NOW)
    assert "ada" not in str(caught.value)
    assert caught.value.public in {"the token is not valid here", "the token has expired: sign in again"}


def test_the_leeway_is_exact_at_both_ends() -> None:
    assert verify(GOOD, RULES, NOW + 600 + 9.9)
    with pytest.raises(BadToken) as caught:
        verify(GOOD, RULES, NOW + 600 + 10)
    assert caught.value.expired
    assert caught.value.refused().failure.reason is Reason.TOKEN_EXPIRED
    assert verify(GOOD, RULES, NOW - 10)
    with pytest.raises(BadToken):
        verify(GOOD, RULES, NOW - 10.1)


def write_public(path: Path, private: Any) -> Path:
    path.write_bytes(
        private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return path


def write_private(path: Path, private: Any) -> Path:
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


PRIVATE: dict[str, Any] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
}


def issued(key: SigningKey) -> str:
    return issue(
        key,
        subject="ada",
        scopes=[Scope.OBSERVE],
        processes=[Selector()],
        issuer="sonde",
        audience="sonde",
        life=60,
        now=NOW,
    )


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_takes_what_the_private_key_of_a_public_one_signed(tmp_path: Path, algorithm: str) -> None:
    private = PRIVATE[algorithm]
    rules = TokenRules(
        keys=keys.from_public_key(write_public(tmp_path / "public.pem", private)),
        issuer="sonde",
        audience="sonde",
    )
    key = SigningKey.from_private_key(write_private(tmp_path / "private.pem", private))
    assert key.algorithm == algorithm
    claims = verify(issued(key), rules, NOW)
    assert claims.selectors[0].matches(Address("a", "b", "c"))


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_public_key_is_never_a_secret(tmp_path: Path, algorithm: str) -> None:
    pem = write_public(tmp_path / "public.pem", PRIVATE[algorithm])
    rules = TokenRules(keys=keys.from_public_key(pem), issuer="sonde", audience="sonde")
    jwk = json.dumps(jwt.get_algorithm_by_name(algorithm).to_jwk(PRIVATE[algorithm].public_key()))
    for secret in (pem.read_bytes(), pem.read_bytes().strip(), jwk.encode()):
        for stated in ("HS256", algorithm):
            with pytest.raises(BadToken):
                verify(signed(HEADER | {"alg": stated}, CLAIMS, secret), rules, NOW)


def test_of_several_keys_the_one_that_is_named_decides(tmp_path: Path) -> None:
    jwks = tmp_path / "jwks.json"
    entries = []
    for name, algorithm in (("old", "EdDSA"), ("new", "ES256")):
        public = PRIVATE[algorithm].public_key()
        entries.append(jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True) | {"kid": name})
    jwks.write_text(json.dumps({"keys": entries}))
    rules = TokenRules(keys=keys.from_jwks(jwks), issuer="sonde", audience="sonde")
    private = write_private(tmp_path / "private.pem", PRIVATE["EdDSA"])
    assert verify(issued(SigningKey.from_private_key(private, "old")), rules, NOW)
    for key_id in ("new", "gone", None):
        with pytest.raises(BadToken):
            verify(issued(SigningKey.from_private_key(private, key_id)), rules, NOW)
