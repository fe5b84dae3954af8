"""Tells whoever waits for it that the broker is ready, and where: the parent that gave a descriptor, and in
development mode every program of this user, by the site file (`sonde_wire.local`)."""

import contextlib
import getpass
import os
import time
from collections.abc import Iterator

from msgspec import Struct

from sonde_broker.errors import InvalidSettings
from sonde_broker.issue import SigningKey, issue
from sonde_broker.settings import SITE_TOKEN_LIFE, Settings
from sonde_wire import Scope, Selector, codec, local


class Announcement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The one line on --announce-fd: `error`, or the others."""

    url: str = ""
    bus: str = ""
    """For agents, with their password."""
    token: str = ""
    """Only in development mode."""
    error: str = ""


@contextlib.contextmanager
def told(settings: Settings, url: str, bus: str) -> Iterator[None]:
    """While the block lasts the site file is there. Raises `InvalidSettings` when it cannot be written."""
    if settings.site_secret is None:
        announce(settings.announce, Announcement(url=url, bus=bus))
        yield
        return
    token = issue(
        SigningKey.from_secret_file(settings.site_secret),
        subject=_user(),
        scopes=Scope,
        processes=[Selector()],
        issuer=settings.issuer,
        audience=settings.audience,
        life=min(SITE_TOKEN_LIFE, settings.longest_life),
        now=time.time(),
    )
    try:
        local.write(local.Site(url=url, bus=bus, token=token, pid=os.getpid()))
    except OSError as error:
        raise InvalidSettings(f"cannot write the site file {local.path()}: {error.strerror}") from None
    try:
        announce(settings.announce, Announcement(url=url, bus=bus, token=token))
        yield
    finally:
        local.remove(os.getpid())


def announce(descriptor: int | None, announcement: Announcement) -> None:
    """Writes the line and closes the descriptor. A parent that is gone is no reason to fail."""
    if descriptor is None:
        return
    with contextlib.suppress(OSError), os.fdopen(descriptor, "wb") as file:
        file.write(codec.encode(announcement) + b"\n")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in many containers
        return f"uid-{os.getuid()}"
