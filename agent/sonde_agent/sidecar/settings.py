"""What a sidecar is told. `sonde_agent.configuration` has the table, and where each is looked for.

bus      --bus, SONDE_BUS, the file, else the site that `sonde up` left (looked up again while there is none)
listen   else a Unix socket in a new private directory
token    else a new random one beside the socket
"""

import os
import secrets
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from msgspec import Struct

from sonde_agent import configuration
from sonde_agent.redaction import MODES, Redaction
from sonde_agent.sidecar.errors import InvalidSettings
from sonde_wire import local, logs
from sonde_wire.addresses import to_level
from sonde_wire.mqtt import BusUrl, InvalidBusUrl

BUS_VARIABLE = "SONDE_BUS"


class SidecarSettings(Struct, frozen=True, kw_only=True):
    bus: str | None = None
    listen: str | None = None
    """`unix:/path`, or `tcp:127.0.0.1:0` for any free port of the loopback."""
    token_file: str | None = None
    socket_mode: int = 0o600
    """Of the socket; a token that is made has the same without the right to write."""
    namespace: str = "default"
    """For processes that do not name theirs."""
    labels: Mapping[str, str] = {}
    """Added to each process's own, which win."""
    max_processes: int = 256
    follow_pid: int | None = None
    directory: str | None = None
    """A private one, made by who starts us, to use instead of one of our own; it is removed at the end."""
    lease: float = 60.0
    """Seconds that a stop may last without a renewal, 5 to 3600."""
    longest_stop: float = 900.0
    """Seconds that a stop may last without any action by a person, however often it is renewed; 5 to 86400."""
    evaluation_limit: float = 20.0
    """Seconds that one evaluation may take, 1 to 300."""
    redaction: str = "standard"
    """A mode of `sonde_agent.redaction`; a process can ask for more, and not for less."""
    redact_names: tuple[str, ...] = ()
    show_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises `InvalidSettings`."""
        if self.namespace != to_level(self.namespace):
            raise InvalidSettings(f"{self.namespace!r} is not a namespace: use lower-case letters and digits")
        if self.follow_pid is not None and self.follow_pid < 1:
            raise InvalidSettings("a process id is a positive number")
        for name in ("lease", "longest_stop", "evaluation_limit", "max_processes"):
            try:
                configuration.BY_NAME[name].read(f"{getattr(self, name):.16g}", name)
            except configuration.InvalidConfiguration as error:
                raise InvalidSettings(str(error)) from None
        if self.redaction not in MODES:
            raise InvalidSettings(f"{self.redaction!r} is no mode of redaction: use strict, standard or off")
        if self.listen is not None:
            read_listen(self.listen)
        if given := self.bus or os.environ.get(BUS_VARIABLE):
            check_bus(given)

    def to_redaction(self) -> Redaction:
        return Redaction(self.redaction, self.redact_names, self.show_names)

    def bus_url(self) -> BusUrl | None:
        """The bus as it is known now; None while there is none."""
        text = self.bus or os.environ.get(BUS_VARIABLE)
        if not text:
            site = local.read()
            text = site.bus if site else None
        try:
            return BusUrl.parse(text) if text else None
        except InvalidBusUrl:
            return None


def check_bus(text: str) -> None:
    """Raises `InvalidSettings`, without the password that the text may have."""
    try:
        BusUrl.parse(text)
    except InvalidBusUrl as error:
        raise InvalidSettings(str(error)) from None


def from_choice(
    chosen: Mapping[str, Any], follow_pid: int | None = None, directory: str | None = None
) -> SidecarSettings:
    """Of what `configuration.choose` found, for `sonde sidecar` or `sonde run`."""
    ours = {name: value for name, value in chosen.items() if name in SidecarSettings.__struct_fields__}
    given = {name: value for name, value in ours.items() if value is not None}
    if (
        directory is not None
    ):  # whoever made it knows where we are to be, and a file may be there for another sidecar
        given.pop("listen", None)
        given.pop("token_file", None)
    return SidecarSettings(**given, follow_pid=follow_pid, directory=directory)


def log_settings(chosen: Mapping[str, Any], *, quiet: bool = False) -> logs.LogSettings:
    """Likewise. `quiet` where the console is also a program's."""
    file = chosen["log_file"]
    level: Any = chosen["log_level"] or ("warning" if quiet and not file else "info")
    return logs.LogSettings(level=level, file=file, format=chosen["log_format"], quiet=quiet)


def read_listen(text: str) -> tuple[str, int] | str:
    """Host and port, or the path of a Unix socket. Only the loopback is offered: the line is not encrypted.
    Raises `InvalidSettings`."""
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest.startswith("/"):
        return rest
    host, _, port = rest.rpartition(":")
    host = host.strip("[]")
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if kind != "tcp" or not loopback or not port.isdigit() or int(port) > 65535:
        raise InvalidSettings(f"cannot listen on {text!r}: use unix:/path/to/socket or tcp:127.0.0.1:0")
    return host, int(port)


CHECKS: Mapping[str, Callable[[str], object]] = {"bus": check_bus, "listen": read_listen}
"""For `configuration.choose`: what only a sidecar can tell of a value."""


def read_or_make_token(file: Path, mode: int = 0o600) -> str:
    """The token in `file`; when there is no such file, a new one, readable for whom `mode` says.
    Raises `InvalidSettings`."""
    try:
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            token = file.read_text().strip()
        else:
            token = secrets.token_urlsafe(32)
            with os.fdopen(handle, "w") as opened:
                opened.write(token)
                os.fchmod(handle, 0o600 | mode & 0o444)
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidSettings(f"the token file {file} cannot be used: {problem}") from None
    if len(token) < 16:
        raise InvalidSettings(f"the token in {file} is shorter than 16 characters")
    return token
