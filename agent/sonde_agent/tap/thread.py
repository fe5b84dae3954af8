"""The one thread of the tap: performs what `connection` decides, over the link to the sidecar.

It waits in poll(2) and nowhere else: on the line, and on a socket that wakes it to leave. It holds no lock, and
nothing that the program can hold stops it.
"""

import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import assert_never

from sonde_agent import link
from sonde_agent.tap import connection as core
from sonde_agent.tap import debugger, wall
from sonde_agent.tap.errors import NoSidecar
from sonde_agent.tap.identity import Identity
from sonde_agent.tap.sidecar import Sidecar

GREETING_TIMEOUT = 10.0
SEND_TIMEOUT = 10.0
"""Seconds; a sidecar that does not read for so long is lost."""
_ONE_READ = 65536


class Tap:
    """`start` once, then `leave`. `on_end` is called in the tap's thread when it ended by itself."""

    def __init__(
        self,
        identity: Identity,
        sidecar: Sidecar,
        answer: Callable[[link.Call], link.Result | link.Fault],
        on_end: Callable[[str], None],
    ) -> None:
        self.identity = identity
        self.connection = core.Connection(_chance)
        self._sidecar = sidecar
        self._answer = answer
        self._on_end = on_end
        self._leave: core.Leave | None = None
        self._line: socket.socket | None = None
        self._buffer = link.LineBuffer()
        self._arrived: deque[core.Event] = deque()
        self._wait_until = 0.0
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = wall.start_thread(self._live, "sonde-tap")

    @property
    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def leave(self, ending: link.Ending | None, timeout: float) -> None:
        """Asks the thread to end, with its last word, and waits for it, but no longer than `timeout` seconds."""
        self._leave = core.Leave(ending)
        try:
            self._wake.send(b"!")
        except OSError:  # it is already awake, or already gone
            return
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def abandon(self) -> None:
        """In a forked child: the thread is not here, and the line is the parent's. Closes our copies of it."""
        self._hang_up()
        self._close_wakeup()

    def _live(self) -> None:
        try:
            self._perform(core.Connect())
            while self.connection.state not in core.ENDED:
                event = self._leave or self._next_event()
                for effect in self.connection.handle(event, time.monotonic()):
                    self._perform(effect)
            if self._leave is None:
                self._on_end(self.connection.reason)
        finally:
            self._hang_up()
            self._close_wakeup()

    def _perform(self, effect: core.Effect) -> None:
        """What comes of it is the next event."""
        match effect:
            case core.Connect():
                self._arrived.append(self._connect())
            case core.Greet():
                try:
                    hello = self.identity.hello(self._sidecar.token())
                except OSError as error:
                    self._arrived.append(core.Lost(f"the sidecar's token cannot be read ({_kind(error)})"))
                else:
                    self._send(hello)
            case core.Answer(call=call):
                self._send(self._answer(call))
            case core.Say(message=message):
                self._send(message)
            case core.HangUp():
                self._hang_up()
            case core.ReleaseDebugger():
                debugger.disconnect()
            case core.Wait(seconds=seconds):
                self._wait_until = time.monotonic() + seconds
            case _:
                assert_never(effect)

    def _connect(self) -> core.Event:
        try:
            self._line = self._sidecar.connect()
        except NoSidecar as error:
            return core.Hopeless(error.reason)
        except OSError as error:
            return core.NotConnected(f"the sidecar cannot be reached ({_kind(error)})")
        self._line.settimeout(SEND_TIMEOUT)
        self._buffer = link.LineBuffer()
        return core.Connected()

    def _send(self, message: link.Message) -> None:
        if self._line is None:
            return
        try:
            self._line.sendall(link.encode(message))
        except OSError as error:
            self._arrived.append(core.Lost(f"the sidecar was lost ({_kind(error)})"))

    def _next_event(self) -> core.Event:
        while not self._arrived:
            if self._line is None:
                left = self._wait_until - time.monotonic()
                self._poll(left)
                if self._leave is None and time.monotonic() < self._wait_until:
                    continue
                self._arrived.append(self._leave or core.Waited())
                break
            greeting = self.connection.state is core.State.GREETING
            ready = self._poll(GREETING_TIMEOUT if greeting else None)
            if self._leave is not None:
                return self._leave
            if ready:
                self._arrived.extend(self._receive(self._line))
            elif greeting:
                self._arrived.append(core.Lost("the sidecar does not answer"))
        return self._arrived.popleft()

    def _poll(self, timeout: float | None) -> bool:
        """Until the line has something, somebody wakes us, or `timeout` seconds have passed."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        line = -1
        if self._line is not None:
            line = self._line.fileno()
            poll.register(line, select.POLLIN)
        ready = poll.poll(None if timeout is None else max(0.0, timeout) * 1000)
        return any(descriptor == line for descriptor, _ in ready)

    def _receive(self, line: socket.socket) -> list[core.Event]:
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

    def _close_wakeup(self) -> None:
        self._woken.close()
        self._wake.close()


def _chance() -> float:
    """In [0, 1). Not from `random`, whose state is the program's and whose import costs."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


def _kind(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__
