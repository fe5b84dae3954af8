"""What must not leave the process: secrets, told by the name that they go under or by what they look like.

    names    DB_PASSWORD, apiKey, --token, Authorization, AWS_SECRET_ACCESS_KEY, SENTRY_DSN, PGPASSWORD
    shapes   JWT, PEM private keys, keys of well-known services by their prefix, the password of a URL, card numbers
    pairs    name=value, "name": "value", name: value inside longer text, by their name

The one home for this, for the command line and the environment. It would rather hide too much: a hidden number of
tokens can be looked up elsewhere, a password that was shown cannot be taken back. What has neither a telling name
nor a telling shape is not known to be secret, such as `-phunter2`, which could as well be a port.
"""

# Word lists that are written as lists fill pages.
# ruff: noqa: SIM905

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from math import log2

MASK = "***"
LONGEST = 4096
"""Characters of a text that are kept; a longer one is cut, and what was cut off ends as `...`."""
_LONGEST_NAME = 256

_SECRET_WORDS = frozenset(
    "authorization bearer cookie cookies cred creds credential credentials csrf cvc cvv dsn jwt otp pass passcode "
    "passphrase passwd password passwords passwort pgpass pin private pw pwd secret secrets signature ssn token "
    "webhook xsrf".split()
)
_SECRET_PARTS = (
    "accesskey",
    "accesstoken",
    "apikey",
    "authkey",
    "authtoken",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secretkey",
    "secret",
    "sessionid",
    "sessionkey",
)
"""Found also where words are run together, as in `PGPASSWORD`; none of them is a part of a harmless word."""
_KINDS_OF_KEY = frozenset(
    "access account aes api app auth client consumer crypt deploy encryption fernet gpg hmac jwt license "
    "master pgp private rsa secret security service session shared sign signing ssh ssl storage tls".split()
)
"""Before `key` they make it one that opens something."""
_HARMLESS_ENDS = frozenset(
    "age count dir directory enabled expire expires expiration expiry field file host hosts len length limit max min "
    "mode name names parallelism path paths policy port prefix provider sock socket timeout ttl type uri url".split()
)
"""At the end of a name they say that it is about a secret, and not one. What looks like one is hidden all the same."""
_NO_SECRETS = frozenset({"pwd", "oldpwd"})
_SUSPICIOUS_ENDS = frozenset("auth code hash iv key keys nonce salt seed sig tokens".split())
"""Secret when the value looks random."""
_RANDOM = 3.0
"""Bits for each character of a value that somebody did not think up: English has fewer in a word of 16 letters."""


def text(value: str) -> str:
    """Without what looks like a secret anywhere in it. Does not change what it has already changed."""
    value = _cut(value)
    for shape, instead in _shapes():
        value = shape.sub(instead, value)
    value = _card().sub(_hide_card, value)
    return _pair().sub(_hide_pair, value)


def named(name: str, value: str) -> str:
    """The value that goes under that name."""
    if value and (is_secret(name) or _is_suspicious(name, value)):
        return MASK
    return text(value)


def is_secret(name: str) -> bool:
    """Whether what goes under that name is a secret: a variable, an option, a header, a key in a dictionary."""
    name = name[:_LONGEST_NAME]
    words = _words(name)
    if not words or "".join(words) in _NO_SECRETS or words[-1] in _HARMLESS_ENDS:
        return False
    if any(word in _SECRET_WORDS or word.endswith("token") for word in words):
        return True
    together = "".join(words)
    if any(part in together for part in _SECRET_PARTS):
        return True
    return any(second in {"key", "keys"} and first in _KINDS_OF_KEY for first, second in pairwise(words))


def arguments(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line without its secrets, and the names of those: options, or `argument 3`."""
    shown: list[str] = []
    hidden: list[str] = []
    option = ""
    for position, word in enumerate(words):
        follows, option = option, ""
        if follows and not word.startswith("--"):
            clean = MASK
        else:
            follows = ""
            clean = _argument(word)
            if word.startswith("-") and "=" not in word and is_secret(word):
                option = word
        if clean != _cut(word):
            hidden.append(follows or _option(word) or f"argument {position}")
        shown.append(clean)
    return shown, hidden


def environment(variables: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The variables without their secrets, and the names of those."""
    shown = {name[:_LONGEST_NAME]: named(name, value) for name, value in variables.items()}
    return shown, [name for name, value in variables.items() if shown[name[:_LONGEST_NAME]] != _cut(value)]


def _argument(word: str) -> str:
    name, equals, value = word.partition("=")
    if equals and value and (is_secret(name) or _is_suspicious(name, value)) and not _space().search(name):
        return f"{_cut(name)}={MASK}"
    return text(word)


def _option(word: str) -> str:
    return (
        word.partition("=")[0][:_LONGEST_NAME] if word.startswith("-") and not _space().search(word) else ""
    )


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST else value[: LONGEST - 3] + "..."


def _is_suspicious(name: str, value: str) -> bool:
    words = _words(name[:_LONGEST_NAME])
    return bool(words) and words[-1] in _SUSPICIOUS_ENDS and _looks_random(value)


def _looks_random(value: str) -> bool:
    """At least 16 characters of an alphabet of keys, of two kinds, few of them twice."""
    value = value[:512]
    if len(value) < 16 or not _key().fullmatch(value):
        return False
    kinds = (any(map(str.isdigit, value)), any(map(str.islower, value)), any(map(str.isupper, value)))
    return sum(kinds) >= 2 and _entropy(value) >= _RANDOM


def _entropy(value: str) -> float:
    shares = [value.count(each) / len(value) for each in set(value)]
    return -sum(share * log2(share) for share in shares)


def _hide_pair(found: "re.Match[str]") -> str:
    name, between, value = found["name"], found["between"], found["value"]
    quote = value[0] if value[0] in "\"'" else ""
    bare = value.strip("\"'")
    if MASK in bare or not (is_secret(name) or _is_suspicious(name, bare)):
        return found[0]
    return f"{name}{between}{quote}{MASK}{quote}"


def _hide_card(found: "re.Match[str]") -> str:
    digits = [int(each) for each in found[0] if each.isdigit()]
    return MASK if _luhn(digits) else found[0]


def _luhn(digits: Iterable[int]) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1, annex B)."""
    total = 0
    for position, digit in enumerate(reversed(list(digits))):
        doubled = digit * 2 if position % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def _words(name: str) -> list[str]:
    """`dbPassword`, `DB_PASSWORD` and `db-password` are made of the same words."""
    return [word.lower() for word in _word().findall(name)]


# Expressions are made when they are first needed: a program that nobody looks at does not pay for them at its start.


@cache
def _word() -> "re.Pattern[str]":
    return re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\dA-Za-z_]+|\d+")


@cache
def _space() -> "re.Pattern[str]":
    return re.compile(r"\s")


@cache
def _key() -> "re.Pattern[str]":
    return re.compile(r"[A-Za-z0-9+/=_.-]+")


@cache
def _card() -> "re.Pattern[str]":
    return re.compile(r"(?<![\d.])[3-6]\d{3}(?:[ -]?\d{3,6}){2,4}(?![\d.])")


@cache
def _pair() -> "re.Pattern[str]":
    """A name, `=` or `:`, and a value: quoted, a scheme with its credentials, or up to the next separator."""
    return re.compile(
        r"(?P<name>(?<![\w.-])[A-Za-z_][\w.-]{0,80})(?P<between>[\"']?\s{0,4}(?:=|:(?!//))\s{0,4})"
        r"(?P<value>\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?"
        r"|(?:basic|bearer|digest|negotiate|token)\s+[^\s\"',;]+|[^\s\"',;&}\])]+)",
        re.IGNORECASE,
    )


@cache
def _shapes() -> tuple[tuple["re.Pattern[str]", str], ...]:
    """Each with what takes its place. All are linear in the text: no part of one can be matched in two ways."""
    prefixed = (
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",  # AWS
        r"gh[pousr]_[A-Za-z0-9]{16,}",  # GitHub
        r"github_pat_[A-Za-z0-9_]{16,}",
        r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat)-[A-Za-z0-9_-]{16,}",  # GitLab
        r"xox[abeoprs]-[A-Za-z0-9-]{8,}",  # Slack
        r"xapp-[A-Za-z0-9-]{8,}",
        r"[rsp]k_(?:live|test)_[A-Za-z0-9]{8,}",  # Stripe
        r"whsec_[A-Za-z0-9+/=]{8,}",
        r"AIza[A-Za-z0-9_-]{30,}",  # Google
        r"ya29\.[A-Za-z0-9_-]{16,}",
        r"GOCSPX-[A-Za-z0-9_-]{16,}",
        r"sk-[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic
        r"hf_[A-Za-z0-9]{20,}",  # Hugging Face
        r"npm_[A-Za-z0-9]{30,}",
        r"pypi-[A-Za-z0-9_-]{16,}",
        r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",  # SendGrid
        r"do[opr]_v1_[a-f0-9]{32,}",  # DigitalOcean
        r"hv[sbr]\.[A-Za-z0-9_-]{20,}",  # HashiCorp Vault
        r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]*){0,3}",  # JWT (RFC 7519)
    )
    return (
        (
            re.compile(
                r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
                r"(?:[^-]|-(?!----END))*(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
            ),
            MASK,
        ),
        (re.compile(rf"(?<![A-Za-z0-9_]){'(?:' + '|'.join(prefixed) + ')'}"), MASK),
        (re.compile(r"(?<=hooks\.slack\.com/services/)[^\s\"']+"), MASK),
        # `//user:password@host`, but not `//host:8080/@`: a port is followed by a path.
        (
            re.compile(
                r"(//[^\s:/?#@\"']{0,256}:)(?!\d{1,5}(?:[/?#]|$))"
                r"[^\s\"'@]{1,256}(?:@[^\s\"'@/]{1,256}(?=@)){0,4}(?=@)"
            ),
            rf"\1{MASK}",
        ),
        (re.compile(r"(cookie2?\s{0,4}:\s{0,4})(?![\s*])[^\r\n\"']+", re.IGNORECASE), rf"\1{MASK}"),
    )
