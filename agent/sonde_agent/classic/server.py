"""DebugpyServer: a port for one editor, in front of this process.

    OFF -- start --> ON (an adapter listens; pydevd is connected to it, and traces) -- stop --> OFF, as before

pydevd is connected and taken off as for a session of Sonde (`tap/debugger.py`), so that off is off: no port, no adapter,
no tracing in any thread. There is one pydevd in a process, so one server, or Sonde's sessions, at a time.

While it is on, programs on Python 3.11 run several times slower, with or without a client; from 3.12 on they do not.
"""

import os
import platform
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self, TypeVar

from sonde_agent.classic.adapter import Adapter
from sonde_agent.classic.errors import (
    DebuggerTaken,
    DebuggerUnavailable,
    ExposedServerWarning,
    NotStarted,
)
from sonde_agent.tap import debugger, wall
from sonde_agent.tap.deadman import Deadman
from sonde_agent.tap.errors import CallRefused
from sonde_agent.tap.interruption import Evaluations
from sonde_agent.tap.pydevd import Pydevd, load

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 5678
_NO_LIMIT = float("inf")
_LOOK_AGAIN = 0.02
"""Seconds between two looks for a client; debugpy announces it to nobody."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ServerInfo:
    """`port` is the one that was bound, also where 0 was asked for. `started` is in seconds since the epoch."""

    host: str
    port: int
    pid: int
    """Of the process that is debugged."""
    client_connected: bool | None
    """Whether an editor is attached and has said that it is ready; None where that is not known."""
    started: float
    python: str
    debugpy: str


class DebugpyServer:
    """`start` and `stop`, any number of times, or a `with` block; at most one in a process.

        with DebugpyServer() as server:
            server.wait_for_client(timeout=60)

        async with DebugpyServer(port=0) as server:
            await server.wait_for_client_async(timeout=60)

    `start`, `stop` and `wait_for_client` hold their caller up, the first two for less than a second; the `async`
    forms hold up only the task. All may be called from any thread. A stop of the debugger holds up only the thread
    that hit it, unless the editor's configuration says `"stopAllThreadsOnSuspend": true`.

    Whoever can reach the port can run code in this process, because debugpy has no login; beyond the loopback it
    warns (`ExposedServerWarning`).
    """

    def __init__(self, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> None:
        """Port 0 is any free one. Raises `ValueError`; nothing listens before `start`."""
        if not isinstance(port, int) or not 0 <= port < 65536:
            raise ValueError(f"{port!r} is not a port: use 0 to 65535")
        self.host = host
        self.port = port
        self._running: _Running | None = None

    def start(self) -> ServerInfo:
        """Returns once an editor can attach; does nothing when it is on. Raises a `DebugpyServerError`."""
        with _changing:
            if not self.is_active:
                self._stop()  # what is left when its adapter was lost
                if not is_loopback(self.host):
                    warn_of_exposure(self.host)
                self._running = _Running.begin(self.host, self.port)
            return self.info

    def stop(self) -> None:
        """Ends the client's session, if there is one; threads that are stopped run on. Does nothing when it is off."""
        with _changing:
            self._stop()

    @property
    def is_active(self) -> bool:
        """False also in a forked child, and when the adapter was killed."""
        return self._running is not None and self._running.adapter.is_alive

    @property
    def info(self) -> ServerInfo:
        """Raises `NotStarted`."""
        running = self._expect_running()
        host, port = running.address
        return ServerInfo(
            host=host,
            port=port,
            pid=os.getpid(),
            client_connected=running.is_attached,
            started=running.started,
            python=platform.python_version(),
            debugpy=running.version,
        )

    def wait_for_client(self, timeout: float | None = None) -> bool:
        """Until an editor is attached and has set its breakpoints. False after `timeout` seconds, or when the server
        is stopped meanwhile. Raises `NotStarted`."""
        return self._wait(self._expect_running(), timeout, threading.Event())

    async def wait_for_client_async(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - the twin of the other
        """As `wait_for_client`, for asyncio. May be cancelled."""
        running, given_up = self._expect_running(), threading.Event()
        return await in_thread(lambda: self._wait(running, timeout, given_up), given_up.set)

    def breakpoint(self) -> None:
        """Stops at the caller's next line when a client is attached; otherwise nothing happens."""
        if (running := self._running) is not None and running.is_attached:
            running.stop_caller()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        try:
            await in_thread(self.start)
        except BaseException:  # cancelled while it started: nobody would stop it
            await in_thread(self.stop)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await in_thread(self.stop)

    def _expect_running(self) -> "_Running":
        if self._running is None or not self._running.adapter.is_alive:
            raise NotStarted("the debugpy server")
        return self._running

    def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.end()

    def _wait(self, running: "_Running", timeout: float | None, given_up: threading.Event) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not running.is_attached:
            if self._running is not running or not running.adapter.is_alive:
                return False
            left = _LOOK_AGAIN if deadline is None else min(_LOOK_AGAIN, deadline - time.monotonic())
            if left <= 0 or given_up.wait(left):
                return False
        return True


class _Running:
    """pydevd connected to an adapter, by the tap's own means: from `begin` to `end`, or `forget` in a forked child."""

    def __init__(self, adapter: Adapter, pydevd: Pydevd) -> None:
        self.adapter = adapter
        self.version = pydevd.version
        self.started = time.time()
        self._pydevd = pydevd
        self._api: Any = import_module("debugpy.server.api")
        # Nobody renews a lease here, and what is evaluated is the editor's affair.
        self._session = debugger.DebuggerConnection(Deadman(lease=_NO_LIMIT), Evaluations(_NO_LIMIT))
        self._over = False

    @classmethod
    def begin(cls, host: str, port: int) -> Self:
        """Raises a `DebugpyServerError`; nothing has changed then."""
        global _hooked, _running
        if _running is not None:
            if _running.adapter.is_alive:
                where = "{}:{}".format(*_running.address)
                raise DebuggerTaken(f"another DebugpyServer is active in this process, on {where}")
            _running.end()  # what is left when its adapter was lost
        try:
            pydevd = load()
            pydevd.check_free()
        except CallRefused as refusal:
            raise _error(refusal) from None
        if not _hooked:
            _hooked = True
            os.register_at_fork(after_in_child=_forked)
        debugpy = os.path.dirname(os.path.dirname(str(sys.modules["debugpy"].__file__)))  # noqa: PTH120 - as text
        running = cls(Adapter.start(debugpy, host, port), pydevd)
        try:
            running._connect()
        except BaseException:
            running.end()
            raise
        _running = running
        return running

    @property
    def address(self) -> tuple[str, int]:
        """As bound."""
        return self.adapter.endpoints.client

    @property
    def is_attached(self) -> bool:
        database = self._pydevd.current()
        return self.adapter.is_alive and database is not None and bool(database.is_attached())

    def stop_caller(self) -> None:
        """pydevd passes over frames of ours and of debugpy's."""
        self._api.breakpoint()

    def end(self) -> None:
        """pydevd first, so that the adapter can tell its client that the session is over."""
        global _running
        if self._over:
            return
        self._over = True
        if _running is self:
            _running = None
        try:
            self._session.end()
        finally:
            self.adapter.end()
            self._api.listen.called = False

    def forget(self) -> None:
        self._over = True
        self.adapter.abandon()
        self._session.forget()
        self._api.listen.called = False

    def _connect(self) -> None:
        adapter, session = self.adapter, self._session
        session.begin(*adapter.endpoints.server, adapter.server_token, adapter.client_token)
        if not session.begun.wait(debugger.CONNECT_TIMEOUT):
            raise DebuggerUnavailable("it did not connect in time; try again")
        if session.refusal is not None:
            raise _error(session.refusal)
        # One that stops all threads dead-locks with its adapter when two of them hit breakpoints at a time.
        self._pydevd.current().multi_threads_single_notification = False
        # So that a call of `debugpy.listen` is refused, as after a first one.
        self._api.listen.called = True


def _error(refusal: CallRefused) -> DebuggerTaken | DebuggerUnavailable:
    taken = refusal.code == "failed_precondition"
    return DebuggerTaken(refusal.message) if taken else DebuggerUnavailable(refusal.message)


_changing = threading.RLock()
_running: _Running | None = None
_hooked = False


def _forked() -> None:
    """pydevd's threads stayed in the parent, but its breakpoints came along, and a thread that hits one would wait
    for ever."""
    global _changing, _running
    _changing = threading.RLock()  # the parent may have held the old one
    running, _running = _running, None
    if running is not None:
        wall.behind(running.forget, None)


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def warn_of_exposure(host: str) -> None:
    """On standard error, unless the program filters warnings, and in its log, where it has one."""
    text = (
        f"the debugpy server listens on {host or 'all addresses'}: anyone who can reach this port can run code in "
        "this process, because debugpy has no login; use 127.0.0.1 and a tunnel (ssh -L, kubectl port-forward)"
    )
    warnings.warn(text, ExposedServerWarning, stacklevel=3)
    if (logging := sys.modules.get("logging")) is not None and logging.getLogger(__name__).hasHandlers():
        logging.getLogger(__name__).warning("%s", text)


async def in_thread(action: Callable[[], T], give_up: Callable[[], None] = lambda: None) -> T:
    """In a thread that the debugger does not stop. When cancelled, `give_up` is called, and it leaves only after the
    action has ended."""
    import asyncio

    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            value = action()
        except BaseException as error:  # noqa: BLE001 - raised in the task
            loop.call_soon_threadsafe(done.set_exception, error)
        else:
            loop.call_soon_threadsafe(done.set_result, value)

    wall.start_thread(run, "sonde-debugpy-server")
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        give_up()
        await asyncio.wait([done])
        done.exception()  # seen: the cancellation is what is told
        raise
