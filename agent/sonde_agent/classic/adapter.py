"""debugpy's adapter as a process of ours: started with an address to listen on, known by its pid, ended for sure.

`debugpy.listen` starts the same adapter, but forgets it: it can be started once in a process's life and never
ended. One end of a socket pair stays here; when it closes, by `end` or because this process is gone, the adapter
ends. When the adapter is gone, the end here reads as closed.
"""

import errno
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sonde_agent.classic.errors import CannotListen, DebuggerUnavailable, PortInUse

START_TIMEOUT = 20.0
"""Seconds for an interpreter and debugpy on a busy machine."""
GOODBYE_TIMEOUT = 1.0
"""Seconds to tell its client that the session is over, after pydevd has left it."""
KILLED_WITHIN = 5.0
_LOOK_AGAIN = 0.002
_ERRNO = re.compile(r"\[Errno (-?\d+)\] ?(.*)")
_PROGRAM = Path(__file__).with_name("adapter_program.py")


@dataclass(frozen=True)
class Endpoints:
    """`client` is where an editor attaches, `server` where pydevd connects; hosts and ports as bound."""

    client: tuple[str, int]
    server: tuple[str, int]


class Adapter:
    """From `start` to `end`."""

    def __init__(self, line: socket.socket, pid: int, endpoints: Endpoints, tokens: tuple[str, str]) -> None:
        self.pid = pid
        self.endpoints = endpoints
        self.server_token, self.client_token = tokens
        """What the adapter shows to pydevd, and what pydevd shows to the adapter."""
        self._line = line

    @classmethod
    def start(cls, debugpy: str, host: str, port: int) -> "Adapter":
        """`debugpy` is the directory that the package is in. Raises `PortInUse`, `CannotListen`,
        `DebuggerUnavailable`."""
        deadline = time.monotonic() + START_TIMEOUT
        tokens = os.urandom(32).hex(), os.urandom(32).hex()
        line, theirs = socket.socketpair()
        try:
            with theirs, socket.create_server(("127.0.0.1", 0)) as listener:
                told = {
                    "debugpy": debugpy,
                    "arguments": [
                        *("--for-server", str(listener.getsockname()[1])),
                        *("--host", host, "--port", str(port)),
                    ],
                    "server_token": tokens[0],
                    "client_token": tokens[1],
                }
                line.sendall(json.dumps(told).encode() + b"\n")
                _spawn(theirs)
                theirs.close()  # so that its end is seen here
                pid = int(_json(_receive_line(line, deadline))["pid"])
                endpoints = _endpoints(_accept_and_read(listener, line, deadline), host, port)
        except BaseException:
            line.close()
            raise
        return cls(line, pid, endpoints, tokens)

    @property
    def is_alive(self) -> bool:
        return self._line.fileno() >= 0 and not _readable(self._line, 0.0)

    def end(self) -> None:
        """Returns when it is gone, its port with it. It may have been dead-locked, or stopped by a signal."""
        gone = _readable(self._line, GOODBYE_TIMEOUT)
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_WR)
        if not gone and not _readable(self._line, 0.0):
            with suppress(ProcessLookupError):  # it is ours as long as the line is open
                os.kill(self.pid, signal.SIGKILL)
            _readable(self._line, KILLED_WITHIN)
        self._line.close()
        self._reap()

    def abandon(self) -> None:
        """In a forked child: closes our copy. The parent's goes on."""
        self._line.close()

    def _reap(self) -> None:
        """It is the child of whoever takes in orphans. In a container that may be this process."""
        deadline = time.monotonic() + KILLED_WITHIN
        with suppress(ChildProcessError):
            while os.waitpid(self.pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
                time.sleep(_LOOK_AGAIN)
        while _runs(self.pid) and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN)


def _runs(pid: int) -> bool:
    """proc_pid_stat(5), field 3. A zombie waits for whoever takes in orphans."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (OSError, IndexError):
        return False


def _spawn(theirs: socket.socket) -> None:
    if not Path(sys.executable or "").name.startswith(("python", "pypy")):
        raise DebuggerUnavailable(
            f"{sys.executable!r} is not a Python interpreter, which debugpy's adapter needs; set sys.executable to one"
        )
    command = [sys.executable, "-I", "-S", str(_PROGRAM), str(theirs.fileno())]
    try:
        starter = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(theirs.fileno(),)
        )
    except OSError as error:
        raise DebuggerUnavailable(
            f"{sys.executable!r} cannot be started for debugpy's adapter ({error.strerror})"
        ) from None
    starter.wait()  # at once: it goes on in a child of its own


def _readable(line: socket.socket, timeout: float) -> bool:
    """Whether the other end has closed it: nothing is sent on it any more."""
    poll = select.poll()
    poll.register(line, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def _receive_line(line: socket.socket, deadline: float) -> bytes:
    text = b""
    while not text.endswith(b"\n"):
        line.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            part = line.recv(65536)
        except TimeoutError:
            raise DebuggerUnavailable("debugpy's adapter did not start in time; try again") from None
        if not part:
            raise DebuggerUnavailable("debugpy's adapter ended while it started")
        text += part
    return text


def _accept_and_read(listener: socket.socket, line: socket.socket, deadline: float) -> bytes:
    """What the adapter says about its ports: one connection, JSON up to its end."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(line, select.POLLIN)
    ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
    if listener.fileno() not in [descriptor for descriptor, _ in ready]:
        why = "ended while it started" if ready else "did not start in time; try again"
        raise DebuggerUnavailable(f"debugpy's adapter {why}")
    accepted, _ = listener.accept()
    with accepted:
        accepted.settimeout(START_TIMEOUT)
        text = b""
        while part := accepted.recv(65536):
            text += part
    return text


def _json(text: bytes) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise DebuggerUnavailable("debugpy's adapter said something that is not of its protocol")
    return read


def _endpoints(text: bytes, host: str, port: int) -> Endpoints:
    told = _json(text)
    if "error" in told:
        raise _refusal(str(told["error"]), host, port)
    try:
        client, server = ((str(told[side]["host"]), int(told[side]["port"])) for side in ("client", "server"))
    except (KeyError, TypeError, ValueError):
        raise DebuggerUnavailable("debugpy's adapter did not say where it listens") from None
    return Endpoints(client, server)


def _refusal(text: str, host: str, port: int) -> PortInUse | CannotListen:
    """debugpy hands the text of an OSError on; its number is what can be relied on."""
    found = _ERRNO.search(text)
    if found and int(found[1]) == errno.EADDRINUSE:
        return PortInUse(host, port)
    return CannotListen(host, port, found[2].lower() if found else "the address cannot be used")
