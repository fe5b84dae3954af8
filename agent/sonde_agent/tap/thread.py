"""The one thread of the tap: performs what `connection` decides, over the link to the sidecar.

It waits in poll(2) and nowhere else: on the line, and on a socket that wakes it. It holds no lock, and nothing
that the program can hold stops it.

Where it is the only thread beside the program's one, it ends for the moment of a fork (`park`) and another goes on
where it was (`resume`): what was a program of one thread forks as one, and is not warned of threads that it
does not have. That costs a fork a few switches between threads, so it is done only where Python warns, and not where
it warns all the same: 3.13 before 3.13.10 and 3.14.0 count the threads after the last hook.
"""

import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any, assert_never

from sonde_agent import link
from sonde_agent.tap import connection as core
from sonde_agent.tap import debugger, greenlets, guarded, probing, redacting, wall
from sonde_agent.tap.errors import NoSidecar
from sonde_agent.tap.identity import Identity
from sonde_agent.tap.report import Reporter
from sonde_agent.tap.sidecar import Sidecar

GREETING_TIMEOUT = 10.0
SEND_TIMEOUT = 10.0
"""Seconds; a sidecar that does not read for so long is lost."""
PARKS = sys.version_info >= (3, 12) and not (
    (3, 13) <= sys.version_info < (3, 13, 10) or sys.version_info[:3] == (3, 14, 0)
)
PARK_TIMEOUT = 0.5
BUSY_PARK_TIMEOUT = 0.01
"""Seconds that a fork may be held up for: while our thread only waits, it needs nothing but its turn; one that is in
the middle of something goes on with it."""
_ONE_READ = 65536
_poll = select.poll
"""As it was: gevent may replace it later by one that needs greenlets."""


class Tap:
    """`start` once, then `leave`. In the tap's thread, `on_end` is called when it ended by itself, and `on_known`
    each time that it is about to say who it is. It is silent for `quiet` seconds first."""

    def __init__(
        self,
        identity: Identity,
        sidecar: Sidecar,
        answer: Callable[[link.Call], link.Result | link.Fault],
        on_end: Callable[[str], None],
        on_known: Callable[[], None] = lambda: None,
        quiet: float = 0.0,
    ) -> None:
        self.identity = identity
        longest_wait = core.LONGEST_WAIT_FOR_NAMED if sidecar.is_named else core.LONGEST_WAIT
        self.connection = core.Connection(_chance, is_quiet=quiet > 0, longest_wait=longest_wait)
        self.will_be_known: bool | None = None if 0 < quiet < inf else not quiet
        """None while it is quiet; False when it stays so."""
        self._sidecar = sidecar
        self._answer = answer
        self._on_end = on_end
        self._on_known = on_known
        self._reporter = Reporter()
        self._metrics: dict[str, Any] = {}
        self._is_new_line = True
        """Its sidecar has not heard of our probes."""
        self._leave: core.Leave | None = None
        self._line: guarded.GuardedSocket | None = None
        self._buffer = link.LineBuffer()
        self._arrived: deque[core.Event] = deque()
        self._wait_until = time.monotonic() + quiet
        self._begun = False
        self._open_wakeup()
        self._parking: list[None] = []
        """Holds one item while the thread is asked to park; whoever takes it out has decided."""
        self._parked = False
        self._waits = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        probing.attend(self._wake_up)
        self._thread = wall.start_thread(self._live, "sonde-tap")

    @property
    def is_alive(self) -> bool:
        return self._parked or (self._thread is not None and self._thread.is_alive())

    def park(self) -> None:
        """Before a fork. Does nothing where it would not help, or where other threads would be left all the same."""
        if not PARKS:
            return
        thread = self._thread
        if thread is None or not thread.is_alive() or thread is threading.current_thread():
            return
        if _count_threads() != 2 or greenlets.have_replaced_threads():
            return
        self._parking.append(None)
        self._wake_up()
        thread.join(PARK_TIMEOUT if self._waits else BUSY_PARK_TIMEOUT)
        if thread.is_alive() and _taken(self._parking):
            return  # it does not end: it is busy
        self._parked = True
        deadline = time.monotonic() + BUSY_PARK_TIMEOUT
        while _count_threads() > 1 and time.monotonic() < deadline:  # to Python it ends a moment sooner
            os.sched_yield()

    def resume(self) -> None:
        """After the fork, in the parent."""
        if self._parked:
            self._parked = False
            self.start()

    def leave(self, ending: link.Ending | None, timeout: float) -> None:
        """Asks the thread to end, with its last word, and waits for it, but no longer than `timeout` seconds."""
        self._leave = core.Leave(ending)
        self._wake_up()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def abandon(self) -> None:
        """In a forked child: the thread is not here, and the line is the parent's. Closes our copies of it."""
        self._hang_up()
        self._close_wakeup()

    def _live(self) -> None:
        parked = False
        try:
            if not self._begun:
                self._begun = True
                if self.connection.state is core.State.CONNECTING:
                    self._perform(core.Connect())
            while self.connection.state not in core.ENDED:
                event = self._leave or self._next_event()
                if event is None:
                    parked = True
                    return
                for effect in self.connection.handle(event, time.monotonic()):
                    self._perform(effect)
            if self._leave is None:
                self._on_end(self.connection.reason)
        finally:
            if not parked:
                wall.behind(probing.close, None)
                self._hang_up()
                self._close_wakeup()

    def _perform(self, effect: core.Effect) -> None:
        """What comes of it is the next event."""
        match effect:
            case core.Connect():
                if self.will_be_known is None:
                    self.identity = self.identity.known()
                    self.will_be_known = True
                self._arrived.append(self._connect())
            case core.Greet():
                self._on_known()
                try:
                    known = self.connection
                    hello = self.identity.hello(self._sidecar.token(), known.process, known.numbered)
                except OSError as error:
                    self._arrived.append(core.Lost(f"the sidecar's token cannot be read ({_kind(error)})"))
                else:
                    self._send(hello)
            case core.Answer(call=call):
                self._send(self._answer(call))
            case core.Report():
                self._metrics = wall.behind(self._reporter.read, {})
                self._report()
            case core.Deliver():
                self._deliver()
            case core.Say(message=message):
                self._deliver()  # before the last word
                self._send(message)
            case core.Redact(welcome=welcome):
                redacting.agree(welcome)
            case core.HangUp():
                self._hang_up()
            case core.ReleaseDebugger():
                debugger.disconnect()
            case core.Wait(seconds=seconds):
                self._wait_until = time.monotonic() + seconds
            case _:
                assert_never(effect)

    def _report(self) -> None:
        now = time.monotonic()
        probing.tick(now)
        probes = probing.report(now, anew=self._is_new_line)
        self._is_new_line = False
        self._send(link.Report(metrics=self._metrics, probes=probes))

    def _deliver(self) -> None:
        if hits := probing.hits(time.monotonic()):
            encoded = wall.behind(lambda: link.encode(link.Hits(hits=hits)), b"")
            if not encoded or len(encoded) > link.LONGEST_LINE or not self._send_line(encoded):
                probing.lost(len(hits))
        if probing.must_report():
            self._report()

    def _connect(self) -> core.Event:
        try:
            self._line = guarded.GuardedSocket(self._sidecar.connect())
        except NoSidecar as error:
            return core.Hopeless(error.reason)
        except OSError as error:
            return core.NotConnected(f"the sidecar cannot be reached ({_kind(error)})")
        self._line.settimeout(SEND_TIMEOUT)
        self._is_new_line = True
        self._buffer = link.LineBuffer()
        return core.Connected()

    def _send(self, message: link.Message) -> None:
        self._send_line(link.encode(message))

    def _send_line(self, encoded: bytes) -> bool:
        """Whether it went out."""
        if self._line is None:
            return False
        try:
            self._line.sendall(encoded)
        except OSError as error:
            self._arrived.clear()  # what it asked before can be answered no more
            self._arrived.append(core.Lost(f"the sidecar was lost ({_kind(error)})"))
            return False
        return True

    def _next_event(self) -> core.Event | None:
        """None when the thread is to park."""
        while not self._arrived:
            if _taken(self._parking):
                return None
            now = time.monotonic()
            if probing.due_at() <= now:
                probing.tick(now)
            if self._line is None:
                self._poll(min(self._wait_until, probing.due_at()) - now)
                if self._leave is None and time.monotonic() < self._wait_until:
                    continue
                self._arrived.append(self._leave or core.Waited())
                break
            greeting = self.connection.state is core.State.GREETING
            report_at = self.connection.report_at
            if report_at is not None and report_at <= now:
                return core.TimePassed()
            if report_at is not None and probing.send_at() <= now:
                return core.Brought()
            ready = self._poll(GREETING_TIMEOUT if greeting else self._seconds_left(report_at, now))
            if self._leave is not None:
                return self._leave
            if ready:
                self._arrived.extend(self._receive(self._line))
            elif greeting:
                self._arrived.append(core.Lost("the sidecar does not answer"))
        return self._arrived.popleft()

    def _poll(self, timeout: float | None) -> bool:
        """Until the line has something, somebody wakes us, or `timeout` seconds have passed."""
        if not self._woken.is_ours:  # the program has closed it
            self._close_wakeup()
            self._open_wakeup()
        if self._line is not None and not self._line.is_ours:
            return True
        poll = _poll()
        poll.register(self._woken, select.POLLIN)
        line = -1
        if self._line is not None:
            line = self._line.fileno()
            poll.register(line, select.POLLIN)
        self._waits = True
        ready = poll.poll(None if timeout is None else max(0.0, timeout) * 1000)
        self._waits = False
        if any(descriptor == self._woken.fileno() for descriptor, _ in ready):
            with suppress(OSError):  # the program has closed it in this moment
                self._woken.recv(_ONE_READ)
        return any(descriptor == line for descriptor, _ in ready)

    def _seconds_left(self, report_at: float | None, now: float) -> float | None:
        """Until there is something to do; None for never. `report_at` is None while nobody is served."""
        due = min(inf if report_at is None else report_at, probing.due_at())
        if report_at is not None:
            due = min(due, probing.send_at())
        return None if due == inf else due - now

    def _receive(self, line: guarded.GuardedSocket) -> list[core.Event]:
        events: list[core.Event] = []
        try:
            data = line.recv(_ONE_READ)
            if not data:
                return [core.Lost("the sidecar hung up")]
            events.extend(core.Arrived(link.decode(text)) for text in self._buffer.feed(data))
        except OSError as error:
            events.append(core.Lost(f"the sidecar was lost ({_kind(error)})"))
        except link.MalformedLine:
            events.append(core.Lost("the sidecar said something that is not of this protocol"))
        return events

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        self._arrived.clear()
        if line is not None:
            line.close()

    def _open_wakeup(self) -> None:
        self._woken, self._wake = guarded.pair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)

    def _wake_up(self) -> None:
        with suppress(OSError):  # it is already awake, or already gone
            self._wake.send(b"!")

    def _close_wakeup(self) -> None:
        self._woken.close()
        self._wake.close()


def _taken(items: list[None]) -> bool:
    """In one step, so that of two threads only one gets it."""
    try:
        items.pop()
    except IndexError:
        return False
    return True


def _count_threads() -> int:
    """Those of the whole process; 0 where that cannot be known."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - pathlib is not imported here
    except OSError:
        return 0


def _chance() -> float:
    """In [0, 1). Not from `random`, whose state is the program's and whose import costs."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


def _kind(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__
