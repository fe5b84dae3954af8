"""The face to pydevd: a one-shot loopback listener, one accepted connection, the handshake, then messages.

    listener on 127.0.0.1 (any port) -- `dial` tells the tap --> pydevd connects; the listener is closed
    -> pydevdAuthorize {debugServerAccessToken}   <- clientAccessToken, compared
    -> pydevdSystemInfo, initialize, attach, configurationDone

Both secrets are random for each connection. Whoever else connects to the listener does not know the client's
secret and is hung up on. A closed socket is the whole goodbye: pydevd then removes the breakpoints and lets
every thread run on by itself.
"""

import asyncio
import hmac
import logging
import secrets
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from msgspec import Struct

from sonde_agent.sidecar.dap import channel, framing
from sonde_agent.sidecar.dap.channel import Channel, Incoming
from sonde_agent.sidecar.errors import DebuggerLost, MalformedFrame, TapFault, TapLost
from sonde_wire import MalformedMessage

logger = logging.getLogger(__name__)

CONNECT_WITHIN = 20.0
"""Seconds for the tap to import debugpy (0.3 s idle, much longer in a busy process) and connect."""
HANDSHAKE_WITHIN = 10.0
_CHUNK = 64 * 1024

_INITIALIZE = {
    "adapterID": "python",
    "clientID": "sonde",
    "pathFormat": "path",
    "linesStartAt1": True,
    "columnsStartAt1": True,
    "supportsVariableType": True,
}
_ATTACH = {
    "justMyCode": False,
    "stopAllThreadsOnSuspend": False,
    "steppingResumesAllThreads": False,
    "subProcess": False,
    "redirectOutput": False,
    "showReturnValue": True,
}


class Dial(Struct, frozen=True):
    """What the tap is told: where to connect, and the two secrets."""

    host: str
    port: int
    server_token: str
    client_token: str


class _SystemInfoProcess(Struct):
    pid: int


class _SystemInfo(Struct):
    process: _SystemInfoProcess


class Debugger:
    """pydevd, after the handshake. `early` are the events that came during it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # without it each answer takes 44 ms; asyncio sets it too, but does not promise it
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = reader
        self._writer = writer
        self._frames = framing.FrameBuffer()
        self._incoming: deque[Incoming] = deque()
        self.capabilities: dict[str, Any] = {}
        self.debugpy = ""
        self.pid = 0
        self.early: list[Incoming] = []

    def send(self, body: bytes) -> None:
        """Never waits: what is sent are requests, which are small, and pydevd's reader thread is always there."""
        self._writer.write(framing.frame(body))

    async def messages(self) -> AsyncIterator[Incoming]:
        """Until the line ends. Raises `DebuggerLost` when what comes is not DAP."""
        while (message := await self._next()) is not None:
            yield message

    async def _next(self) -> Incoming | None:
        try:
            while not self._incoming:
                data = await self._reader.read(_CHUNK)
                if not data:
                    return None
                self._incoming.extend(self._read(data))
            return self._incoming.popleft()
        except OSError:
            return None
        except (MalformedFrame, MalformedMessage) as error:
            raise DebuggerLost(str(error)) from None

    def _read(self, data: bytes) -> Iterator[Incoming]:
        for body in self._frames.feed(data):
            if isinstance(body, bytes):
                yield channel.read(body)
            elif (refused := channel.read_head(body.head)) is not None:
                yield refused
            else:
                logger.warning("an event of %d bytes was dropped", body.length)

    async def shake_hands(self, dial: Dial) -> None:
        asks: Channel[str] = Channel()

        async def ask(command: str, arguments: dict[str, Any]) -> dict[str, Any]:
            self.send(asks.ask(command, arguments, command, 0.0))
            while (message := await self._next()) is not None:
                if message.type == "event":
                    self.early.append(message)
                elif message.type == "response" and asks.answered(message):
                    if not message.success:
                        raise DebuggerLost(f"it refused {command}")
                    return channel.body_of(message)
            raise DebuggerLost(f"it hung up at {command}")

        authorized = await ask("pydevdAuthorize", {"debugServerAccessToken": dial.server_token})
        shown = authorized.get("clientAccessToken")
        if not isinstance(shown, str) or not hmac.compare_digest(shown.encode(), dial.client_token.encode()):
            raise DebuggerLost("somebody else connected in its place")
        self.pid = msgspec.convert(await ask("pydevdSystemInfo", {}), _SystemInfo).process.pid
        self.capabilities = await ask("initialize", _INITIALIZE)
        await ask("attach", _ATTACH)
        await ask("configurationDone", {})

    def close(self) -> None:
        self._writer.close()

    async def closed(self) -> None:
        with suppress(OSError):
            await self._writer.wait_closed()


@asynccontextmanager
async def connected(dial: Callable[[Dial], Coroutine[None, None, str]]) -> AsyncIterator[Debugger]:
    """`dial` makes the tap connect and returns debugpy's version; it may answer after the handshake.

    Raises `DebuggerLost`, and what `dial` raises.
    """
    arrived: asyncio.Future[Debugger] = asyncio.get_running_loop().create_future()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if arrived.done():
            writer.close()
        else:
            arrived.set_result(Debugger(reader, writer))

    try:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        try:  # not `async with`: from 3.12 on that waits until the accepted connection has ended
            debugger = await _welcomed(server, arrived, dial)
        finally:
            server.close()
        yield debugger
    finally:
        if arrived.done() and not arrived.cancelled():
            arrived.result().close()
            await arrived.result().closed()


async def _welcomed(
    server: asyncio.Server,
    arrived: "asyncio.Future[Debugger]",
    dial: Callable[[Dial], Coroutine[None, None, str]],
) -> Debugger:
    """Tasks: `dial`, which answers last; this coroutine waits for the connection and shakes hands."""
    host, port = server.sockets[0].getsockname()[:2]
    secret = Dial(host, port, secrets.token_urlsafe(32), secrets.token_urlsafe(32))
    try:
        async with asyncio.TaskGroup() as group:
            dialling = group.create_task(dial(secret), name="dial")
            try:
                async with asyncio.timeout(CONNECT_WITHIN):
                    debugger = await arrived
                server.close()
                async with asyncio.timeout(HANDSHAKE_WITHIN):
                    await debugger.shake_hands(secret)
            except TimeoutError:
                step = "shake hands" if arrived.done() else "connect"
                raise DebuggerLost(f"it did not {step} in time") from None
            except msgspec.ValidationError:
                raise DebuggerLost("it did not say which process it is") from None
    except* (DebuggerLost, TapLost, TapFault) as errors:
        failed = _first(errors)
    else:
        debugger.debugpy = dialling.result()
        return debugger
    raise failed


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
