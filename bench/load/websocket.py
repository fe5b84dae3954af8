"""WebSocket clients that count what arrives by a mark in its bytes: no parsing, so that one core takes hundreds of them.

Three kinds, by what is spoken inside: Sonde's JSON-RPC, MQTT (Mosquitto), NATS's own protocol. All say what they want
and then only read. Ours also answer the server's pings, which needs the frames' headers looked at; the peers' pings are
switched off.
"""

import asyncio
import base64
import socket
import time
from typing import Literal

from msgspec import Struct

from bench.load.mqtt import Door, login
from sonde_broker.bus.encoder import encode
from sonde_broker.bus.packets import Subscribe, Subscription, Version
from sonde_wire import codec, rpc

_TEXT, _BINARY, _PING, _PONG = 0x1, 0x2, 0x9, 0xA
_ANYBODY = Door("", 0)
Speech = Literal["sonde", "mqtt", "nats"]


class Gate(Struct, frozen=True):
    """Where a server takes WebSockets, and what a viewer says there."""

    speech: Speech
    host: str
    port: int
    token: str = ""


class Tally:
    """What all viewers together have received. `sent` set to a time: how long each item took since then."""

    def __init__(self) -> None:
        self.total = 0
        self.sent: float | None = None
        self.took: list[float] = []
        self._target = 0
        self._reached = asyncio.Event()

    def add(self, count: int) -> None:
        if self.sent is not None:
            self.took.extend([time.perf_counter() - self.sent] * count)
        self.total += count
        if self.total >= self._target:
            self._reached.set()

    async def reach(self, total: int, within: float) -> bool:
        if self.total >= total:
            return True
        self._target = total
        self._reached.clear()
        try:
            async with asyncio.timeout(within):
                await self._reached.wait()
        except TimeoutError:
            return False
        return True


class Viewer(asyncio.Protocol):
    """`come`, and from then on `mark`s are counted, here and in the tally of all."""

    def __init__(self, gate: Gate, mark: bytes, tally: Tally) -> None:
        loop = asyncio.get_running_loop()
        self.count = 0
        self.lost: asyncio.Future[None] = loop.create_future()
        self._gate = gate
        self._mark = mark
        self._tally = tally
        self._open = False
        self._opened: asyncio.Future[None] = loop.create_future()
        self._awaited: tuple[bytes, asyncio.Future[None]] | None = None
        self._head = b""
        self._tail = b""
        self._frames = _Pings() if gate.speech == "sonde" else None
        self._transport: asyncio.Transport | None = None

    async def come(self) -> None:
        """Raises `ConnectionError` when nobody is there or it is not let in."""
        await asyncio.get_running_loop().create_connection(lambda: self, self._gate.host, self._gate.port)
        await self._opened

    async def want(self, *wishes: str, topics: tuple[str, ...] = ("events",)) -> None:
        """Selectors for ours, filters or subjects for the others. Returns when the server has said that it knows."""
        match self._gate.speech:
            case "sonde":
                for number, selector in enumerate(wishes, 1):
                    params = rpc.Subscribe(topics=topics, selector=selector)  # type: ignore[arg-type]
                    call = rpc.Request(jsonrpc="2.0", id=number, method="subscribe", params=codec.raw(params))
                    await self.ask(_TEXT, codec.encode(call), b'"subscription":')
            case "mqtt":
                hello = encode(login(_ANYBODY, f"viewer-{id(self)}"), Version.V311)
                await self.ask(_BINARY, hello, b"\x20\x02")
                wanted = tuple(Subscription(filter=each, qos=0) for each in wishes)
                await self.ask(
                    _BINARY, encode(Subscribe(packet_id=1, subscriptions=wanted), Version.V311), b"\x90"
                )
            case "nats":
                wanted_subjects = b"".join(
                    b"SUB %b %d\r\n" % (each.encode(), n) for n, each in enumerate(wishes, 1)
                )
                hello = b'CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\n'
                await self.ask(_BINARY, hello + wanted_subjects + b"PING\r\n", b"PONG")

    async def ask(self, opcode: int, payload: bytes, answer: bytes) -> None:
        """Sends, and waits for bytes that hold `answer`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited = (answer, future)
        self._write(opcode, payload)
        await future

    def leave(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.write(_handshake(self._gate))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)
        for waiting in (self._opened, self._awaited[1] if self._awaited else self._opened):
            if not waiting.done():
                waiting.set_exception(ConnectionError("the WebSocket server hung up"))
                waiting.exception()  # whoever waits gets it; nobody may

    def data_received(self, data: bytes) -> None:
        if not self._open:
            self._head += data
            head, separator, data = self._head.partition(b"\r\n\r\n")
            if not separator:
                return
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                self._opened.set_exception(ConnectionError(self._head[:200].decode(errors="replace")))
                self.leave()
                return
            self._open = True
            self._opened.set_result(None)
        found = data.count(self._mark)
        # a mark may lie across the border of two pieces
        if self._tail:
            found += (self._tail + data[: len(self._mark) - 1]).count(self._mark)
        if len(data) >= len(self._mark):
            self._tail = data[1 - len(self._mark) :]
        else:
            self._tail = (self._tail + data)[1 - len(self._mark) :]
        if found:
            self.count += found
            self._tally.add(found)
        if self._awaited is not None and self._awaited[0] in data:
            self._awaited[1].set_result(None)
            self._awaited = None
        if self._frames is not None:
            for ping in self._frames.found(data):
                self._write(_PONG, ping)

    def _write(self, opcode: int, payload: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the line to the WebSocket server has ended")
        self._transport.write(_frame(opcode, payload))


class _Pings:
    """Finds pings among a server's frames by hopping from header to header (RFC 6455, 5.2)."""

    def __init__(self) -> None:
        self._begun = b""
        self._skip = 0

    def found(self, data: bytes) -> list[bytes]:
        if self._skip >= len(data):
            self._skip -= len(data)
            return []
        pings: list[bytes] = []
        data, at = self._begun + data, self._skip
        self._begun, self._skip = b"", 0
        while at < len(data):
            head = data[at : at + 10]
            size, length = 2, head[1] if len(head) > 1 else 0
            if length >= 126:
                size = 4 if length == 126 else 10
                length = int.from_bytes(head[2:size], "big")
            end = at + size + length
            if len(head) < size or (head[0] & 0x0F == _PING and end > len(data)):
                self._begun = data[at:]
                return pings
            if head[0] & 0x0F == _PING:
                pings.append(data[at + size : end])
            at = end
        self._skip = at - len(data)
        return pings


def _handshake(gate: Gate) -> bytes:
    lines = [
        "GET /ws HTTP/1.1",
        f"Host: {gate.host}:{gate.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(b'sixteen bytes ok').decode()}",
        "Sec-WebSocket-Version: 13",
    ]
    match gate.speech:
        case "sonde":
            lines += [f"Sec-WebSocket-Protocol: {rpc.SUBPROTOCOL}", f"Authorization: Bearer {gate.token}"]
        case "mqtt":
            lines += ["Sec-WebSocket-Protocol: mqtt"]
        case "nats":
            pass
    return "\r\n".join([*lines, "", ""]).encode()


def _frame(opcode: int, payload: bytes) -> bytes:
    """Whole and masked by zeros, which leave the payload as it is: what a mask protects from is not on the loopback."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload
