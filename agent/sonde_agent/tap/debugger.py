"""debugpy, connected only while somebody debugs: the life of one connection.

    OFF -- connect --> STARTING -- ON (pydevd dials the sidecar, which is its one client) -- ENDING --> OFF
                           \\________________________________________________________________/

Nothing listens here and no adapter process is started: the sidecar is the adapter. Off is off: pydevd's socket
is closed, its threads are waited for, and everything that `mends` changed is taken back, whether the sidecar
said goodbye, died, or went silent; then `watch` ends the connection.
"""

import socket
import threading
import time
from contextlib import suppress
from typing import Any

from sonde_agent.tap import greenlets, off, wall
from sonde_agent.tap.deadman import LEASE, Deadman
from sonde_agent.tap.errors import CallRefused
from sonde_agent.tap.interruption import Evaluations
from sonde_agent.tap.mends import Mends
from sonde_agent.tap.pydevd import Pydevd, load, refused, unavailable, wake_all
from sonde_agent.tap.watch import Watch

CONNECT_TIMEOUT = 15.0
"""Seconds for importing debugpy and connecting."""
CLOSE_TIMEOUT = 2.0
"""Seconds that pydevd has to end by itself after its socket was closed."""
ENDING_TIMEOUT = 6.0
"""Seconds that somebody waits who finds that another ends the same connection."""
EVALUATION_LIMIT = 30.0
_DISPOSES_WITHIN = 0.25
"""Seconds in which pydevd notices that its socket was closed; it is disposed of from here after that."""
_LOCKED_FOR = 0.5
"""Seconds after which pydevd's own lock counts as lost; it is held for milliseconds."""
_LOOK_AGAIN = 0.005


def connect(
    host: str,
    port: int,
    server_token: str,
    client_token: str,
    lease: float = LEASE,
    evaluation_limit: float = EVALUATION_LIMIT,
) -> dict[str, Any]:
    """Makes pydevd dial the sidecar; returns debugpy's version. Raises `CallRefused`.

    `server_token` is what the sidecar must show to pydevd, `client_token` what pydevd shows to the sidecar.
    `lease`: seconds that a stop may last without `hold`. `evaluation_limit`: seconds of one evaluation.
    """
    global _connection
    if not _is_loopback(host):
        raise CallRefused("invalid_argument", "invalid_params", "the debugger connects to the loopback only")
    if greenlets.have_replaced_threads():
        raise refused(greenlets.NO_DEBUGGER)
    disconnect()
    if _connection is not None and not _connection.is_over:
        raise refused("Sonde is still starting or ending the debugger in this process; try again in a moment")
    _connection = connection = DebuggerConnection(Deadman(lease), Evaluations(evaluation_limit))
    connection.begin(host, port, server_token, client_token)
    if not connection.begun.wait(CONNECT_TIMEOUT):
        connection.end()
        raise CallRefused("deadline_exceeded", "no_answer", "debugpy did not connect in time; try again")
    if connection.refusal is not None:
        raise connection.refusal
    return {"debugpy": connection.version}


def disconnect() -> None:
    """When the sidecar has closed pydevd's socket, or to close it; does nothing while it is off."""
    if (connection := _connection) is not None:
        connection.end()


def hold(seconds: float) -> None:
    """Everything that stands may do so for so long from now on. Raises `CallRefused`."""
    _on().deadman.hold(seconds, time.monotonic())


def interrupt(seq: int) -> bool:
    """Ends the evaluation of the request with this number; whether it runs already. Raises `CallRefused`."""
    return _on().interrupt(seq)


def forget() -> None:
    """In a forked child: pydevd's threads stayed in the parent, but its breakpoints came along, and a thread
    that hits one waits for ever."""
    global _connection
    connection, _connection = _connection, None
    if connection is not None:
        connection.forget()


class DebuggerConnection:
    """`begin`, then wait for `begun`: it is on, or there is a `refusal`. `end` is for any thread, `forget` for a forked
    child.

    Its thread may still be inside pydevd when nobody waits for it any more; `_abandoned` then makes it clean up
    after itself. `_cleaning` is taken by whoever cleans up, and never given back.
    """

    def __init__(self, deadman: Deadman, evaluations: Evaluations) -> None:
        self.deadman = deadman
        self.evaluations = evaluations
        self.begun = threading.Event()
        self.refusal: CallRefused | None = None
        self.version = ""
        self._line: socket.socket | None = None
        self._pydevd: Pydevd | None = None
        self._mends: Mends | None = None
        self._watch: Watch | None = None
        self._database: Any = None
        self._abandoned = False
        self._cleaning = threading.Lock()
        self._over = threading.Event()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    @property
    def is_on(self) -> bool:
        return self._database is not None

    def begin(self, host: str, port: int, server_token: str, client_token: str) -> None:
        """In a thread of its own: pydevd has no deadlines."""

        def run() -> None:
            try:
                self._begin(host, port, server_token, client_token)
            finally:
                if self._database is None:
                    self.refusal = self.refusal or unavailable("debugpy could not be started in this process")
                    self._over.set()
                self.begun.set()
                if self._abandoned:
                    self._clean_up()

        wall.start_thread(run, "sonde-debugger")

    def end(self) -> None:
        """At once when somebody else is at it: then it waits for that."""
        self._abandoned = True  # first: its thread looks at this after it has set the other
        if self.begun.is_set():
            self._clean_up()
            self._over.wait(ENDING_TIMEOUT)
        elif self._line is not None:
            with suppress(OSError):  # pydevd closed it before us
                self._line.shutdown(socket.SHUT_RDWR)

    def interrupt(self, seq: int) -> bool:
        runs = self.evaluations.end(seq, time.monotonic())
        if self._watch is not None:
            self._watch.wake()
        return runs

    def forget(self) -> None:
        if self._pydevd is not None:
            off.forget(self._pydevd, self._database)
        if self._mends is not None:
            self._mends.undo()
        if self._line is not None:
            self._line.close()

    def _begin(self, host: str, port: int, server_token: str, client_token: str) -> None:
        try:
            self._pydevd = pydevd = load()
            pydevd.check_free()
            self.version = pydevd.version
            self._line = line = _dial(host, port)
        except CallRefused as refusal:
            self.refusal = refusal
            return
        self._mends = mends = Mends(pydevd, self.evaluations)
        self._watch = Watch(self.deadman, mends.standing, self.evaluations, self._give_up, self.end)
        mends.apply()
        try:
            self._watch.start()
            self._database = mends.connect(line, server_token, client_token)
        finally:
            if self._database is None:
                self._watch.stop()
                line.close()
                off.take_off(pydevd)
                mends.undo()
                off.let_go(pydevd)

    def _give_up(self, evaluation: Any) -> None:
        if self._mends is not None and self._database is not None:
            self._mends.evaluating.give_up(self._database, evaluation)

    def _clean_up(self) -> None:
        pydevd, mends, database, line = self._pydevd, self._mends, self._database, self._line
        if pydevd is None or mends is None or line is None or database is None:
            return
        if not self._cleaning.acquire(blocking=False):
            return
        try:
            with suppress(OSError):  # it is closed already
                line.shutdown(socket.SHUT_RDWR)
            self._end_pydevd(pydevd, mends, database)
        finally:
            line.close()
            off.take_off(pydevd)
            mends.undo()
            self._database = None
            off.let_go(pydevd, database)
            if self._watch is not None:
                self._watch.stop()
            self._over.set()

    def _end_pydevd(self, pydevd: Pydevd, mends: Mends, database: Any) -> None:
        """Until its threads have ended and the program's have left its code, which what comes next takes away from
        under them. One that sits in C code in the midst of an evaluation stays in it."""
        began = time.monotonic()
        disposed_of = False
        while (now := time.monotonic()) < began + CLOSE_TIMEOUT:
            self.evaluations.interrupt_all(now)
            if not disposed_of and now >= began + _DISPOSES_WITHIN:
                disposed_of = True  # its own reader did not, or is slow
                _unlock(database)
                database.dispose_and_kill_all_pydevd_threads()
            wake_all(database)
            threads = list(database.created_pydb_daemon_threads.copy())
            if not any(thread.is_alive() for thread in threads) and not mends.standing():
                return
            time.sleep(_LOOK_AGAIN)


_connection: DebuggerConnection | None = None


def _on() -> DebuggerConnection:
    if _connection is None or not _connection.is_on:
        raise refused("no debugger is connected to this process")
    return _connection


def _unlock(database: Any) -> None:
    """Threads that stand need this lock to go on. Who has it for so long waits for something that will not come."""
    lock = database._main_lock
    if lock.acquire(timeout=_LOCKED_FOR):
        lock.release()
        return
    with suppress(RuntimeError):  # just now it was given back
        lock.release()


def _dial(host: str, port: int) -> socket.socket:
    try:
        line = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT)
    except (OSError, OverflowError):
        raise unavailable("the sidecar cannot be reached for debugging") from None
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.settimeout(None)
    return line


def _is_loopback(host: str) -> bool:
    """Without ipaddress, which costs a program that does not use it a megabyte."""
    try:
        return socket.inet_pton(socket.AF_INET, host)[0] == 127
    except OSError:
        return host == "::1"
