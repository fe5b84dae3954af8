"""What `sonde up` leaves for the other programs of the same user on the same machine, so that `sonde ps` and
`sonde run` find it without any option: one small JSON file, mode 0600, in the user's runtime directory.

SONDE_SITE names another file. Programs that are told a URL, a bus or a token by option or environment do not
look here.
"""

import contextlib
import os
import tempfile
from pathlib import Path

from msgspec import Struct

from sonde_wire import codec
from sonde_wire.errors import MalformedMessage

VARIABLE = "SONDE_SITE"


class Site(Struct, frozen=True, kw_only=True):
    """Where a broker and its bus are, and a token for the user that started them."""

    url: str
    """Of the broker: http://127.0.0.1:8080."""
    bus: str
    """For agents, with their password: mqtt://agent:...@127.0.0.1:1883."""
    token: str
    pid: int
    """Of the broker; when it is gone the file is stale."""


def path() -> Path:
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "sonde" / "site.json"
    return Path.home() / ".local" / "state" / "sonde" / "site.json"


def read() -> Site | None:
    """The site of this user, or None when there is none or its broker is gone."""
    try:
        site = codec.decode(path().read_bytes(), Site)
        os.kill(site.pid, 0)
    except (OSError, MalformedMessage):
        return None
    return site


def write(site: Site) -> None:
    """Replaces the file in one step, so that nobody reads half of it. Raises `OSError`."""
    target = path()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent)  # made with mode 0600
    with os.fdopen(handle, "wb") as file:
        file.write(codec.encode(site))
    Path(temporary).replace(target)


def remove(pid: int) -> None:
    """Takes the file away if it is still that broker's."""
    with contextlib.suppress(OSError, MalformedMessage):
        if codec.decode(path().read_bytes(), Site).pid == pid:
            path().unlink()
