"""Where the broker is, and with what token: options first, then the environment, then the site of this user."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from sonde_viewer.errors import InvalidTarget
from sonde_wire import rpc
from sonde_wire.local import Site

URL_VARIABLE = "SONDE_URL"
TOKEN_VARIABLE = "SONDE_TOKEN"  # noqa: S105 - the name of a variable
_SCHEMES = {"http": "ws", "ws": "ws", "https": "wss", "wss": "wss"}


class Target(Struct, frozen=True):
    """`base` is the broker's address without a scheme: host, port and path."""

    secure: bool
    host: str
    base: str
    token: str

    @property
    def websocket(self) -> str:
        return f"{'wss' if self.secure else 'ws'}://{self.base}{rpc.WEBSOCKET_PATH}"

    @property
    def page(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.base}/"

    @property
    def link(self) -> str:
        """The page with the token in its fragment, which a browser never sends to a server."""
        return f"{self.page}#token={self.token}"

    @property
    def local(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def find(url: str | None, token: str | None, *, environment: Mapping[str, str], site: Site | None) -> Target:
    """The first of `find_all`."""
    return find_all(url, token, environment=environment, site=site)[0]


def find_all(
    url: str | None, token: str | None, *, environment: Mapping[str, str], site: Site | None
) -> tuple[Target, ...]:
    """At least one: a URL may be several, with commas between, of brokers that see the same fleet. Raises
    `InvalidTarget`. The site's token is used for the site's own address only: it is never sent to another broker."""
    url = url or environment.get(URL_VARIABLE)
    token = token or environment.get(TOKEN_VARIABLE)
    if url is None:
        if site is None:
            raise InvalidTarget("no broker is running here and none is named")
        return (_parse(site.url, token or site.token),)
    return tuple(_named(each.strip(), token, site) for each in url.split(","))


def _named(url: str, token: str | None, site: Site | None) -> Target:
    if token is None and site is not None and _place(url) == _place(site.url):
        token = site.token
    if token is None:
        raise InvalidTarget(f"there is no token for {url}: give --token or set {TOKEN_VARIABLE}")
    return _parse(url, token)


def of_site(site: Site) -> Target:
    return _parse(site.url, site.token)


def _place(url: str) -> tuple[bool, str, int]:
    secure, host, port, _ = _split(url)
    return secure, host, port or (443 if secure else 80)


def _parse(url: str, token: str) -> Target:
    secure, host, port, path = _split(url)
    place = f"[{host}]" if ":" in host else host
    if port is not None:
        place += f":{port}"
    return Target(secure=secure, host=host, base=place + path, token=token)


def _split(url: str) -> tuple[bool, str, int | None, str]:
    parts = urlsplit(url)
    scheme = _SCHEMES.get(parts.scheme)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if scheme is None or not parts.hostname or port == 0:
        raise InvalidTarget(f"{url!r} is not a broker's address such as http://127.0.0.1:8080")
    secure = scheme == "wss"
    path = parts.path.rstrip("/").removesuffix(rpc.WEBSOCKET_PATH)
    return secure, parts.hostname, port, path
