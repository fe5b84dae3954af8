"""Where the history is kept and how much of it: `--history` and its like, read. Raises `InvalidSettings`.

A password never stands in the URL that a command line or an environment shows: it is read from a file, and put in where
the store asks for the whole URL.
"""

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from sonde_broker.errors import InvalidSettings
from sonde_wire import local

PASSWORD_FILE_VARIABLE = "SONDE_HISTORY_PASSWORD_FILE"  # noqa: S105 - the name of a variable
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
LEAST_BYTES = 16 * 2**20
_MOST_DAYS = 3650.0


class HistorySettings(Struct, frozen=True, kw_only=True):
    path: Path | None = None
    """Of a SQLite file, absolute; or else `server`, which several brokers may share."""
    server: str = ""
    """postgresql://user@host:port/database, as it was given, without its password."""
    password: str | None = None
    days: float = 7.0
    most_bytes: int = 2**30

    def __repr__(self) -> str:
        return f"HistorySettings({self.shown}, {self.days:g} days, {self.most_bytes} bytes)"

    @property
    def shown(self) -> str:
        """For people and logs: never the password."""
        return str(self.path) if self.path is not None else self.server

    @property
    def url(self) -> str:
        """For SQLAlchemy, with the password: not to be shown."""
        if self.path is not None:
            return f"sqlite:///{self.path}"
        parts = urlsplit(self.server)
        user, at, host = parts.netloc.rpartition("@")
        password = f":{quote(self.password, safe='')}" if self.password is not None else ""
        return parts._replace(scheme="postgresql+psycopg", netloc=f"{user}{password}{at}{host}").geturl()


def site_history() -> Path:
    """Where the broker of `sonde up` remembers events."""
    return local.path().parent / "history.db"


def read_history(
    text: str | None, where: str, *, site: bool, days: float = 7.0, most_bytes: int = 2**30
) -> HistorySettings | None:
    """None: nothing is remembered. `where` is the option or variable that said it."""
    if text is None:
        return HistorySettings(path=site_history(), days=days, most_bytes=most_bytes) if site else None
    if text.lower() == "none":
        return None
    scheme, separator, rest = text.partition("://")
    if not separator:
        return HistorySettings(path=Path(text).absolute(), days=days, most_bytes=most_bytes)
    if scheme == "sqlite":
        if not rest.startswith("/") or len(rest) < 2:
            raise InvalidSettings(f"{where} {text}: give sqlite:///PATH, or the path of a file alone")
        return HistorySettings(path=Path(rest[1:]).absolute(), days=days, most_bytes=most_bytes)
    server, password = _server(text, where)
    return HistorySettings(server=server, password=password, days=days, most_bytes=most_bytes)


def read_days(text: str, where: str) -> float:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,4})?", text) or not 0 < float(text) <= _MOST_DAYS:
        raise InvalidSettings(f"{where} {text}: give days, up to {_MOST_DAYS:g}, such as 7 or 0.5")
    return float(text)


def read_size(text: str, where: str) -> int:
    """Bytes: 500MiB, 2GB, 1073741824."""
    match = re.fullmatch(r"(\d{1,15})\s*([kmgt]i?)?b?", text.lower())
    if not match:
        raise InvalidSettings(f"{where} {text}: give a size, such as 500MiB or 2GB")
    unit = match[2] or ""
    size = int(match[1]) * (_BINARY[unit] if unit in _BINARY else _UNITS[unit])
    if size < LEAST_BYTES:
        raise InvalidSettings(f"{where} {text}: a history needs at least {LEAST_BYTES // 2**20}MiB")
    return size


def _server(text: str, where: str) -> tuple[str, str | None]:
    """The URL without its password, and the password. A wrong one is not repeated: it may carry a password."""
    try:
        parts = urlsplit(text)
        _ = parts.port
        if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname or not parts.path.strip("/"):
            raise ValueError
    except ValueError:
        raise InvalidSettings(
            f"{where}: give none, the path of a file, sqlite:///PATH or postgresql://user@host/database"
        ) from None
    user, at, host = parts.netloc.rpartition("@")
    name, colon, password = user.partition(":")
    shown = parts._replace(scheme="postgresql", netloc=f"{name}{at}{host}").geturl()
    return shown, unquote(password) if colon else _password_from_file()


def _password_from_file() -> str | None:
    named = os.environ.get(PASSWORD_FILE_VARIABLE)
    if not named:
        return None
    try:
        return Path(named).read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise InvalidSettings(f"the file {named} of {PASSWORD_FILE_VARIABLE} cannot be read") from None
