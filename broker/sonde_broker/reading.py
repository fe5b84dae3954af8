"""From what was given at the start (`options`) to the broker's settings. Raises `InvalidSettings`, whose text names the option
or the variable that said it.

`read` makes all of it and stops at the first problem. Each part has a function of its own too, so that `--check` can name
every problem.
"""

import re

from sonde_broker.errors import InvalidSettings
from sonde_broker.history_settings import HistorySettings, read_days, read_history, read_size
from sonde_broker.options import Given
from sonde_broker.settings import (
    DEFAULT_AUDIENCE,
    DEFAULT_ISSUER,
    SITE_TOKEN_LIFE,
    TOKEN_LIFE,
    HostPort,
    KeyChoice,
    OwnBus,
    Settings,
    TheirBus,
    check_hosts,
    check_origins,
    choose_key,
    read_bus,
    site_probes,
)
from sonde_wire.logs import LogSettings

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def read(given: Given) -> Settings:
    """In development mode it makes the secret. Raises `InvalidSettings` for the first thing that is wrong."""
    site = given.flag("site")
    listen = read_listen(given)
    choice = choose_key(read_choice(given), listen, site=site)
    return Settings(
        listen=listen,
        any_port=site and not given.all("listen"),
        bus=read_wanted_bus(given, choice),
        keys=choice.read(),
        key_files=choice,
        issuer=given.text("issuer") or DEFAULT_ISSUER,
        audience=given.text("audience") or DEFAULT_AUDIENCE,
        longest_life=read_longest_life(given),
        origins=check_origins(list(given.all("allow-origin")), given.where("allow-origin")),
        hosts=check_hosts(list(given.all("allow-host")), given.where("allow-host")),
        page=given.path("page"),
        site_secret=choice.secret if site else None,
        probe_file=site_probes() if site else None,
        history=read_history_settings(given),
        most_viewers=read_most_viewers(given),
        compress=given.choice("compress", "remote", "always", "never"),
        metrics_listen=read_metrics_listen(given),
        announce=read_announce(given),
    )


def read_listen(given: Given) -> HostPort:
    return HostPort.parse(given.text("listen") or "", given.where("listen"))


def read_metrics_listen(given: Given) -> HostPort | None:
    text = given.text("metrics-listen")
    return HostPort.parse(text, given.where("metrics-listen")) if text else None


def read_choice(given: Given) -> KeyChoice:
    return KeyChoice(given.path("secret-file"), given.path("public-key"), given.path("jwks"))


def read_wanted_bus(given: Given, choice: KeyChoice) -> OwnBus | TheirBus:
    listen = HostPort.parse(given.text("bus-listen") or "", given.where("bus-listen"))
    password_file = given.path("bus-password-file")
    return read_bus(given.text("bus") or "", listen, choice, password_file, given.where("bus"))


def read_longest_life(given: Given) -> float:
    text = given.text("max-token-lifetime")
    if text is None:
        return SITE_TOKEN_LIFE if given.flag("site") else TOKEN_LIFE
    return read_duration(text, given.where("max-token-lifetime"))


def read_duration(text: str, where: str) -> float:
    """Seconds."""
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if not match or not int(match[1]):
        raise InvalidSettings(f"{where} {text}: give a duration, such as 900, 15m or 12h")
    return float(int(match[1]) * _UNITS[match[2]])


def read_history_settings(given: Given) -> HistorySettings | None:
    return read_history(
        given.text("history"),
        given.where("history"),
        site=given.flag("site"),
        days=read_days(given.text("history-days") or "", given.where("history-days")),
        most_bytes=read_size(given.text("history-size") or "", given.where("history-size")),
    )


def read_most_viewers(given: Given) -> int:
    text = given.text("most-viewers") or ""
    if not re.fullmatch(r"[1-9]\d{0,5}", text):
        raise InvalidSettings(f"{given.where('most-viewers')} {text}: give a number, such as 1000")
    return int(text)


def read_announce(given: Given) -> int | None:
    text = given.text("announce-fd")
    if text is not None and not text.isdecimal():
        raise InvalidSettings(f"--announce-fd {text}: give the number of a descriptor")
    return int(text) if text is not None else None


def read_logs(given: Given) -> LogSettings:
    verbose = given.flag("verbose") and not given.all("log-level")
    return LogSettings(
        level="debug" if verbose else given.choice("log-level", "debug", "info", "warning", "error"),
        file=given.text("log-file"),
        format=given.choice("log-format", "text", "json"),
    )
