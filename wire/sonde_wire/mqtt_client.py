"""aiomqtt's client, with what it keeps to itself.

It tells what the server answered (the reasons of CONNACK, PUBACK and DISCONNECT), ends every wait at once when the
line ends, and takes in what comes by the shortest way: paho and aiomqtt make a task and a dozen objects for each
message. Everything that reaches into aiomqtt (2.5) and paho (2.1) is in this module.
"""

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import aiomqtt
from msgspec import Struct
from paho.mqtt.client import MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from sonde_wire.mqtt_url import BusUrl, Server

logger = logging.getLogger(__name__)

KEEPALIVE = 10
"""Seconds. The server publishes the last will after 1.5 times as long a silence."""
MOST_RECEIVED = 10_000
"""Messages that wait for their reader; further ones are dropped and counted."""
_AT_ONCE = 20
"""QoS 1 messages on their way to the server at the same time, where it does not ask for fewer."""
_COMPLAIN_EVERY = 1000
_RETAINED, _NO_RETAINED = 0, 2
"""Retain Handling of MQTT 5 (section 3.8.3.1)."""


class Will(Struct, frozen=True):
    """What the server publishes, retained, when this client vanishes without a goodbye."""

    topic: str
    payload: bytes


class Received(Struct, frozen=True):
    topic: str
    payload: bytes
    retained: bool


class Unanswered(aiomqtt.MqttError):
    """The server closed the connection instead of answering the CONNECT."""


class Ended(aiomqtt.MqttError):
    """The line ended. `code` is the reason that the server gave in a DISCONNECT, None when it said nothing."""

    def __init__(self, code: int | None) -> None:
        super().__init__("the line broke" if code is None else f"disconnected, reason {code}")
        self.code = code


def _is_news(record: logging.LogRecord) -> bool:
    """That the line broke is said by whoever serves it, as a warning."""
    return not str(record.msg).startswith(("failed to receive on socket", "Could not gracefully disconnect"))


_library = logging.getLogger(f"{__name__}.aiomqtt")
_library.addFilter(_is_news)


class Client(aiomqtt.Client):
    """One connection, made once. `v5` says which MQTT is spoken; nothing of ours outlives the connection in the
    server."""

    def __init__(self, url: BusUrl, server: Server, *, client_id: str, will: Will | None, v5: bool) -> None:
        super().__init__(
            server.host,
            server.port,
            username=url.user,
            password=url.password,
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if v5 else aiomqtt.ProtocolVersion.V311,
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=True) if will else None,
            tls_context=ssl.create_default_context() if url.tls else None,
            keepalive=KEEPALIVE,
            clean_session=None if v5 else True,
            properties=_properties(PacketTypes.CONNECT, SessionExpiryInterval=0) if v5 else None,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            logger=_library,
        )
        self.v5 = v5
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._writing = False
        self._answers: dict[int, asyncio.Future[int]] = {}
        self._received: deque[Received] = deque()
        self._dropped = 0
        self._reader: asyncio.Future[None] | None = None
        self._ended: Ended | None = None
        self._reason: int | None = None
        self._heed_answers()
        self._client._handle_publish = self._take_publish  # type: ignore[method-assign]
        self._disconnected.add_done_callback(self._end)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        if self._ended is not None:  # it was let in and thrown out at once; aiomqtt takes it for connected
            await self.__aexit__(None, None, None)
            raise self._ended
        return self

    # What goes out -----------------------------------------------------------------------------------------------

    async def send(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, properties: Properties | None
    ) -> int:
        """Returns the reason code of the answer; QoS 0 has none and gets 0 when the message was written."""
        if not qos:
            return await self._send(topic, payload, 0, retain, properties)
        async with self._room:
            return await self._send(topic, payload, qos, retain, properties)

    async def _send(
        self, topic: str, payload: bytes, qos: int, retain: bool, properties: Properties | None
    ) -> int:
        if self._ended is not None:
            raise self._ended
        sent = self._publish_now(topic, payload, qos, retain, properties)
        if sent.rc != 0:
            raise aiomqtt.MqttCodeError(sent.rc, "could not publish")
        if sent.is_published():
            return 0
        answer = self._answers[sent.mid] = self._loop.create_future()
        self._heed_answers()
        try:
            async with asyncio.timeout(self.timeout):
                code: int = await answer
                return code
        except TimeoutError:
            raise aiomqtt.MqttError("a message was not answered in time") from None
        finally:
            del self._answers[sent.mid]
            self._heed_answers()

    def _publish_now(self, *message: Any) -> MQTTMessageInfo:
        """What the socket takes is written at once. aiomqtt would write at the loop's next turn, through its self-pipe, and
        that is most of what sending costs."""
        self._writing = True
        try:
            sent = self._client.publish(*message)
            self._client.loop_write()
        finally:
            self._writing = False
        connected = self._client.socket()
        if connected is not None and self._client.want_write():
            super()._on_socket_register_write(self._client, None, connected)
        return sent

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        if not self._writing:
            super()._on_socket_register_write(client, userdata, sock)

    async def ask_for(self, filters: Sequence[str], *, qos: int, retained: bool) -> list[int]:
        """Subscribes; returns the reason code for each filter. `retained` has an effect with MQTT 5 only, and so has
        `qos`: the clustered server without MQTT 5, NATS, keeps a replicated queue for each subscription with QoS 1, which
        stops silently or for many seconds when a node is lost. Its QoS 0 drops nothing while the connection lasts."""
        options = _subscribe_options(qos, _RETAINED if retained else _NO_RETAINED) if self.v5 else 0
        wishes: list[tuple[str, Any]] = [(each, options) for each in filters]
        answers: Any = await self.subscribe(wishes)
        return [int(getattr(each, "value", each)) for each in answers]

    def _heed_answers(self) -> None:
        """While nobody waits, paho is not to build 20 us of objects for each message that it has written."""
        self._client.on_publish = self._on_publish if self._answers else None

    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Any
    ) -> None:
        answer = self._answers.get(mid)
        if answer is not None and not answer.done():
            answer.set_result(int(reason_code.value))

    # What comes in -----------------------------------------------------------------------------------------------

    async def receive(self) -> AsyncIterator[Received]:
        """Ends with `Ended`. There may be one reader."""
        waiting = self._received
        while True:
            while waiting:
                yield waiting.popleft()
            if self._ended is not None:
                raise self._ended
            self._reader = self._loop.create_future()
            await self._reader

    def _take_publish(self) -> MQTTErrorCode:
        """In the place of paho's method, which is called for each PUBLISH: with MQTT 5 it takes 30 us to make objects for
        properties that nobody looks at."""
        packet = self._client._in_packet
        message = read_publish(packet["command"], packet["packet"], v5=self.v5)
        if message is None:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        received, packet_id = message
        if len(self._received) < MOST_RECEIVED:
            self._received.append(received)
            self._wake()
        else:
            self._dropped += 1
            if self._dropped % _COMPLAIN_EVERY == 1:
                logger.warning(
                    "messages of the bus come faster than they are read; %d dropped", self._dropped
                )
        return self._client._send_puback(packet_id) if packet_id else MQTTErrorCode.MQTT_ERR_SUCCESS

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # How it begins and ends --------------------------------------------------------------------------------------

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Any = None
    ) -> None:
        most = getattr(properties, "ReceiveMaximum", _AT_ONCE)
        if most < _AT_ONCE:
            self._room = asyncio.Semaphore(most)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self, client: Any, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Any = None
    ) -> None:
        if not self._connected.done():
            self._connected.set_exception(Unanswered("it closed the connection"))
            self._connected.exception()  # nobody may be waiting any more
        if flags.is_disconnect_packet_from_server:
            self._reason = reason_code.value
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _end(self, disconnected: "asyncio.Future[None]") -> None:
        if not disconnected.cancelled():
            disconnected.exception()  # otherwise asyncio prints it when nobody happens to wait for it
        self._ended = Ended(self._reason)
        waiting: list[asyncio.Future[Any]] = [*self._answers.values(), *self._pending_subscribes.values()]
        for each in waiting:
            if not each.done():
                each.set_exception(self._ended)
        for event in self._pending_unsubscribes.values():
            event.set()
        self._wake()


def read_publish(header: int, body: bytes | bytearray, *, v5: bool) -> tuple[Received, int] | None:
    """The message and, with QoS 1, its packet id (MQTT 5.0, section 3.3); None when it is malformed, or has QoS 2,
    which nobody asks for."""
    qos = header >> 1 & 3
    at = 2 + int.from_bytes(body[:2], "big")
    packet_id = 0
    try:
        topic = body[2:at].decode()
        if qos:
            packet_id = int.from_bytes(body[at : at + 2], "big")
            at += 2
        if v5:
            properties, shift = body[at] & 127, 7
            while body[at] & 128:
                at += 1
                properties += (body[at] & 127) << shift
                shift += 7
            at += 1 + properties
    except (UnicodeDecodeError, IndexError):
        return None
    if at > len(body) or qos > 1 or bool(packet_id) != bool(qos) or not topic:
        return None
    return Received(topic, bytes(body[at:]), bool(header & 1)), packet_id


def _subscribe_options(qos: int, retain_handling: int) -> SubscribeOptions:
    return SubscribeOptions(qos=qos, retainHandling=retain_handling)


def _properties(packet: int, **values: Any) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


class Expiries:
    """The properties of messages that expire, made once for each number of seconds."""

    def __init__(self) -> None:
        self._made: dict[int, Properties] = {}

    def of(self, seconds: int) -> Properties:
        made = self._made.get(seconds)
        if made is None:
            if len(self._made) >= 100:
                self._made.clear()
            made = self._made[seconds] = _properties(PacketTypes.PUBLISH, MessageExpiryInterval=seconds)
        return made
