"""`sonde broker --check`: whether the broker would start as it is told to, and what it would use, without starting it.

All settings are read, not only up to the first that is wrong; keys, page and permissions of files are looked at; the ports
are tried; the bus is connected to with the broker's own credentials and a message is sent there and back; the history is
opened. Nothing is made or changed, and no password, secret or token is ever printed.

Exit codes: 0 it would start, 1 something cannot be reached, 2 a setting is wrong.
"""

import asyncio
import os
import socket
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from sonde_broker import pages, reading
from sonde_broker.bus import EngineMissing
from sonde_broker.bus.mosquitto import find_program
from sonde_broker.check_bus import there_and_back
from sonde_broker.errors import InvalidSettings
from sonde_broker.history_settings import PASSWORD_FILE_VARIABLE, HistorySettings
from sonde_broker.keys import KeySet
from sonde_broker.options import BY_NAME, OPTIONS, Given, unknown_variables
from sonde_broker.settings import (
    HostPort,
    KeyChoice,
    OwnBus,
    TheirBus,
    check_hosts,
    check_origins,
    choose_key,
    site_secret,
)
from sonde_broker.store import check as check_store
from sonde_wire import codec, mqtt
from sonde_wire.mqtt import BusLost

State = Literal["ok", "warning", "unreachable", "wrong"]
T = TypeVar("T")

_PATIENCE = 8.0
_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Finding(Struct, frozen=True, kw_only=True):
    part: str
    state: State
    text: str


class Used(Struct, frozen=True, kw_only=True):
    """What an option comes to. `source` is the option or variable that said it, or `default`."""

    option: str
    value: str
    source: str


class Report(Struct, frozen=True, kw_only=True):
    settings: tuple[Used, ...]
    findings: tuple[Finding, ...]

    @property
    def code(self) -> int:
        states = {finding.state for finding in self.findings}
        return 2 if "wrong" in states else 1 if "unreachable" in states else 0


def run(given: Given, environment: Mapping[str, str], *, as_json: bool) -> int:
    report = asyncio.run(look(given, environment))
    if as_json:
        ok = report.code == 0
        told = {"ok": ok, "settings": report.settings, "findings": report.findings}
        sys.stdout.write(codec.encode(told).decode() + "\n")
    else:
        sys.stdout.write(text(report))
    return report.code


def text(report: Report) -> str:
    rows = [
        ("OPTION", "VALUE", "FROM"),
        *((each.option, each.value, each.source) for each in report.settings),
    ]
    lines = _aligned(rows)
    rows = [("PART", "STATE", "WHAT"), *((each.part, each.state, each.text) for each in report.findings)]
    return "\n".join([*lines, "", *_aligned(rows), ""])


async def look(given: Given, environment: Mapping[str, str]) -> Report:
    looking = _Looking(given)
    await looking.at_everything(environment)
    return Report(settings=tuple(looking.used()), findings=tuple(looking.findings))


class _Looking:
    def __init__(self, given: Given) -> None:
        self.findings: list[Finding] = []
        self._given = given
        self._shown: dict[str, str] = {}
        """Of options that may carry a password: what can be said of them."""

    def used(self) -> list[Used]:
        return [self._used(option.name) for option in OPTIONS if not option.only_here]

    async def at_everything(self, environment: Mapping[str, str]) -> None:
        for sentence in unknown_variables(environment):
            self._find("environment", "warning", sentence)
        given = self._given
        self._try("logs", lambda: reading.read_logs(given))
        self._try("tokens", lambda: reading.read_longest_life(given))
        self._try("most-viewers", lambda: reading.read_most_viewers(given))
        self._try("compress", lambda: given.choice("compress", "remote", "always", "never"))
        self._try("door", lambda: check_origins(list(given.all("allow-origin")), given.where("allow-origin")))
        self._try("door", lambda: check_hosts(list(given.all("allow-host")), given.where("allow-host")))
        self._page()
        listen = self._try("listen", lambda: reading.read_listen(given))
        if listen is not None:
            self._port("listen", listen, needed=not given.flag("site") or bool(given.all("listen")))
        monitors = self._try("metrics-listen", lambda: reading.read_metrics_listen(given))
        if monitors is not None:
            self._port("metrics-listen", monitors, needed=True)
        choice = self._keys(listen)
        await self._bus(choice)
        await self._history()

    def _find(self, part: str, state: State, text: str) -> None:
        self.findings.append(Finding(part=part, state=state, text=text))

    def _try(self, part: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except InvalidSettings as error:
            self._find(part, "wrong", str(error))
            return None

    def _page(self) -> None:
        assets = self._try("page", lambda: pages.load(self._given.path("page")))
        if assets is not None and len(assets) == 1:
            self._find("page", "warning", "no built page is installed; the command line works without it")
        elif assets is not None:
            self._find("page", "ok", f"{len(assets)} files")

    def _port(self, part: str, where: HostPort, *, needed: bool) -> None:
        family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
        try:
            socket.create_server((where.host, where.port), family=family).close()
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            if needed:
                self._find(part, "unreachable", f"cannot listen on {where}: {why}")
            else:
                self._find(part, "ok", f"{where} is taken; a free port would be used instead")
            return
        reached = "" if where.loopback else "; it can be reached by other machines: put TLS in front of it"
        self._find(part, "ok", f"{where} is free{reached}")

    # Keys

    def _keys(self, listen: HostPort | None) -> KeyChoice:
        choice = reading.read_choice(self._given)
        site = self._try("keys", lambda: self._given.flag("site")) or False
        if site and choice.count == 0:
            return self._site_keys()
        if listen is not None:
            self._try("keys", lambda: choose_key(choice, listen, site=site and choice.count > 0))
        if choice.count > 1:
            return choice
        keys = self._try("keys", choice.read)
        if keys is not None:
            self._find("keys", "ok", _told(keys))
        self._permissions("keys", choice.secret, secret=True)
        self._permissions("keys", choice.public_key or choice.jwks, secret=False)
        return choice

    def _site_keys(self) -> KeyChoice:
        secret = site_secret()
        if not secret.exists():
            self._find("keys", "ok", f"a secret would be made in {secret}")
            return KeyChoice()
        if self._try("keys", KeyChoice(secret=secret).read) is not None:
            self._find("keys", "ok", f"the secret in {secret}")
        self._permissions("keys", secret, secret=True)
        return KeyChoice(secret=secret)

    def _permissions(self, part: str, path: Path | None, *, secret: bool) -> None:
        if path is None:
            return
        try:
            mode = path.stat().st_mode
        except OSError:
            return  # that it cannot be read has been said
        if secret and mode & _BY_OTHERS:
            self._find(
                part, "warning", f"{path} holds a secret and can be read by others (mode {mode & 0o777:04o})"
            )
        elif not secret and mode & (stat.S_IWGRP | stat.S_IWOTH):
            self._find(part, "warning", f"{path} can be changed by others, who could let themselves in")

    # The bus

    async def _bus(self, choice: KeyChoice) -> None:
        bus = self._try("bus", lambda: reading.read_wanted_bus(self._given, choice))
        self._permissions("bus", self._given.path("bus-password-file"), secret=True)
        match bus:
            case OwnBus():
                self._shown["bus"] = bus.engine
                if bus.engine == "mosquitto" and (missing := _no_mosquitto()):
                    self._find("bus", "unreachable", missing)
                elif bus.listen.port:
                    self._port("bus-listen", bus.listen, needed=True)
                else:
                    self._find("bus", "ok", f"{bus.engine}, on a free port of {bus.listen.host}")
            case TheirBus(url=url):
                user = f"{url.user}@" if url.user else ""
                self._shown["bus"] = f"mqtt{'s' if url.tls else ''}://{user}{url.server}"
                self._permissions("bus", _named(mqtt.PASSWORD_FILE_VARIABLE), secret=True)
                await self._servers(url)
            case None:
                self._shown["bus"] = "(cannot be read)"

    async def _servers(self, url: mqtt.BusUrl) -> None:
        """Each node of a cluster for itself: one is enough to start, and all are wanted."""
        lost: list[str] = []
        for server in url.servers:
            node = msgspec.structs.replace(url, host=server.host, port=server.port, further=())
            try:
                self._find("bus", "ok", await there_and_back(node))
            except BusLost as error:
                lost.append(str(error))
        for problem in lost:
            self._find("bus", "unreachable" if len(lost) == len(url.servers) else "warning", problem)

    # The history

    async def _history(self) -> None:
        before = len(self.findings)
        history = self._try("history", lambda: reading.read_history_settings(self._given))
        if len(self.findings) > before:
            self._shown["history"] = "(cannot be read)"
            return
        self._shown["history"] = history.shown if history else "none"
        if history is None:
            self._find("history", "ok", "none: events are relayed and not remembered")
            return
        if history.path is None:
            self._permissions("history", _named(PASSWORD_FILE_VARIABLE), secret=True)
        problems = await _history_problems(history)
        for problem in problems:
            self._find("history", "unreachable", problem)
        if not problems:
            kept = f"for {history.days:g} days, at most {history.most_bytes / 2**20:.0f} MiB"
            self._find("history", "ok", f"{history.shown} can be written to; events are kept {kept}")

    def _used(self, name: str) -> Used:
        option = BY_NAME[name]
        source = self._given.where(name) if self._given.all(name) else "default"
        if option.secret:
            value = self._shown.get(name, "")
        else:
            value = " ".join(self._given.all(name)) or option.default or option.otherwise
        return Used(option=name, value=value, source=source)


async def _history_problems(history: HistorySettings) -> list[str]:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await asyncio.to_thread(check_store, history.url)
    except TimeoutError:
        return [f"{history.shown} did not answer within {_PATIENCE:g} s"]


def _told(keys: KeySet) -> str:
    if keys.only is not None:
        return f"one key, {keys.only.algorithm}"
    named = ", ".join(f"{name} ({key.algorithm})" for name, key in sorted(keys.named.items()))
    return f"{len(keys.named)} keys: {named}"


def _named(variable: str) -> Path | None:
    return Path(named) if (named := os.environ.get(variable)) else None


def _no_mosquitto() -> str:
    """A sentence when it is not there."""
    try:
        find_program()
    except EngineMissing as error:
        return str(error)
    return ""


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]
