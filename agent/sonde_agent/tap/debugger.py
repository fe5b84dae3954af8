"""debugpy, connected only while somebody debugs: the life of one connection.

    OFF -- connect --> ON (pydevd dials the sidecar, which is its one client) -- disconnect --> OFF

Nothing listens here and no adapter process is started: the sidecar is the adapter. Off is off: pydevd's socket
is closed, its threads are waited for, and everything that `mends` changed is taken back, whether the sidecar
said goodbye, died, or went silent.
"""

import socket
import threading
import time
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from sonde_agent.tap import mends, wall
from sonde_agent.tap.errors import CallRefused

CONNECT_TIMEOUT = 15.0
"""Seconds for importing debugpy and connecting."""
CLOSE_TIMEOUT = 2.0
"""Seconds that pydevd has to end by itself after its socket was closed."""


def connect(host: str, port: int, server_token: str, client_token: str) -> dict[str, Any]:
    """Makes pydevd dial the sidecar; returns debugpy's version. Raises `CallRefused`.

    `server_token` is what the sidecar must show to pydevd, `client_token` what pydevd shows to the sidecar.
    """
    global _session
    if not _is_loopback(host):
        raise CallRefused("invalid_argument", "invalid_params", "the debugger connects to the loopback only")
    disconnect()
    _session = session = _Session()
    session.begin(host, port, server_token, client_token)
    if not session.begun.wait(CONNECT_TIMEOUT):
        raise CallRefused("deadline_exceeded", "no_answer", "debugpy did not connect in time; try again")
    if session.refusal is not None:
        _session = None
        raise session.refusal
    return {"debugpy": session.version}


def disconnect() -> None:
    """When the sidecar has closed pydevd's socket, or to close it; does nothing while it is off."""
    global _session
    if (session := _session) is not None:
        session.end()
        _session = None


def forget() -> None:
    """In a forked child: pydevd's threads stayed in the parent, but its breakpoints came along, and a thread
    that hits one waits for ever."""
    global _session
    session, _session = _session, None
    if session is not None:
        session.forget()


class _Session:
    """One connection. Its thread may still be inside pydevd when nobody waits for it any more; `_abandoned`
    then makes it clean up after itself. `_cleaning` is taken by whoever of the two does it, and never given back."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.refusal: CallRefused | None = None
        self.version = ""
        self._line: socket.socket | None = None
        self._pydevd: mends.Pydevd | None = None
        self._database: Any = None
        self._abandoned = False
        self._cleaning = threading.Lock()

    def begin(self, host: str, port: int, server_token: str, client_token: str) -> None:
        """In a thread of its own: pydevd has no deadlines."""

        def run() -> None:
            try:
                self._begin(host, port, server_token, client_token)
            finally:
                if self._database is None and self.refusal is None:
                    self.refusal = mends.unavailable("debugpy could not be started in this process")
                self.begun.set()
                if self._abandoned:
                    self._clean_up()

        wall.start_thread(run, "sonde-debugger")

    def end(self) -> None:
        self._abandoned = True  # first: its thread looks at this after it has set the other
        if self.begun.is_set():
            self._clean_up()

    def forget(self) -> None:
        if self._pydevd is not None:
            self._pydevd.forget(self._database)
        if self._line is not None:
            self._line.close()

    def _begin(self, host: str, port: int, server_token: str, client_token: str) -> None:
        try:
            self._pydevd = pydevd = mends.load()
            pydevd.check_free()
            self.version = pydevd.version
            self._line = line = _dial(host, port)
        except CallRefused as refusal:
            self.refusal = refusal
            return
        pydevd.mend()
        try:
            self._database = pydevd.connect(line, server_token, client_token)
        finally:
            if self._database is None:
                line.close()
                pydevd.take_off()

    def _clean_up(self) -> None:
        pydevd, database, line = self._pydevd, self._database, self._line
        if pydevd is None or line is None or database is None or not self._cleaning.acquire(blocking=False):
            return
        try:
            with suppress(OSError):  # it is closed already
                line.shutdown(socket.SHUT_RDWR)
            if not _ended(pydevd.threads_of(database), CLOSE_TIMEOUT):
                pydevd.dispose(database)
                _ended(pydevd.threads_of(database), CLOSE_TIMEOUT)
            pydevd.wait_until_nothing_stands(database, CLOSE_TIMEOUT)
        finally:
            line.close()
            pydevd.take_off()
            pydevd.let_run()
            self._database = None


_session: _Session | None = None


def _dial(host: str, port: int) -> socket.socket:
    try:
        line = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT)
    except (OSError, OverflowError):
        raise mends.unavailable("the sidecar cannot be reached for debugging") from None
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.settimeout(None)
    return line


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _ended(threads: list[threading.Thread], timeout: float) -> bool:
    """Whether all of pydevd's threads ended in time. Its own `join` would tell them to."""
    deadline = time.monotonic() + timeout
    for thread in threads:
        threading.Thread.join(thread, max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
