"""How a bus is named: one server, or the nodes of a cluster.

mqtt://user:password@host:1883
mqtts://user:password@one.example,two.example,three.example:8884
"""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from sonde_wire.errors import WireError

PASSWORD_FILE_VARIABLE = "SONDE_BUS_PASSWORD_FILE"  # noqa: S105 - the name of a variable


class InvalidBusUrl(WireError, ValueError):
    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return (
            f"{self.problem}; a bus is named like mqtt://user:password@host:1883 or mqtts://host:8883, "
            "a cluster like mqtt://one:1883,two:1883"
        )


class Server(Struct, frozen=True):
    """Where one MQTT server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class BusUrl(Struct, frozen=True):
    """`further` are the other nodes of a cluster: the same bus, whichever of them answers."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = None
    further: tuple[Server, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "BusUrl":
        """A URL with a user and no password gets it from the file that SONDE_BUS_PASSWORD_FILE names, if it is set:
        a command line and an environment can be read by others. Raises `InvalidBusUrl`."""
        try:
            parts = urlsplit(text.partition(",")[0])  # the scheme; several hosts are no URL to it
        except ValueError:
            raise InvalidBusUrl("not a URL") from None
        if parts.scheme not in {"mqtt", "mqtts"}:
            raise InvalidBusUrl(f"unknown scheme {parts.scheme!r}")
        tls = parts.scheme == "mqtts"
        login, hosts = _authority(text)
        first, *further = (_server(host, 8883 if tls else 1883) for host in hosts)
        name, _, secret = login.partition(":")
        user, password = unquote(name) or None, unquote(secret) or None
        return cls(
            host=first.host,
            port=first.port,
            tls=tls,
            user=user,
            password=_password_from_file() if user and password is None else password,
            further=tuple(further),
        )

    @property
    def servers(self) -> tuple[Server, ...]:
        return (Server(self.host, self.port), *self.further)

    @property
    def server(self) -> str:
        """Hosts and ports, for messages and logs: never the password."""
        return ",".join(map(str, self.servers))


def _authority(text: str) -> tuple[str, list[str]]:
    """What is before the last @, and the hosts after it."""
    rest = text.partition("://")[2]
    for end in "/?#":
        rest = rest.partition(end)[0]
    login, _, hosts = rest.rpartition("@")
    return login, hosts.split(",")


def _server(text: str, default_port: int) -> Server:
    try:
        parts = urlsplit(f"//{text}")
        host = parts.hostname
    except ValueError:
        raise InvalidBusUrl("not a URL") from None
    try:
        port = parts.port
    except ValueError:
        raise InvalidBusUrl("the port is not a number below 65536") from None
    if not host:
        raise InvalidBusUrl("no host")
    return Server(host, port or default_port)


def _password_from_file() -> str | None:
    named = os.environ.get(PASSWORD_FILE_VARIABLE)
    if not named:
        return None
    try:
        return Path(named).read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise InvalidBusUrl(f"the file {named} of {PASSWORD_FILE_VARIABLE} cannot be read") from None
