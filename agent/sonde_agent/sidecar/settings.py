"""What a sidecar is told, and where it looks when it is not told.

bus      `--bus`, else SONDE_BUS, else the site that `sonde up` left (looked up again while there is none)
listen   `--listen`, else a Unix socket in a new private directory
token    `--token-file`, else a new random one beside the socket
"""

import os
import secrets
import tempfile
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from msgspec import Struct

from sonde_agent.sidecar.errors import InvalidSettings
from sonde_wire import local
from sonde_wire.addresses import to_level
from sonde_wire.mqtt import BusUrl, InvalidBusUrl

BUS_VARIABLE = "SONDE_BUS"


class SidecarSettings(Struct, frozen=True, kw_only=True):
    bus: str | None = None
    listen: str | None = None
    """`unix:/path`, or `tcp:127.0.0.1:0` for any free port of the loopback."""
    token_file: str | None = None
    namespace: str = "default"
    """For processes that do not name theirs."""
    labels: Mapping[str, str] = {}
    """Added to each process's own, which win."""
    follow_pid: int | None = None

    def __post_init__(self) -> None:
        """Raises `InvalidSettings`."""
        if self.namespace != to_level(self.namespace):
            raise InvalidSettings(f"{self.namespace!r} is not a namespace: use lower-case letters and digits")
        if self.follow_pid is not None and self.follow_pid < 1:
            raise InvalidSettings("a process id is a positive number")
        if self.listen is not None:
            read_listen(self.listen)
        if given := self.bus or os.environ.get(BUS_VARIABLE):
            try:
                BusUrl.parse(given)
            except InvalidBusUrl as error:
                raise InvalidSettings(str(error)) from None

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


def private_directory() -> Path:
    """A new directory that only this user can enter."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(
        tempfile.mkdtemp(prefix="sonde-", dir=runtime if runtime and Path(runtime).is_dir() else None)
    )


def read_or_make_token(file: Path) -> str:
    """The token in `file`; when there is no such file, a new one, readable for this user only.
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
    except OSError as error:
        raise InvalidSettings(f"the token file {file} cannot be used: {error.strerror}") from None
    if len(token) < 16:
        raise InvalidSettings(f"the token in {file} is shorter than 16 characters")
    return token
