"""Mosquitto as the bus: a child process with a configuration made for it."""

import asyncio
import base64
import hashlib
import os
import pwd
import secrets
import shutil
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sonde_broker.bus.accounts import Account
from sonde_broker.bus.decoder import Decoder
from sonde_broker.bus.encoder import encode
from sonde_broker.bus.errors import EngineLost, EngineMissing, InvalidSettings, MalformedPacket
from sonde_broker.bus.packets import Connack, Connect, Disconnect, Packet, Version
from sonde_broker.bus.settings import BusSettings

__all__ = ["MosquittoBus"]

_PROGRAM = "mosquitto"
_START_SECONDS = 10.0
_STOP_SECONDS = 5.0
_RETRY_SECONDS = 0.02
_LOGIN_SECONDS = 1.0
_PORTS_TRIED = 5
_HASH_ROUNDS = 1000
_LOG_BYTES = 2000
_QUEUED_MESSAGES = 65_535


class MosquittoBus:
    """A Mosquitto that lives as long as the block.

        async with MosquittoBus(BusSettings(accounts=(...))) as bus:
            connect_to(bus.url)

    Its files are in a directory that only this user can read. It ends with this process, also when this one is
    killed (the directory then stays behind); for that it must be started from a thread that lives as long, such
    as the main one: Linux sends the signal at the end of the thread. `%c` in an account's patterns is refused,
    since Mosquitto has it only for all users together.
    """

    def __init__(self, settings: BusSettings | None = None) -> None:
        self._settings = settings if settings is not None else BusSettings()
        self._files: tempfile.TemporaryDirectory[str] | None = None
        self._process: Process | None = None
        self._port = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        program = find_program()
        for account in self._settings.accounts:
            if any("%c" in pattern for pattern in (*account.publish, *account.subscribe)):
                raise InvalidSettings(
                    f"the account {account.user}: Mosquitto has no %c for one user's patterns"
                )
        self._files = tempfile.TemporaryDirectory(prefix="sonde-bus-", ignore_cleanup_errors=True)
        try:
            await self._start(program, Path(self._files.name))
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    @property
    def port(self) -> int:
        if self._process is None:
            raise RuntimeError("the bus has not been started")
        return self._port

    @property
    def url(self) -> str:
        """For a client with the first account, or with none if the bus has none."""
        return self.url_for(None)

    def url_for(self, user: str | None) -> str:
        """For a client with the account of `user`, credentials included."""
        return self._settings.url(self.port, user)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the bus has not been started")
        return self._process.pid

    async def watch(self) -> None:
        """Returns when the bus has been closed; raises EngineLost as soon as Mosquitto ends by itself.

        Meant for a task beside those that use the bus.
        """
        process = self._process
        if process is None:
            if self._closed:
                return
            raise RuntimeError("the bus has not been started")
        code = await process.wait()
        if self._process is process:
            raise EngineLost(_PROGRAM, code, self._log())

    async def _start(self, program: str, place: Path) -> None:
        for attempt in range(_PORTS_TRIED):
            self._port = self._settings.port or _free_port(self._settings.host)
            _write_files(self._settings, self._port, place)
            parent = str(os.getpid())
            tether = str(Path(__file__).with_name("tether.py"))
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", tether, parent, program, "-c", str(place / "mosquitto.conf"),
                stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL,
            )  # fmt: skip
            try:
                async with asyncio.timeout(_START_SECONDS):
                    ended = await self._ready_or_ended(self._process)
            except TimeoutError:
                raise EngineLost(_PROGRAM, None, self._log()) from None
            if ended is None:
                return
            # Between our look for a free port and Mosquitto's bind somebody else may have taken it.
            taken = "in use" in self._log()
            if self._settings.port or not taken or attempt == _PORTS_TRIED - 1:
                raise EngineLost(_PROGRAM, ended, self._log())

    async def _ready_or_ended(self, process: Process) -> int | None:
        """None once an MQTT login succeeds, the exit status if the process ends before."""
        while True:
            if await self._login():
                return None
            with suppress(TimeoutError):
                return await asyncio.wait_for(process.wait(), _RETRY_SECONDS)

    async def _login(self) -> bool:
        """Whether the server at our port lets us in: an unrelated one would not know our password."""
        account = self._settings.accounts[0] if self._settings.accounts else None
        connect = Connect(
            version=Version.V311,
            client_id=f"sonde-ready-{secrets.token_hex(8)}",
            username=account.user if account else None,
            password=account.password.encode() if account else None,
        )
        try:
            async with asyncio.timeout(_LOGIN_SECONDS):
                return await _answer(self._settings.reachable_host, self._port, connect) == Connack()
        except (OSError, TimeoutError, MalformedPacket):
            return False

    async def _stop(self) -> None:
        process, self._process = self._process, None
        self._closed = True
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._files is not None:
            self._files.cleanup()
            self._files = None

    def _log(self) -> str:
        if self._files is None:
            return ""
        try:
            return (Path(self._files.name) / "log").read_text(errors="replace")[-_LOG_BYTES:].strip()
        except OSError:
            return ""


async def _answer(host: str, port: int, connect: Connect) -> Packet | None:
    """The first packet a server answers to a CONNECT, None if it closes instead."""
    reader, writer = await asyncio.open_connection(host, port)
    decoder = Decoder(limit=1024, version=connect.version)
    try:
        writer.write(encode(connect, connect.version))
        while data := await reader.read(1024):
            decoder.feed(data)
            for packet in decoder.next_packets(1):
                writer.write(encode(Disconnect(), connect.version))
                await writer.drain()
                return packet
        return None
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def find_program() -> str:
    """Its path. Raises `EngineMissing`."""
    # Debian keeps it in /usr/sbin, which is not on every user's PATH.
    found = shutil.which(_PROGRAM) or shutil.which(_PROGRAM, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise EngineMissing(_PROGRAM, "apt-get install mosquitto, or use the embedded bus")
    return found


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _write_files(settings: BusSettings, port: int, place: Path) -> None:
    (place / "passwords").write_text("".join(_password_line(account) for account in settings.accounts))
    (place / "access").write_text("\n".join(_access_lines(settings.accounts)) + "\n")
    for name in ("passwords", "access"):
        (place / name).chmod(0o600)
    (place / "log").write_text("")
    (place / "mosquitto.conf").write_text("\n".join(_configuration(settings, port, place)) + "\n")


def _configuration(settings: BusSettings, port: int, place: Path) -> Iterator[str]:
    limits = settings.limits
    yield f"listener {port} {settings.host}"
    yield "set_tcp_nodelay true"
    yield "persistence false"
    yield f"max_connections {limits.clients}"
    yield f"max_packet_size {limits.packet}"
    yield f"max_inflight_messages {limits.inflight}"
    yield f"max_queued_bytes {limits.queue}"
    # 0, "unlimited" by the manual, makes 2.0.11 disconnect whoever publishes what it may not.
    yield f"max_queued_messages {_QUEUED_MESSAGES}"
    yield "max_topic_alias 0"
    yield "connection_messages false"
    yield f"log_dest file {place / 'log'}"
    yield "log_type error"
    yield "log_type warning"
    if settings.accounts:
        yield "allow_anonymous false"
        yield f"password_file {place / 'passwords'}"
        yield f"acl_file {place / 'access'}"
    else:
        yield "allow_anonymous true"
    if os.getuid() == 0:
        # Mosquitto would change to a user who cannot read these files.
        yield f"user {pwd.getpwuid(0).pw_name}"


def _password_line(account: Account) -> str:
    """Mosquitto's own format: PBKDF2 with SHA-512, 12 bytes of salt, base64."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", account.password.encode(), salt, _HASH_ROUNDS)
    encoded = (base64.b64encode(part).decode() for part in (salt, digest))
    return f"{account.user}:$7${_HASH_ROUNDS}${'$'.join(encoded)}\n"


def _access_lines(accounts: tuple[Account, ...]) -> Iterator[str]:
    for account in accounts:
        yield f"user {account.user}"
        for word, patterns in (("write", account.publish), ("read", account.subscribe)):
            for pattern in patterns:
                yield f"topic {word} {pattern.replace('%u', account.user)}"
