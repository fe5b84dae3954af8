"""DebugpyServerManager: several classic servers under names.

A process has room for one debugger. So several servers are: at most one for this process (`start`), and one for each
Python program that is started through here (`launch`).
"""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sonde_agent.classic.errors import CannotListen, DuplicateServer, LaunchFailed, NotStarted, PortInUse
from sonde_agent.classic.server import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    DebugpyServer,
    ServerInfo,
    in_thread,
    is_loopback,
    warn_of_exposure,
)

LAUNCH_TIMEOUT = 30.0
"""Seconds for an interpreter, debugpy and its adapter on a busy machine."""
TERMINATED_WITHIN = 5.0
"""Seconds that a program has after SIGTERM, before SIGKILL."""
_PROGRAM = Path(__file__).with_name("program.py")
_TAKE_A_VALUE = frozenset("WX")


class DebugpyServerManager:
    """Servers by name; in a `with` or `async with` block, whose end stops them all and ends the programs.

        async with DebugpyServerManager() as servers:
            servers.start("here")
            info = await servers.launch_async("worker", [sys.executable, "worker.py"])

    Not for several threads at a time.
    """

    def __init__(self) -> None:
        self._servers: dict[str, DebugpyServer | _Launched] = {}

    @property
    def servers(self) -> dict[str, ServerInfo]:
        """Those that are there now, by name: a program that has ended is not among them."""
        return {name: server.info for name, server in self._servers.items() if server.is_active}

    def start(self, name: str, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> ServerInfo:
        """For this process. Raises a `DebugpyServerError`, `DuplicateServer` among them."""
        self._check(name, host, port)
        server = DebugpyServer(host, port)
        info = server.start()
        self._servers[name] = server
        return info

    def launch(
        self,
        name: str,
        command: Sequence[str],
        *,
        host: str = DEFAULT_HOST,
        port: int = 0,
        wait_for_client: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> ServerInfo:
        """Starts a Python program, `[sys.executable, "app.py", ...]`, with its streams being ours, and returns once an
        editor can attach to it. `wait_for_client` holds the program up until one has. Raises a `DebugpyServerError`;
        no program is left then."""
        self._check(name, host, port)
        if not is_loopback(host):
            warn_of_exposure(host)
        launched = _Launched.start(name, command, host, port, wait_for_client, environment)
        self._servers[name] = launched
        return launched.info

    async def launch_async(
        self,
        name: str,
        command: Sequence[str],
        *,
        host: str = DEFAULT_HOST,
        port: int = 0,
        wait_for_client: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> ServerInfo:
        """As `launch`, for asyncio."""
        return await in_thread(
            lambda: self.launch(
                name,
                command,
                host=host,
                port=port,
                wait_for_client=wait_for_client,
                environment=environment,
            )
        )

    def server(self, name: str) -> DebugpyServer:
        """This process's own, to wait for a client of it. Raises `NotStarted`."""
        server = self._servers.get(name)
        if not isinstance(server, DebugpyServer):
            raise NotStarted(f"a server for this process under the name {name!r}")
        return server

    def process(self, name: str) -> "subprocess.Popen[bytes]":
        """The program that was launched, to wait for it. Raises `NotStarted`."""
        server = self._servers.get(name)
        if not isinstance(server, _Launched):
            raise NotStarted(f"a program under the name {name!r}")
        return server.process

    def stop(self, name: str) -> None:
        """A launched program is ended: SIGTERM, then SIGKILL. Does nothing when there is none of that name."""
        if (server := self._servers.pop(name, None)) is not None:
            server.stop()

    def stop_all(self) -> None:
        """The newest first; programs are asked to end at the same time."""
        for server in self._servers.values():
            if isinstance(server, _Launched):
                server.ask_to_end()
        for name in reversed(list(self._servers)):
            self.stop(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_all()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await in_thread(self.stop_all)

    def _check(self, name: str, host: str, port: int) -> None:
        """One that has ended makes room for another."""
        for known, server in list(self._servers.items()):
            if not server.is_active:
                if known == name:
                    self.stop(known)
                continue
            if known == name:
                raise DuplicateServer(f"named {name!r}")
            if port and (server.info.host, server.info.port) == (host, port):
                raise DuplicateServer(f"on {host}:{port}, named {known!r},")


class _Launched:
    def __init__(self, process: "subprocess.Popen[bytes]", info: ServerInfo) -> None:
        self.process = process
        self.info = info

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        host: str,
        port: int,
        wait_for_client: bool,
        environment: Mapping[str, str] | None,
    ) -> "_Launched":
        python, program = split(command)
        if not program:
            raise LaunchFailed(name, "name a program after the interpreter: app.py, -m module, or -c code")
        reading, writing = os.pipe()
        words = [
            *python,
            *(str(_PROGRAM), str(writing), host, str(port), "wait" if wait_for_client else "run"),
            *program,
        ]
        try:
            try:
                process = subprocess.Popen(words, pass_fds=(writing,), env=environment)
            except OSError as error:
                raise LaunchFailed(name, f"{words[0]!r} cannot be started ({error.strerror})") from None
            finally:
                os.close(writing)
            launched = cls(process, _UNKNOWN)
            try:
                launched.info = _info(name, _read_line(reading, LAUNCH_TIMEOUT), host, port)
            except BaseException:
                launched.stop()
                raise
        finally:
            os.close(reading)
        return launched

    @property
    def is_active(self) -> bool:
        return self.process.poll() is None

    def ask_to_end(self) -> None:
        if self.is_active:
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Its adapter ends with it."""
        self.ask_to_end()
        try:
            self.process.wait(TERMINATED_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_UNKNOWN = ServerInfo(host="", port=0, pid=0, client_connected=None, started=0.0, python="", debugpy="")


def split(command: Sequence[str]) -> tuple[list[str], list[str]]:
    """The interpreter with its options, and the program with its arguments: a script, `-m` or `-c`."""
    words = list(command)
    position = 1
    while position < len(words):
        word = words[position]
        if not word.startswith("-") or word == "-":
            break
        for place, letter in enumerate(word[1:], start=2):
            if letter in {"m", "c"}:
                attached = [word[place:]] if word[place:] else []
                before = [f"-{word[1 : place - 1]}"] if place > 2 else []
                return words[:position] + before, [f"-{letter}", *attached, *words[position + 1 :]]
            if letter in _TAKE_A_VALUE:
                position += not word[place:]
                break
        position += 1
    return words[:position], words[position:]


def _read_line(descriptor: int, timeout: float) -> bytes:
    """Up to the first line end, the end of the file, or the timeout."""
    deadline = time.monotonic() + timeout
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    text = b""
    while not text.endswith(b"\n") and poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        part = os.read(descriptor, 65536)
        if not part:
            break
        text += part
    return text


def _info(name: str, line: bytes, host: str, port: int) -> ServerInfo:
    """Raises `PortInUse`, `CannotListen` or `LaunchFailed`."""
    try:
        told: dict[str, Any] = json.loads(line)
    except ValueError:
        raise LaunchFailed(name, "it ended or was silent before its debugpy server was there") from None
    if told.get("in_use"):
        raise PortInUse(host, port)
    if told.get("kind") == CannotListen.__name__:
        raise CannotListen(host, port, str(told["error"]))
    if "error" in told:
        raise LaunchFailed(name, str(told["error"]))
    return ServerInfo(**told["info"] | {"client_connected": None})
