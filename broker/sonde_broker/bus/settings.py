"""What a bus is told at its start."""

import ipaddress
from urllib.parse import quote

import msgspec

from sonde_broker.bus.accounts import Account
from sonde_broker.bus.errors import InvalidSettings

__all__ = ["BusSettings", "Counters", "Limits"]

KIB = 1024
MIB = 1024 * KIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what clients can make the bus hold. Sizes in bytes, times in seconds.

    The larger of them are met per client by `backlog` (written, not yet taken by the network) plus `queue` (QoS 1
    that waits for acknowledgements), each exceeded by at most one packet.
    """

    clients: int = 10_000
    packet: int = 4 * MIB
    connect: float = 10.0
    """From the opened connection to its CONNECT."""
    subscriptions: int = 1000
    """Filters per client."""
    inflight: int = 100
    """QoS 1 messages sent to one client and not acknowledged; a client may ask for fewer."""
    queue: int = 4 * MIB
    backlog: int = 4 * MIB
    slow: float = 10.0
    """How long a client may stay behind by `backlog` before it is disconnected."""
    retained_messages: int = 50_000
    retained: int = 64 * MIB


class BusSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bus listens and who may use it.

    `host` is an IP address. Without accounts anybody may do anything, which is refused unless the address is a
    loopback one. Port 0 means any free port.
    """

    host: str = "127.0.0.1"
    port: int = 0
    accounts: tuple[Account, ...] = ()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError as error:
            raise InvalidSettings(f"{self.host!r} is not an IP address") from error
        if not address.is_loopback and not self.accounts:
            raise InvalidSettings(
                f"a bus on {self.host} can be reached by others and needs accounts; give some, or listen on 127.0.0.1"
            )
        if not 0 <= self.port <= 65_535:
            raise InvalidSettings(f"there is no port {self.port}")
        users = [account.user for account in self.accounts]
        if len(set(users)) != len(users):
            raise InvalidSettings("two accounts have the same user name")

    def url(self, port: int, user: str | None = None) -> str:
        """The address for a client, with the credentials of `user` (the first account if None)."""
        return f"mqtt://{self._login(user)}{self._netloc()}:{port}"

    def login(self, user: str | None) -> tuple[str | None, str | None]:
        """User name and password of an account, None and None where there are none."""
        if not self.accounts and user is None:
            return None, None
        for account in self.accounts:
            if user in (None, account.user):
                return account.user, account.password
        raise InvalidSettings(f"the bus has no account {user!r}")

    def _login(self, user: str | None) -> str:
        name, password = self.login(user)
        return "" if name is None else f"{name}:{quote(password or '', safe='')}@"

    @property
    def reachable_host(self) -> str:
        """Where a client on this machine finds the bus: the address, unless that is the unspecified one."""
        address = ipaddress.ip_address(self.host)
        if address.is_unspecified:
            return "127.0.0.1" if address.version == 4 else "::1"
        return self.host

    def _netloc(self) -> str:
        host = self.reachable_host
        return f"[{host}]" if ":" in host else host


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """The bus in figures: `clients`, `retained` and `retained_bytes` now, the others since its start."""

    clients: int = 0
    received: int = 0
    """Messages published by clients."""
    sent: int = 0
    """Messages delivered, one for each receiver."""
    dropped: int = 0
    """Messages that a receiver did not get: it was behind, they were too large for it, or they expired."""
    denied: int = 0
    """Logins, publications and subscriptions that were refused."""
    retained: int = 0
    retained_bytes: int = 0
