"""Names whose values are secrets: of variables, attributes, keys, options, headers, and of types.

A name is told by its words (`dbPassword`, `DB_PASSWORD` and `db-password` are made of the same), or, where words
are run together, by the whole of it. The lists are ours; the identifiers that other live debuggers publish were
the bar. What those hide for privacy and not as secrets (addresses, clients, configurations) is not in them: that
is what further names are for.
"""

# Word lists that are written as lists fill pages.
# ruff: noqa: SIM905

import re
from enum import Enum
from functools import cache
from itertools import pairwise
from math import log2


class Verdict(Enum):
    """What a name says of its value."""

    HARMLESS = 0
    SUSPICIOUS = 1
    """Secret when it looks random."""
    SECRET = 2


LONGEST = 256
"""Characters of a name that are looked at."""

_WORDS = frozenset(
    "authorization bearer cookie cookies cred creds credential credentials csrf cvc cvv dsn jwt otp pass passcode "
    "passphrase passwd password passwords passwort pgpass pin pw pwd secret secrets signature ssn token webhook "
    "xsrf".split()
)
_PARTS = (
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
_WHOLE = frozenset(
    "2fa 2facode aiohttpsession apisignature appkey applicationkey auth authn backupcode backupcodes bankaccount "
    "basicauth cardno cardnumber ccnum ccnumber certificatepin cipher clientsecret connectionstring connectsid "
    "connstr creditcard creditcardnumber cvv2 debitcard encryptionkey encryptionkeyid gpgkey httpauth iban jti "
    "licensekey masterkey mfacode mysqlpwd nonce oauth oauth2 oauthtoken onetimecode passhash passkey pemfile pgpkey "
    "phpsessid pincode pkcs8 proxyauth psk pwdhash recaptchakey recoverycode recoverycodes routingnumber salt "
    "securityanswer securitycode securityquestion seedphrase sessid setcookie signaturekey signingkey "
    "socialsecuritynumber sshkey storagestate tfacode totp totpseed transactionid twofactorcode usersession "
    "verificationcode voterid xapikey xauthtoken xcsrf xsrftoken".split()
)
"""Without what is between the words, and in lower case."""
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
_HARMLESS_BEGINNINGS = frozenset("has is needs requires".split())
_DIRECTORIES = frozenset({"PWD", "OLDPWD"})
"""Of the shell; a variable `pwd` is a password."""
_SUSPICIOUS_ENDS = frozenset("auth code hash iv key keys nonce salt seed sig tokens".split())
"""Whose values are often something else."""
_RANDOM = 3.0
"""Bits for each character of a value that somebody did not think up: English has fewer in a word of 16 letters."""

_TYPES = frozenset(
    "aesccm aesgcm aesgcmsiv aesocb3 aessiv apikeycredentials authjwt azurekeycredential basicauth basiccredentials "
    "chacha20poly1305 clientsecretcredential cookie cookiejar cookies credentials dhprivatekey dsaprivatekey fernet "
    "frozencredentials hmac httpauthorizationcredentials httpbasicauth httpbasiccredentials httpdigestauth "
    "identitytoken jwk jwkset keypair morsel multifernet netrc oauthtoken passphrase password plaincredentials "
    "privatekey readonlycredentials refreshablecredentials requestscookiejar rsakey secret secretbox secretbytes "
    "secretdict secretstr secretstring secretvalue signingkey simplecookie sshkey usernamepasswordcredentials "
    "usernamepasswordcredential".split()
)
_ENDS_OF_TYPES = ("privatekey", "secretkey", "signingkey", "accesstoken", "apikey", "password", "credentials")
_QUALIFIED_TYPES = frozenset(
    {
        "sqlalchemy.engine.url.URL",
        "requests.cookies.RequestsCookieJar",
        "aiohttp.helpers.BasicAuth",
        "paramiko.pkey.PKey",
    }
)
"""Whose last name alone says nothing."""


def normalised(name: str) -> str:
    """In lower case, letters and digits only."""
    return "".join(filter(str.isalnum, name)).lower()


def judge(name: str) -> Verdict:
    if len(name) > LONGEST:
        name = name[: LONGEST // 2] + name[-LONGEST // 2 :]
    words = _words(name)
    if not words or name in _DIRECTORIES:
        return Verdict.HARMLESS
    if _is_secret(words):
        return Verdict.SECRET
    return Verdict.SUSPICIOUS if words[-1] in _SUSPICIOUS_ENDS else Verdict.HARMLESS


def _is_secret(words: list[str]) -> bool:
    if words[-1] in _HARMLESS_ENDS or words[0] in _HARMLESS_BEGINNINGS:
        return False
    if any(word in _WORDS or word.endswith("token") for word in words):
        return True
    together = "".join(words)
    if together in _WHOLE or any(part in together for part in _PARTS):
        return True
    return any(second in {"key", "keys"} and first in _KINDS_OF_KEY for first, second in pairwise(words))


def is_secret_type(name: str) -> bool:
    """`name` is qualified by its module, or is not."""
    name = name[-LONGEST:].partition("[")[0]
    last = normalised(name.rpartition(".")[2])
    return last in _TYPES or last.endswith(_ENDS_OF_TYPES) or name in _QUALIFIED_TYPES


def looks_random(value: str) -> bool:
    """At least 16 characters of an alphabet of keys, of two kinds, few of them twice."""
    value = value[:128]
    if len(value) < 16 or not _key().fullmatch(value):
        return False
    kinds = value.upper() != value, value.lower() != value, not value.isalpha()
    return sum(kinds) >= 2 and _entropy(value) >= _RANDOM


def _entropy(value: str) -> float:
    shares = [value.count(each) / len(value) for each in set(value)]
    return -sum(share * log2(share) for share in shares)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _word().findall(name)]


# Expressions are made when they are first needed: a program that nobody looks at does not pay for them at its start.


@cache
def _word() -> "re.Pattern[str]":
    return re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\dA-Za-z_]+|\d+")


@cache
def _key() -> "re.Pattern[str]":
    return re.compile(r"[A-Za-z0-9+/=_.-]+")
