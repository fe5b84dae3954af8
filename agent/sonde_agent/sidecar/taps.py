"""The face to the processes: taps connect, say who they are, and answer calls (see `sonde_agent.link`).

A tap has five seconds to say a Hello with the right token and version; everybody else is refused or hung up
on. Calls run at the same time and are matched by id; each has a deadline.
"""

import asyncio
import hmac
import itertools
import logging
import re
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from sonde_agent import link
from sonde_agent.sidecar import surrogates
from sonde_agent.sidecar.errors import TapFault, TapLost
from sonde_wire import Code, Failure, Reason

logger = logging.getLogger(__name__)

HELLO_WITHIN = 5.0
MOST_CALLS = 64
_CHUNK = 64 * 1024
_BOOT = re.compile("[0-9a-f]{32}")
_MOST_NUMBERED = 2**52
"""Above it, a page could not tell a number from the next."""
_REASONS = {reason.value: reason for reason in Reason}
_CODES = {code.value: code for code in Code}


class NotWanted(Exception):
    """Raised by who is asked to take a tap; becomes its Refusal."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.refusal = link.Refusal(reason=reason, message=message)


class Start(Protocol):
    """Runs a function in a task. What it raises is not the business of whoever started it."""

    def __call__(
        self, name: str, work: Callable[..., Awaitable[None]], *arguments: object
    ) -> asyncio.Task[None]: ...


class Listener(Protocol):
    """Who is told what the tap says of its probes."""

    def hits(self, hits: list[dict[str, Any]]) -> None: ...
    def reported(self, line: "TapLine", report: dict[str, Any]) -> None: ...
    def lost(self, line: "TapLine") -> None: ...


class TapLine:
    """One tap's connection, after its Hello."""

    def __init__(self, writer: asyncio.StreamWriter, hello: link.Hello, peer_pid: int | None) -> None:
        self._writer = writer
        self.hello = hello
        self.peer_pid = peer_pid
        """The process's number here, where the kernel tells it (it may see another in its own namespace)."""
        self.last_word: link.Ending | None = None
        self.report: tuple[float, link.Report] | None = None
        """The newest, and when it came (monotonic)."""
        self.lost = asyncio.Event()
        self.listener: Listener | None = None
        self._next_id = itertools.count(1).__next__
        self._calls: dict[int, asyncio.Future[Any]] = {}

    async def call(self, operation: str, within: float, **arguments: Any) -> Any:
        """The value of its Result. Raises `TapFault` (also when it does not answer in time) or `TapLost`."""
        if self.lost.is_set():
            raise TapLost
        if len(self._calls) >= MOST_CALLS:
            raise TapFault(_fault(Code.RESOURCE_EXHAUSTED, Reason.TOO_MANY, "too many calls wait; try again"))
        call = link.Call(id=self._next_id(), operation=operation, arguments=arguments)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls[call.id] = future
        self._writer.write(link.encode(call))
        try:
            async with asyncio.timeout(within):
                return await future
        except TimeoutError:
            message = "the process did not answer in time; it may be busy in native code"
            raise TapFault(_fault(Code.DEADLINE_EXCEEDED, Reason.NO_ANSWER, message)) from None
        finally:
            del self._calls[call.id]

    def tell(self, message: link.Numbered) -> None:
        """After its Welcome."""
        if not self.lost.is_set():
            self._writer.write(link.encode(message))

    def received(self, message: link.Message) -> None:
        match message:
            case link.Result(id=number, value=value):
                if (future := self._calls.get(number)) and not future.done():
                    future.set_result(value)
            case link.Fault(id=number):
                if (future := self._calls.get(number)) and not future.done():
                    future.set_exception(TapFault(_read_fault(message)))
            case link.Report():
                self.report = (time.monotonic(), message)
                if self.listener is not None and message.probes is not None:
                    self.listener.reported(self, message.probes)
            case link.Hits(hits=hits):
                if self.listener is not None:
                    self.listener.hits(hits)
            case link.Ending():
                self.last_word = message
            case _:
                raise link.MalformedLine(f"a {type(message).__name__} out of place")

    def close(self) -> None:
        self._writer.close()
        if self.listener is not None and not self.lost.is_set():
            self.listener.lost(self)
        self.lost.set()
        for future in self._calls.values():
            if not future.done():
                future.set_exception(TapLost())


class TapServer:
    """Serves each line in a task of its own. `take` welcomes the process, or raises `NotWanted`."""

    def __init__(self, start: Start, token: str, take: Callable[[TapLine], Awaitable[link.Welcome]]) -> None:
        self._start = start
        self._token = token
        self._take = take
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def listen(self, where: tuple[str, int] | socket.socket) -> link.SidecarAddress:
        """On host and port, or on a Unix socket that is bound. Raises `OSError`."""
        if isinstance(where, socket.socket):
            self._server = await asyncio.start_unix_server(self._accept, sock=where)
            return link.SidecarAddress(path=where.getsockname())
        self._server = await asyncio.start_server(self._accept, *where)
        host, port = self._server.sockets[0].getsockname()[:2]
        return link.SidecarAddress(host=host, port=port)

    def stop_listening(self) -> None:
        if self._server:
            self._server.close()

    def close(self) -> None:
        """Hangs up on everybody."""
        self.stop_listening()
        self._closed = True
        for task in self._tasks:
            task.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:  # it came just before
            writer.close()
            return
        task = self._start("a tap's line", self._serve, reader, writer)
        task.add_done_callback(lambda _: writer.close())  # also of one that is cancelled before it has begun
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer = link.LineBuffer()
        line: TapLine | None = None
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                lines = await _next_lines(reader, buffer)
            line = TapLine(writer, self._admit(_decode(lines.pop(0))), _peer_pid(writer))
            writer.write(link.encode(await self._take(line)))
            while True:
                for each in lines:
                    line.received(_decode(each))
                lines = await _next_lines(reader, buffer)
        except NotWanted as error:
            logger.warning("refused a tap: %s", error.refusal.message)
            writer.write(link.encode(error.refusal))
        except link.MalformedLine as error:
            logger.warning("hung up on a tap: %s", error.problem)
        except TimeoutError:
            logger.warning("hung up on a connection that said nothing for %.0f s", HELLO_WITHIN)
        except (OSError, EOFError):
            logger.debug("a tap's line ended")
        finally:
            if line:
                line.close()
            writer.close()

    def _admit(self, hello: link.Message) -> link.Hello:
        if not isinstance(hello, link.Hello):
            raise link.MalformedLine("no Hello first")
        if not hmac.compare_digest(hello.token.encode(), self._token.encode()):
            raise NotWanted("bad_token", "the token is not this sidecar's")
        if hello.version != link.VERSION:
            raise NotWanted(
                "bad_version", f"this sidecar speaks version {link.VERSION}: install the same sonde in both"
            )
        if not _BOOT.fullmatch(hello.boot) or not 0 <= hello.numbered < _MOST_NUMBERED:
            raise link.MalformedLine("a boot or a number that no tap has")
        return hello


def _decode(line: bytes) -> link.Message:
    return link.decode(surrogates.replaced(line))


async def _next_lines(reader: asyncio.StreamReader, buffer: link.LineBuffer) -> list[bytes]:
    """At least one. Raises `EOFError`, `OSError`, `MalformedLine`."""
    while True:
        data = await reader.read(_CHUNK)
        if not data:
            raise EOFError
        if lines := list(buffer.feed(data)):
            return lines


def _peer_pid(writer: asyncio.StreamWriter) -> int | None:
    sock = writer.get_extra_info("socket")
    if sock is None or sock.family != socket.AF_UNIX:
        return None
    layout = struct.Struct("3i")
    pid, _, _ = layout.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size))
    return pid or None


def _read_fault(fault: link.Fault) -> Failure:
    return _fault(_CODES.get(fault.code, Code.UNKNOWN), _REASONS.get(fault.reason, Reason.BUG), fault.message)


def _fault(code: Code, reason: Reason, message: str) -> Failure:
    return Failure(code=code, reason=reason, message=message)
