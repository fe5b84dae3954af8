"""Who may connect to the bus, and what each may publish and subscribe."""

import hmac
import re
from collections.abc import Iterable

import msgspec

from sonde_broker.bus.errors import InvalidSettings, InvalidTopic
from sonde_broker.bus.topics import check_filter, covers

__all__ = ["Account", "Credentials", "Grants"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_REMEMBERED_TOPICS = 1024


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the bus.

    `publish` and `subscribe` are topic filters; what none of them covers is denied. In them `%u` stands for the
    user name and `%c` for the client id.
    """

    user: str
    password: str
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.user):
            raise InvalidSettings(
                f"{self.user[:70]!r} is no user name: letters, digits, dot, dash, underscore"
            )
        if not self.password:
            raise InvalidSettings(f"the account {self.user} has no password")
        for pattern in (*self.publish, *self.subscribe):
            try:
                check_filter(pattern)
            except InvalidTopic as error:
                raise InvalidSettings(f"the account {self.user}: {error}") from error
            if not pattern.isprintable():
                raise InvalidSettings(f"the account {self.user}: {pattern!r} holds a control character")

    def __repr__(self) -> str:
        return f"Account(user={self.user!r}, publish={self.publish!r}, subscribe={self.subscribe!r})"


class Grants:
    """What one connection may do, its placeholders filled in."""

    def __init__(self, publish: Iterable[str], subscribe: Iterable[str]) -> None:
        self._publish = tuple(publish)
        self._subscribe = tuple(subscribe)
        self._known: dict[str, bool] = {}

    def may_publish(self, topic: str) -> bool:
        """Nobody publishes to $-topics, which are the server's own (§4.7.2)."""
        allowed = self._known.get(topic)
        if allowed is None:
            allowed = not topic.startswith("$") and any(covers(pattern, topic) for pattern in self._publish)
            if len(self._known) >= _REMEMBERED_TOPICS:
                self._known.clear()
            self._known[topic] = allowed
        return allowed

    def may_subscribe(self, wanted: str) -> bool:
        """Only filters of which every possible topic is allowed, so that delivery needs no second look."""
        return any(covers(pattern, wanted) for pattern in self._subscribe)


class Credentials:
    """The table of accounts. Without accounts everybody may do everything."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._accounts = {account.user: account for account in accounts}

    @property
    def required(self) -> bool:
        return bool(self._accounts)

    def authenticate(self, user: str | None, password: bytes | None, client_id: str) -> Grants | None:
        """What the holder of this user name and password may do, or None. Takes equal time for all users."""
        if not self._accounts:
            return Grants(("#",), ("#",))
        account = self._accounts.get(user or "")
        expected = account.password.encode() if account is not None else b""
        matched = hmac.compare_digest(expected, password or b"")
        if account is None or not matched:
            return None
        return Grants(
            _filled(account.publish, account.user, client_id),
            _filled(account.subscribe, account.user, client_id),
        )


def _filled(patterns: Iterable[str], user: str, client_id: str) -> list[str]:
    """A client chooses its own id, so one that would act as a wildcard or as several levels grants nothing."""
    plain = client_id and not any(sign in client_id for sign in "+#/$")
    return [
        pattern.replace("%u", user).replace("%c", client_id)
        for pattern in patterns
        if plain or "%c" not in pattern
    ]
