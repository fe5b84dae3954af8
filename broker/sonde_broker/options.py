"""Every option of `sonde broker`: its name, its variable, what it may be, and what it is for people.

The command line, the environment, `--check` and the table in docs/configuration.md are made from `OPTIONS`. An option
wins over the variable, the variable over the default. Values stay text here, with the place that they are from:
`settings` reads them, and names that place when one is wrong.
"""

import argparse
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from sonde_broker.errors import InvalidSettings

PREFIX = "SONDE_BROKER_"
_BY_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT(_.*)?)$|_PORT(_\d+_(TCP|UDP|SCTP).*)?$")
"""What Kubernetes sets in every container for a Service named `sonde-broker`."""


class Option(Struct, frozen=True, kw_only=True):
    name: str
    """As on the command line, without dashes in front."""
    metavar: str = ""
    """Empty: it takes no value."""
    help: str
    default: str = ""
    otherwise: str = "none"
    """What happens where there is no default."""
    several: bool = False
    """Given again for each value; in the variable with commas or spaces between them."""
    secret: bool = False
    """It may carry a password: `--check` shows what was read of it instead."""
    only_here: bool = False
    """Has no variable: it is about this one start."""

    @property
    def argument(self) -> str:
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        return "" if self.only_here else PREFIX + self.name.upper().replace("-", "_")

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")


OPTIONS = (
    Option(
        name="listen",
        metavar="HOST:PORT",
        default="127.0.0.1:8080",
        help="where viewers come in; with --site any free port where that one is taken",
    ),
    Option(
        name="bus",
        metavar="BUS",
        default="embedded",
        secret=True,
        help="embedded, mosquitto, or mqtt[s]://user@host:port of a server that is there already; its password fits "
        "better in the file that SONDE_BUS_PASSWORD_FILE names",
    ),
    Option(
        name="bus-listen", metavar="HOST:PORT", default="127.0.0.1:0", help="for agents, on a bus of our own"
    ),
    Option(
        name="bus-password-file",
        metavar="FILE",
        otherwise="made from the secret, or new at each start",
        help="the agents' password on a bus of our own, at least 16 characters",
    ),
    Option(
        name="secret-file",
        metavar="FILE",
        help="HS256 secret of at least 32 bytes that signs tokens, for development",
    ),
    Option(
        name="public-key",
        metavar="FILE",
        help="PEM file that verifies tokens: Ed25519, P-256 or RSA from 2048 bits",
    ),
    Option(name="jwks", metavar="FILE", help="JSON Web Key Set of public keys, each with a kid"),
    Option(name="issuer", metavar="NAME", default="sonde", help="the tokens' iss"),
    Option(name="audience", metavar="NAME", default="sonde", help="the tokens' aud"),
    Option(
        name="max-token-lifetime",
        metavar="DURATION",
        otherwise="1h; 12h with --site",
        help="the longest life of a token, such as 900, 15m or 12h",
    ),
    Option(
        name="allow-origin",
        metavar="ORIGIN",
        several=True,
        help="a further origin of web pages, such as https://sonde.example",
    ),
    Option(
        name="allow-host",
        metavar="HOST",
        several=True,
        help="a further name by which this broker is addressed",
    ),
    Option(
        name="page",
        metavar="DIR",
        otherwise="the installed page",
        help="built files of the web page, instead of the installed ones",
    ),
    Option(
        name="history",
        metavar="STORE",
        otherwise="none; with --site a file beside the site file",
        secret=True,
        help="where events are remembered: none, the path of a SQLite file, sqlite:///PATH, or "
        "postgresql://user@host/database with the password in the file that SONDE_HISTORY_PASSWORD_FILE names",
    ),
    Option(name="history-days", metavar="DAYS", default="7", help="for so long events are remembered"),
    Option(
        name="history-size",
        metavar="SIZE",
        default="1GiB",
        help="how much the history may take, such as 500MiB; then the oldest goes",
    ),
    Option(
        name="most-viewers",
        metavar="N",
        default="1000",
        help="so many viewers at a time; further ones are told to come back later",
    ),
    Option(
        name="compress",
        metavar="WHEN",
        default="remote",
        help="what viewers are sent compressed: remote (those on other machines, where they can), always, never",
    ),
    Option(
        name="metrics-listen",
        metavar="HOST:PORT",
        help="serves /metrics, /healthz and /readyz there too, without a token; only for a network that is yours",
    ),
    Option(
        name="log-level",
        metavar="LEVEL",
        default="info",
        help="what is logged: debug, info, warning or error",
    ),
    Option(name="log-file", metavar="FILE", help="a file for the log, beside the console; it stays small"),
    Option(name="log-format", metavar="FORMAT", default="text", help="text, or json: an object a line"),
    Option(
        name="site",
        default="no",
        help="development: make a key and a token, and tell this user's programs of them",
    ),
    Option(name="verbose", only_here=True, help="short for --log-level debug"),
    Option(
        name="announce-fd",
        metavar="N",
        only_here=True,
        help="write one JSON line to that descriptor when ready",
    ),
    Option(
        name="check",
        only_here=True,
        help="start nothing: say what would be used and whether it can be reached",
    ),
    Option(name="json", only_here=True, help="with --check: an object instead of tables"),
)
BY_NAME = {option.name: option for option in OPTIONS}
OTHER_VARIABLES = {
    "SONDE_BUS_PASSWORD_FILE": "a file with the bus's password, for a `--bus` URL that names a user only",
    "SONDE_HISTORY_PASSWORD_FILE": "a file with the database's password, for a `--history` URL that names a user only",
    "SONDE_SITE": "the file in which `--site` leaves where it is",
}
"""Read from the environment alone."""


class Given(Struct, frozen=True):
    """What was said of each option that was said, and where."""

    texts: Mapping[str, tuple[str, ...]]
    places: Mapping[str, str]

    def where(self, name: str) -> str:
        """For messages: the option or variable that said it."""
        return self.places.get(name, BY_NAME[name].argument)

    def all(self, name: str) -> tuple[str, ...]:
        return self.texts.get(name, ())

    def text(self, name: str) -> str | None:
        """None: nobody said anything, and there is no default."""
        said = self.texts.get(name)
        return said[-1] if said else BY_NAME[name].default or None

    def path(self, name: str) -> Path | None:
        return Path(text) if (text := self.text(name)) else None

    def flag(self, name: str) -> bool:
        """Raises `InvalidSettings` for a variable that is neither yes nor no."""
        text = self.text(name) or "no"
        if text.lower() not in {"yes", "no", "true", "false", "on", "off", "1", "0"}:
            raise InvalidSettings(f"{self.where(name)} {text}: give yes or no")
        return text.lower() in {"yes", "true", "on", "1"}

    def choice(self, name: str, *words: str) -> Any:
        """One of the words. Raises `InvalidSettings`."""
        text = (self.text(name) or "").lower()
        if text not in words:
            raise InvalidSettings(f"{self.where(name)} {text}: give one of {', '.join(words)}")
        return text


def add_to(parser: argparse.ArgumentParser) -> None:
    for option in OPTIONS:
        text = option.help.replace("%", "%%")
        if not option.metavar:
            parser.add_argument(option.argument, dest=option.key, action="store_true", help=text)
            continue
        parser.add_argument(
            option.argument,
            dest=option.key,
            metavar=option.metavar,
            action="append" if option.several else "store",
            help=f"{text} (default: {option.default or option.otherwise})",
        )


def gather(arguments: Mapping[str, Any], environment: Mapping[str, str]) -> Given:
    """`arguments` are those that `add_to` made. An empty variable counts as not set."""
    texts: dict[str, tuple[str, ...]] = {}
    places: dict[str, str] = {}
    for option in OPTIONS:
        said = arguments.get(option.key)
        if said is not None and said is not False:
            several = said if isinstance(said, list) else ["yes" if said is True else said]
            texts[option.name] = tuple(map(str, several))
            places[option.name] = option.argument
        elif option.variable and (text := environment.get(option.variable)):
            texts[option.name] = (
                tuple(filter(None, re.split(r"[,\s]+", text))) if option.several else (text.strip(),)
            )
            places[option.name] = option.variable
    return Given(texts, places)


def unknown_variables(environment: Iterable[str]) -> list[str]:
    """A sentence for each variable that begins like ours and is none: it would go unnoticed otherwise."""
    ours = {option.variable.removeprefix(PREFIX): option for option in OPTIONS if option.variable}
    sentences = []
    for name in sorted(environment):
        said = name.removeprefix(PREFIX)
        if said == name or said in ours or _BY_KUBERNETES.search(name):
            continue
        close = difflib.get_close_matches(said, ours, 1, 0.7)
        meant = f": did you mean {PREFIX}{close[0]}?" if close else ""
        sentences.append(f"{name} is not a variable of the broker{meant}")
    return sentences


def table_rows() -> Iterator[tuple[str, ...]]:
    """Of docs/configuration.md: the head, then a row for each option."""
    yield "Option", "Variable", "Default", "What it is"
    for option in OPTIONS:
        argument = f"{option.argument} {option.metavar}".rstrip()
        variable = f"`{option.variable}`" if option.variable else ""
        default = option.default or (option.otherwise if option.metavar else "no")
        yield f"`{argument}`", variable, default, option.help
