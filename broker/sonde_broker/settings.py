"""What the broker is told at its start, checked. Raises `InvalidSettings` for what cannot be or is not safe."""

import hashlib
import hmac
import ipaddress
import os
import secrets
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from sonde_broker import keys
from sonde_broker.admission import host_name
from sonde_broker.errors import InvalidSettings
from sonde_broker.history_settings import HistorySettings
from sonde_broker.keys import KeySet
from sonde_wire import local
from sonde_wire.mqtt_url import BusUrl, InvalidBusUrl

DEFAULT_ISSUER = "sonde"
DEFAULT_AUDIENCE = "sonde"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
TOKEN_LIFE = 3600.0
SITE_TOKEN_LIFE = 12 * 3600.0

Compress = Literal["remote", "always", "never"]
"""Which viewers get their messages compressed: those on other machines, all, none."""


class HostPort(Struct, frozen=True):
    host: str
    """An IP address or `localhost`."""
    port: int

    @classmethod
    def parse(cls, text: str, option: str) -> "HostPort":
        """127.0.0.1:8080, [::1]:8080, or a port alone, which is one of 127.0.0.1."""
        try:
            parts = urlsplit(f"//{text}" if ":" in text else f"//127.0.0.1:{text}")
            host, port = parts.hostname, parts.port
            if not host or port is None or parts.path or parts.username:
                raise ValueError
            if host != "localhost":
                ipaddress.ip_address(host)
        except ValueError:
            raise InvalidSettings(
                f"{option} {text}: give an IP address and a port, such as 127.0.0.1:8080"
            ) from None
        return cls(host, port)

    @property
    def loopback(self) -> bool:
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class OwnBus(Struct, frozen=True):
    """A bus that the broker starts and ends."""

    engine: Literal["embedded", "mosquitto"]
    listen: HostPort
    agent_password: str


class TheirBus(Struct, frozen=True):
    """A server that is there already."""

    url: BusUrl
    text: str
    """As it was given, for agents on this machine."""


class KeyChoice(Struct, frozen=True):
    """At most one is given."""

    secret: Path | None = None
    public_key: Path | None = None
    jwks: Path | None = None

    @property
    def count(self) -> int:
        return sum(each is not None for each in (self.secret, self.public_key, self.jwks))

    def read(self) -> KeySet:
        if self.secret is not None:
            return keys.from_secret(keys.read_secret(self.secret))
        if self.public_key is not None:
            return keys.from_public_key(self.public_key)
        if self.jwks is not None:
            return keys.from_jwks(self.jwks)
        raise InvalidSettings(
            "no key: give --secret-file, --public-key or --jwks (or --site for development)"
        )


class Settings(Struct, frozen=True, kw_only=True):
    listen: HostPort
    any_port: bool = False
    """Whether a free port will do where that of `listen` is taken: nobody asked for this one."""
    bus: OwnBus | TheirBus
    keys: KeySet
    key_files: KeyChoice = KeyChoice()
    """Where the keys are from, to be read again when they change; none: they stay as they are."""
    issuer: str = DEFAULT_ISSUER
    audience: str = DEFAULT_AUDIENCE
    longest_life: float = TOKEN_LIFE
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    page: Path | None = None
    most_viewers: int = 1000
    site_secret: Path | None = None
    """Set in development mode: the broker makes the token of the user that started it, and the site file."""
    probe_file: Path | None = None
    """Where the probes are kept over a restart, beside the bus."""
    history: HistorySettings | None = None
    """None: events are relayed and not remembered."""
    compress: Compress = "remote"
    metrics_listen: HostPort | None = None
    """A second port for /metrics, /healthz and /readyz, where no token is asked for."""
    announce: int | None = None


def choose_key(choice: KeyChoice, listen: HostPort, *, site: bool) -> KeyChoice:
    """The key to use; in development mode one is made. Refuses to be reached by others without an explicit key."""
    if choice.count > 1:
        raise InvalidSettings("give only one of --secret-file, --public-key and --jwks")
    if not listen.loopback and (choice.count == 0 or site):
        raise InvalidSettings(
            f"--listen {listen} can be reached by others: that needs an explicit key (--public-key FILE or "
            "--jwks FILE of your identity provider, or --secret-file FILE) and not --site; or listen on 127.0.0.1"
        )
    if not site:
        return choice
    if choice.public_key is not None or choice.jwks is not None:
        raise InvalidSettings("--site issues a token itself and takes --secret-file only")
    secret = choice.secret or site_secret()
    if choice.secret is None:
        make_secret(secret)
    return KeyChoice(secret=secret)


def site_secret() -> Path:
    """Where the broker of `sonde up` keeps its key."""
    return local.path().parent / "secret"


def site_probes() -> Path:
    """Where it keeps the probes, which its own bus forgets when it ends."""
    return local.path().parent / "probes.json"


def make_secret(path: Path) -> None:
    """A file that only the user can read; one that exists is kept, unless others can read it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        status = path.stat()
        if status.st_mode & 0o077 or status.st_uid != os.geteuid():
            raise InvalidSettings(f"{path} can be read by others; remove it, and a new one is made") from None
        return
    except OSError as error:
        raise InvalidSettings(f"cannot make the secret {path}: {error.strerror}") from None
    with os.fdopen(handle, "w") as file:
        file.write(f"{secrets.token_urlsafe(48)}\n")


def read_bus(
    text: str, listen: HostPort, choice: KeyChoice, password_file: Path | None, where: str = "--bus"
) -> OwnBus | TheirBus:
    """`embedded`, `mosquitto` or the URL of a server that is there already."""
    if text not in {"embedded", "mosquitto"}:
        try:
            return TheirBus(BusUrl.parse(text), text)
        except InvalidBusUrl as error:
            raise InvalidSettings(f"{where}: {error}; or embedded, or mosquitto") from None
    if listen.host == "localhost":
        listen = HostPort("127.0.0.1", listen.port)
    if not listen.loopback and password_file is None and choice.secret is None:
        raise InvalidSettings(
            f"--bus-listen {listen} can be reached by others: agents there need a password that lasts; "
            "give --bus-password-file FILE"
        )
    return OwnBus(
        "embedded" if text == "embedded" else "mosquitto", listen, _agent_password(choice, password_file)
    )


def _agent_password(choice: KeyChoice, password_file: Path | None) -> str:
    """The same after each start wherever something lasting is there to make it from, so that agents come back."""
    if password_file is not None:
        try:
            password = password_file.read_text().strip()
        except (OSError, UnicodeDecodeError):
            raise InvalidSettings(f"cannot read --bus-password-file {password_file}") from None
        if len(password) < 16:
            raise InvalidSettings(f"the password in {password_file} is shorter than 16 characters")
        return password
    if choice.secret is not None:
        return hmac.new(keys.read_secret(choice.secret), b"sonde bus agent", hashlib.sha256).hexdigest()
    return secrets.token_hex(32)


def check_origins(origins: list[str], where: str = "--allow-origin") -> tuple[str, ...]:
    for origin in origins:
        scheme, separator, rest = origin.partition("://")
        if scheme not in {"http", "https"} or not separator or not host_name(rest):
            raise InvalidSettings(f"{where} {origin}: give an exact origin, such as https://sonde.example")
    return tuple(origin.lower() for origin in origins)


def check_hosts(hosts: list[str], where: str = "--allow-host") -> tuple[str, ...]:
    for host in hosts:
        if not host or host_name(f"[{host}]" if host.count(":") > 1 else host) != host.lower():
            raise InvalidSettings(f"{where} {host}: give a host name without scheme and port")
    return tuple(host.lower() for host in hosts)
