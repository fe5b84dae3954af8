"""`python -m sonde_broker`: the broker as a program. Exit codes: 0 done, 1 it cannot run, 2 wrong settings."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from jwt.utils import base64url_decode

from sonde_broker.bus import BusError
from sonde_broker.errors import BadToken, BrokerError, InvalidSettings
from sonde_broker.issue import SigningKey, issue
from sonde_broker.options import add_to, gather, unknown_variables
from sonde_broker.reading import read, read_duration, read_logs
from sonde_broker.settings import (
    DEFAULT_AUDIENCE,
    DEFAULT_ISSUER,
    SITE_TOKEN_LIFE,
    KeyChoice,
    site_secret,
)
from sonde_broker.site import Announcement, announce
from sonde_broker.tokens import TokenRules, verify
from sonde_wire import Scope, Selector, WireError, local, logs

logger = logging.getLogger(__name__)

_SERVE_EXAMPLES = """\
examples:
  sonde broker --site
      on this machine, for yourself: makes a key, a token and a bus
  sonde broker --listen 0.0.0.0:8080 --bus mqtts://broker:secret@mqtt.example:8883 \\
      --jwks /etc/sonde/jwks.json --issuer https://id.example --audience sonde \\
      --allow-host sonde.example --allow-origin https://sonde.example
      in production, behind TLS, with the keys of your identity provider
  sonde broker --check --bus mqtts://broker@mqtt.example --jwks /etc/sonde/jwks.json
      whether that would work: what would be used, from where, and what can be reached

Each option can be given by a variable too: --max-token-lifetime by SONDE_BROKER_MAX_TOKEN_LIFETIME.
"""
_ISSUE_EXAMPLES = """\
examples:
  sonde token issue --sub ada --scope observe,inspect --processes 'shop/checkout/*' --ttl 15m
      for the broker that `sonde up` started here
  sonde token issue --secret-file secret --sub ada --scope observe --processes '*'
  sonde token issue --private-key key.pem --key-id 2026-11 --sub ci --scope observe \\
      --processes '*' --ttl 5m --json
"""
_SHOW_EXAMPLES = """\
examples:
  sonde token show TOKEN
      what it says, unverified
  sonde token show --secret-file secret TOKEN
      and whether a broker with that secret would take it
"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    number: str = getattr(options, "announce_fd", None) or ""
    descriptor = int(number) if number.isdecimal() else None
    try:
        return int(options.run(options))
    except InvalidSettings as error:
        return _fail(str(error), 2, descriptor)
    except (BrokerError, BusError, WireError) as error:
        return _fail(str(error), 1, descriptor)
    except BaseExceptionGroup as group:
        known, unknown = group.split((BrokerError, BusError, WireError))
        if known is None or unknown is not None:
            raise
        return _fail(_texts(known), 1, descriptor)


def _serve(options: argparse.Namespace) -> int:
    # imported here, because tokens need none of it
    from sonde_broker import check
    from sonde_broker.serve import serve

    given = gather(vars(options), os.environ)
    if options.check:
        return check.run(given, os.environ, as_json=options.json)
    logs.set_up(read_logs(given))
    for sentence in unknown_variables(os.environ):
        logger.warning("%s", sentence)
    asyncio.run(serve(read(given)))
    return 0


def _issue(options: argparse.Namespace) -> int:
    now = time.time()
    token = issue(
        _signing_key(options),
        subject=options.sub,
        scopes=_scopes(options.scope),
        processes=[Selector.parse(text) for text in _words(options.processes)],
        issuer=options.issuer,
        audience=options.audience,
        life=options.ttl,
        now=now,
    )
    if options.json:
        _print(json.dumps({"token": token, "expires": int(now + options.ttl)}))
    else:
        _print(token)
    return 0


def _signing_key(options: argparse.Namespace) -> SigningKey:
    if options.secret_file is not None and options.private_key is not None:
        raise InvalidSettings("give --secret-file or --private-key, one of them")
    if options.private_key is not None:
        return SigningKey.from_private_key(options.private_key, options.key_id)
    if options.secret_file is None and local.read() is None:
        raise InvalidSettings(
            "give --secret-file or --private-key; without them `sonde up` must be running here"
        )
    return SigningKey.from_secret_file(options.secret_file or site_secret())


def _show(options: argparse.Namespace) -> int:
    """Prints header and claims; exit 1 when a key was given and the token would be refused."""
    parts = options.token.split(".")
    try:
        shown = [json.loads(base64url_decode(part)) for part in parts[:2]]
    except ValueError:
        raise BadToken("it is not a JWT") from None
    _print(json.dumps({"header": shown[0], "claims": shown[-1]}, indent=2))
    choice = KeyChoice(options.secret_file, options.public_key, options.jwks)
    if choice.count == 0:
        print("not verified: no key was given", file=sys.stderr)  # noqa: T201 - a program's own words
        return 0
    rules = TokenRules(
        keys=choice.read(),
        issuer=options.issuer,
        audience=options.audience,
        longest_life=options.max_token_lifetime or SITE_TOKEN_LIFE,
    )
    verify(options.token, rules, time.time())
    print("valid", file=sys.stderr)  # noqa: T201 - as above
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sonde_broker", description="Relays the bus of a fleet to authenticated viewers."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    # `sonde broker` and `sonde token` are how people type them.
    _add_serve(
        _command(commands, "serve", "run the broker until SIGTERM", _SERVE_EXAMPLES, prog="sonde broker")
    )
    token = commands.add_parser("token", help="issue or read tokens", prog="sonde token").add_subparsers(
        required=True, metavar="COMMAND"
    )
    _add_issue(_command(token, "issue", "make a token from a secret or a private key", _ISSUE_EXAMPLES))
    _add_show(_command(token, "show", "print what a token says", _SHOW_EXAMPLES))
    return parser


def _command(
    among: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    what: str,
    examples: str,
    prog: str | None = None,
) -> argparse.ArgumentParser:
    return among.add_parser(
        name,
        prog=prog,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    add_to(parser)
    parser.set_defaults(run=_serve)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--secret-file", type=Path, metavar="F", help="HS256 secret of at least 32 bytes, for development")
    add("--public-key", type=Path, metavar="F", help="PEM file: Ed25519, P-256 or RSA from 2048 bits")
    add("--jwks", type=Path, metavar="F", help="JSON Web Key Set of public keys, each with a kid")
    _add_parties(parser)
    add("--max-token-lifetime", type=_duration, metavar="S", help="longest life of a token (default: 1h)")


def _add_parties(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--issuer", default=DEFAULT_ISSUER, help="the tokens' iss (default: %(default)s)")
    parser.add_argument("--audience", default=DEFAULT_AUDIENCE, help="the tokens' aud (default: %(default)s)")


def _add_issue(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--secret-file", type=Path, metavar="F", help="sign with HS256 (default: that of `sonde up`)")
    add("--private-key", type=Path, metavar="F", help="sign with a private key in PEM form")
    add("--key-id", metavar="KID", help="the kid under which the broker's JWKS has the public key")
    add("--sub", required=True, help="who it is for")
    scopes = ", ".join(Scope)
    add("--scope", required=True, action="append", help=f"of {scopes}; several with commas")
    add("--processes", default=[], action="append", metavar="SELECTOR", help="what it may see; none: nothing")
    add("--ttl", type=_duration, default=900.0, help="such as 15m or 12h (default: 15m)")
    _add_parties(parser)
    add("--json", action="store_true", help="print an object with token and expires")
    parser.set_defaults(run=_issue)


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token")
    _add_keys(parser)
    parser.set_defaults(run=_show)


def _words(texts: Sequence[str]) -> list[str]:
    return [word for text in texts for word in re.split(r"[,\s]+", text) if word]


def _scopes(texts: Sequence[str]) -> list[Scope]:
    try:
        return [Scope(word) for word in _words(texts)]
    except ValueError as error:
        raise InvalidSettings(f"--scope: {error}; there are {', '.join(Scope)}") from None


def _duration(text: str) -> float:
    try:
        return read_duration(text, "the duration")
    except InvalidSettings as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _texts(group: BaseExceptionGroup[BaseException]) -> str:
    return "; ".join(
        _texts(error) if isinstance(error, BaseExceptionGroup) else str(error) for error in group.exceptions
    )


def _fail(text: str, code: int, descriptor: int | None) -> int:
    print(f"sonde: {text}", file=sys.stderr)  # noqa: T201 - a program's own words
    announce(descriptor, Announcement(error=text))
    return code


def _print(text: str) -> None:
    print(text)  # noqa: T201 - what the command is for


def _run() -> NoReturn:
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)


if __name__ == "__main__":
    _run()
