"""MQTT clients that others wrote, made to look alike: paho (through aiomqtt), gmqtt and mosquitto's own."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, NamedTuple, Protocol

import aiomqtt
import gmqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from sonde_broker.bus import EmbeddedBus, MosquittoBus
from sonde_broker.bus.events import Give, Lost
from sonde_broker.bus.inside import InsideConnection
from sonde_wire import mqtt
from tests.support.nats import OneNats

PATIENCE = 10.0

Bus = EmbeddedBus | MosquittoBus | OneNats


class Message(NamedTuple):
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


class Refused(Exception):
    """The server did not let the peer in."""


class Peer(Protocol):
    """A connected client. `kill` drops its connection as a crash would; `lost` returns when it was dropped."""

    async def subscribe(self, wanted: str, qos: int = 0) -> None: ...
    async def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> None: ...
    async def receive(self) -> Message: ...
    def kill(self) -> None: ...
    async def lost(self) -> None: ...


class PeerMaker(Protocol):
    def __call__(
        self,
        bus: Bus,
        *,
        client_id: str = "",
        user: tuple[str, str] | None = None,
        will: Message | None = None,
    ) -> AbstractAsyncContextManager[Peer]: ...


class PahoPeer:
    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self._messages = aiter(client.messages)

    async def subscribe(self, wanted: str, qos: int = 0) -> None:
        await self.client.subscribe(wanted, qos=qos)

    async def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> None:
        await self.client.publish(topic, payload, qos=qos, retain=retain)

    async def receive(self) -> Message:
        got = await self.receive_all()
        assert isinstance(got.payload, bytes)
        return Message(str(got.topic), got.payload, got.qos, got.retain)

    async def receive_all(self) -> aiomqtt.Message:
        async with asyncio.timeout(PATIENCE):
            return await anext(self._messages)

    def kill(self) -> None:
        connected = self.client._client.socket()
        assert isinstance(connected, socket.socket)
        connected.shutdown(socket.SHUT_RDWR)

    async def lost(self) -> None:
        async with asyncio.timeout(PATIENCE):
            with suppress(aiomqtt.MqttError):
                await anext(self._messages)


def paho(version: aiomqtt.ProtocolVersion) -> PeerMaker:
    @asynccontextmanager
    async def make(
        bus: Bus,
        *,
        client_id: str = "",
        user: tuple[str, str] | None = None,
        will: Message | None = None,
    ) -> AsyncIterator[Peer]:
        client = aiomqtt.Client(
            "127.0.0.1",
            bus.port,
            identifier=client_id or f"paho-{secrets.token_hex(4)}",
            protocol=version,
            username=user[0] if user else None,
            password=user[1] if user else None,
            will=aiomqtt.Will(*will) if will else None,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            timeout=PATIENCE,
        )
        try:
            await client.__aenter__()
        except aiomqtt.MqttError as error:
            raise Refused from error
        try:
            yield PahoPeer(client)
        finally:
            with suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)

    return make


class GmqttPeer:
    def __init__(self, client: gmqtt.Client) -> None:
        self._client = client
        self._received: asyncio.Queue[Message] = asyncio.Queue()
        self._granted: asyncio.Queue[int] = asyncio.Queue()
        self._dropped = asyncio.Event()
        client.on_message = self._on_message
        client.on_subscribe = lambda _client, mid, _qos, _properties: self._granted.put_nowait(mid)
        client.on_disconnect = self._on_disconnect

    def _on_disconnect(self, *_: Any) -> None:
        # It would come back, whatever its configuration says, and two with one client id would fight for ever.
        self._client._temporarily_stop_reconnect()
        self._dropped.set()

    def _on_message(self, _client: Any, topic: str, payload: bytes, qos: int, properties: Any) -> int:
        self._received.put_nowait(Message(topic, bytes(payload), qos, bool(properties["retain"])))
        return 0

    async def subscribe(self, wanted: str, qos: int = 0) -> None:
        mid = self._client.subscribe(wanted, qos=qos)
        async with asyncio.timeout(PATIENCE):
            while await self._granted.get() != mid:
                continue

    async def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=qos, retain=retain)

    async def receive(self) -> Message:
        async with asyncio.timeout(PATIENCE):
            return await self._received.get()

    def kill(self) -> None:
        self._client._connection._transport.abort()

    async def lost(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._dropped.wait()


def gmqtt_(version: int) -> PeerMaker:
    @asynccontextmanager
    async def make(
        bus: Bus,
        *,
        client_id: str = "",
        user: tuple[str, str] | None = None,
        will: Message | None = None,
    ) -> AsyncIterator[Peer]:
        last = gmqtt.Message(will.topic, will.payload, qos=will.qos, retain=will.retain) if will else None
        client = gmqtt.Client(client_id or f"gmqtt-{secrets.token_hex(4)}", will_message=last)
        if user:
            client.set_auth_credentials(*user)
        peer = GmqttPeer(client)
        try:
            async with asyncio.timeout(PATIENCE):
                await client.connect("127.0.0.1", bus.port, version=version)
        except (gmqtt.mqtt.handler.MQTTConnectError, OSError) as error:
            raise Refused from error
        try:
            yield peer
        finally:
            await client.disconnect()

    return make


class InsidePeer(InsideConnection):
    """The line without a socket, which tells a message's QoS as well. `bus` is the one that it is inside of."""

    def __init__(self, bus: EmbeddedBus, user: str | None) -> None:
        self._given: list[int] = []
        super().__init__(bus, user)
        self._bus = bus
        self._messages = aiter(self)

    def login(self, user: tuple[str, str] | None, client_id: str, will: Message | None) -> None:
        self._user, self._password = user or (None, None)
        try:
            self.enter(client_id, mqtt.Will(will.topic, will.payload) if will else None)
        except mqtt.BusRefused as error:
            raise Refused from error

    def given(self, message: Give) -> None:
        self._given.append(message.qos)
        super().given(message)

    async def receive(self) -> Message:
        async with asyncio.timeout(PATIENCE):
            got = await anext(self._messages)
        return Message(got.topic, got.payload, self._given.pop(0), got.retained)

    def kill(self) -> None:
        self._bus._guests.pop(self._connection)
        self._bus._handle(Lost(self._connection))
        self.closed(0, "killed")

    async def lost(self) -> None:
        async with asyncio.timeout(PATIENCE):
            with suppress(mqtt.BusLost):
                await anext(self._messages)


class _InsidePeer(InsidePeer):
    """A refusal is for the test to see by what arrives, as with the other peers."""

    async def subscribe(self, wanted: str, qos: int = 0) -> None:  # type: ignore[override]
        with suppress(mqtt.BusRefused):
            await super().subscribe(wanted, qos=qos)

    async def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> None:  # type: ignore[override]
        with suppress(mqtt.BusRefused):
            await super().publish(topic, payload, qos=qos, retain=retain)


@asynccontextmanager
async def inside(
    bus: Bus,
    *,
    client_id: str = "",
    user: tuple[str, str] | None = None,
    will: Message | None = None,
) -> AsyncIterator[Peer]:
    assert isinstance(bus, EmbeddedBus)
    peer = _InsidePeer(bus, None)
    peer.login(user, client_id or f"inside-{secrets.token_hex(4)}", will)
    try:
        yield peer
    finally:
        peer.leave()


PEERS: dict[str, PeerMaker] = {
    "paho-3.1.1": paho(aiomqtt.ProtocolVersion.V311),
    "paho-5": paho(aiomqtt.ProtocolVersion.V5),
    "gmqtt-3.1.1": gmqtt_(4),
    "gmqtt-5": gmqtt_(5),
    "inside": inside,
}


def plain(bus: Bus) -> PeerMaker:
    """A client where it does not matter which. gmqtt waits for seconds before it tries 3.1.1 after 5."""
    return PEERS["gmqtt-3.1.1" if isinstance(bus, OneNats) else "gmqtt-5"]


def message_properties(**values: Any) -> PahoProperties:
    properties = PahoProperties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


class Program:
    """A running mosquitto_pub or mosquitto_sub."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await self._process.stdout.readline()).decode().rstrip("\n")

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()

    def kill(self) -> None:
        self._process.kill()

    def terminate(self) -> None:
        self._process.terminate()


@asynccontextmanager
async def program(name: str, bus: Bus, *arguments: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        name, "-h", "127.0.0.1", "-p", str(bus.port), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
