"""An MQTT client that is little more than its socket: 3.1.1, QoS 0 and 1, one asyncio.Protocol and no task."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from sonde_broker.bus.decoder import Decoder
from sonde_broker.bus.encoder import encode, encode_publish
from sonde_broker.bus.fields import text
from sonde_broker.bus.packets import (
    Connack,
    Connect,
    Disconnect,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Version,
    Will,
)

_VERSION = Version.V311
_MOST = 64 * 1024 * 1024


class Door(Struct, frozen=True):
    """Where an MQTT server listens, and as whom one comes in."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None


class Client(asyncio.Protocol):
    """`connect`, then `subscribe` and `publish`; `lost` is done when the line has ended."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = loop.create_future()
        self._made: asyncio.Future[Connack] = loop.create_future()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._last_id = 0
        self._decoder = Decoder(limit=_MOST, version=_VERSION)
        self._transport: asyncio.Transport | None = None
        self._connect = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.write(self._connect)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)
        for waiting in (self._made, *self._answers.values()):
            if not waiting.done():
                waiting.set_exception(ConnectionError("the MQTT server hung up"))
                waiting.exception()  # whoever waits gets it; nobody may

    def data_received(self, data: bytes) -> None:
        self._decoder.feed(data)
        while packets := self._decoder.next_packets():
            for packet in packets:
                if isinstance(packet, Publish):
                    if packet.qos:
                        self._write(encode(Puback(packet_id=packet.packet_id), _VERSION))
                elif isinstance(packet, Connack):
                    self._made.set_result(packet)
                elif isinstance(packet, Puback | Suback):
                    self._answers.pop(packet.packet_id).set_result(packet)

    async def come(self, door: Door, connect: Connect) -> None:
        """Raises `ConnectionError` when nobody is there or it is not let in."""
        self._connect = encode(connect, _VERSION)
        await asyncio.get_running_loop().create_connection(lambda: self, door.host, door.port)
        made = await self._made
        if made.reason:
            raise ConnectionError(f"the MQTT server refused the login: {made.reason}")

    async def subscribe(self, *filters: str, qos: int = 0) -> None:
        wishes = tuple(Subscription(filter=each, qos=qos) for each in filters)
        answer = await self._ask(
            lambda number: encode(Subscribe(packet_id=number, subscriptions=wishes), _VERSION)
        )
        assert isinstance(answer, Suback)
        if max(answer.reasons) > 2:
            raise ConnectionError(f"the MQTT server refused a subscription to {filters}")

    def publish(self, topic: str, payload: bytes) -> None:
        """QoS 0."""
        self._write(packet(topic, payload))

    def publish_packets(self, packets: bytes) -> None:
        """Several, already encoded by `packet`: one write."""
        self._write(packets)

    async def publish_retained(self, topic: str, payload: bytes) -> None:
        """QoS 1; returns when the server has it."""
        await self._ask(
            lambda number: encode_publish(
                text(topic), payload, flags=0b0011, packet_id=number, properties=b""
            )
        )

    @property
    def unsent(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def leave(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(Disconnect(), _VERSION))
            self._transport.close()

    async def _ask(self, make: Callable[[int], bytes]) -> Any:
        self._last_id += 1
        answer = self._answers[self._last_id] = asyncio.get_running_loop().create_future()
        self._write(make(self._last_id))
        return await answer

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the line to the MQTT server has ended")
        self._transport.write(data)


def packet(topic: str, payload: bytes) -> bytes:
    """A PUBLISH with QoS 0."""
    return encode_publish(text(topic), payload, flags=0, packet_id=0, properties=b"")


def login(door: Door, client_id: str, will: Will | None = None) -> Connect:
    return Connect(
        version=_VERSION,
        client_id=client_id,
        clean=True,
        keep_alive=0,
        username=door.user,
        password=door.password.encode() if door.password is not None else None,
        will=will,
    )
