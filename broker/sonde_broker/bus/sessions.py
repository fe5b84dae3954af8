"""One client that has been let in, and what is on its way to it.

Towards a client a message is in one of these places:

    dropped <- unsent -> in flight -> done
                 ^           ^
               queue --------+

*unsent*: bytes handed to the face and not yet taken by the network. Over the backlog limit QoS 0 is dropped.
*in flight*: QoS 1, sent and not acknowledged, at most the receive maximum (§4.9).
*queue*: QoS 1 that waits for one of the two; over its limit the client is disconnected.
*due*: topics whose retained message the client shall get; looked up when there is room, so they cost no copy.
"""

from collections import deque

import msgspec

from sonde_broker.bus.accounts import Grants
from sonde_broker.bus.encoder import encode
from sonde_broker.bus.events import Answer, Effect, Give, Send
from sonde_broker.bus.message import Message
from sonde_broker.bus.packets import Connect, Packet, Version, Will
from sonde_broker.bus.retained import Retained
from sonde_broker.bus.settings import Limits

__all__ = ["PUMP", "InsideSession", "QueueFull", "Session", "weight"]

PUMP = 64 * 1024
"""Bytes that may be unsent for more to be taken from the queue: enough to keep the network busy."""

_OVERHEAD = 64
_HIGHEST_PACKET_ID = 65_535


class QueueFull(Exception):
    """The client does not keep up with its QoS 1 messages. Never leaves the core."""


class Delivery(msgspec.Struct, frozen=True):
    """A message with the QoS and retain flag that this client shall see."""

    message: Message
    qos: int
    retain: bool


class Session:
    """The state of one client between CONNECT and its end."""

    def __init__(
        self, connection: int, connect: Connect, client_id: str, grants: Grants, limits: Limits, now: float
    ) -> None:
        self.connection = connection
        self.version = connect.version
        self.client_id = client_id
        self.user = connect.username or ""
        self.grants = grants
        self.will: Will | None = connect.will
        self.heard = now
        self.patience = connect.keep_alive * 1.5
        self.subscriptions: set[str] = set()
        self.denials = 0
        self.behind_since: float | None = None
        self.sent = 0
        self.dropped = 0
        self._limits = limits
        self._v5 = connect.version is Version.V5
        self._inflight: set[int] = set()
        self._receive_maximum = min(limits.inflight, connect.properties.receive_maximum or _HIGHEST_PACKET_ID)
        self._largest = connect.properties.maximum_packet_size
        self._last_id = 0
        self._unsent = 0
        self._queue: deque[Delivery] = deque()
        self._queue_size = 0
        self._due: dict[str, int] = {}

    def answer(self, packet: Packet) -> Send | Answer:
        """A packet that is no message. Raises QueueFull for a client that asks and never reads the answers."""
        if self._unsent > 2 * self._limits.backlog:
            raise QueueFull
        data = encode(packet, self.version)
        self._unsent += len(data)
        return Send(self.connection, data)

    def deliver(self, message: Message, qos: int, retain: bool, now: float, effects: list[Effect]) -> None:
        """Sends, queues or drops a message. Raises QueueFull."""
        if not qos:
            if self._unsent > self._limits.backlog:
                self._fall_behind(now)
                self.dropped += 1
                return
            data = message.frame(self._v5, 0, retain, 0, now)
            if self._largest is not None and len(data) > self._largest:
                self.dropped += 1
                return
            self._unsent += len(data)
            self.sent += 1
            effects.append(Send(self.connection, data))
        elif self._queue or self._full():
            cost = weight(message)
            if self._queue and self._queue_size + cost > self._limits.queue:
                raise QueueFull
            self._queue.append(Delivery(message, qos, retain))
            self._queue_size += cost
        else:
            self._send_acknowledged(Delivery(message, qos, retain), now, effects)

    def owe(self, topic: str, qos: int) -> None:
        """Notes that the client shall get a topic's retained message."""
        self._due[topic] = qos

    def acknowledged(self, packet_id: int) -> None:
        self._inflight.discard(packet_id)

    def written(self, pending: int) -> None:
        self._unsent = pending
        if pending <= PUMP:
            self.behind_since = None

    def pump(self, retained: Retained, now: float, effects: list[Effect]) -> None:
        """Sends of the queue and of what is due as much as there is room for."""
        while self._queue and not self._full():
            delivery = self._queue.popleft()
            self._queue_size -= weight(delivery.message)
            self._send_acknowledged(delivery, now, effects)
        while self._due and self._unsent <= PUMP:
            topic, qos = next(iter(self._due.items()))
            message = retained.get(topic)
            if message is not None and not message.expired(now):
                qos = min(qos, message.qos)
                if qos and (self._queue or self._full()):
                    return
                self.deliver(message, qos, True, now, effects)
                message.forget_frames()
            del self._due[topic]

    def _full(self) -> bool:
        return len(self._inflight) >= self._receive_maximum or self._unsent > PUMP

    def _fall_behind(self, now: float) -> None:
        if self.behind_since is None:
            self.behind_since = now

    def _send_acknowledged(self, delivery: Delivery, now: float, effects: list[Effect]) -> None:
        message = delivery.message
        if message.expired(now):
            self.dropped += 1
            return
        packet_id = self._last_id
        while True:
            packet_id = packet_id % _HIGHEST_PACKET_ID + 1
            if packet_id not in self._inflight:
                break
        data = message.frame(self._v5, delivery.qos, delivery.retain, packet_id, now)
        if self._largest is not None and len(data) > self._largest:
            # §3.1.2.11.4: such a message counts as delivered.
            self.dropped += 1
            return
        self._last_id = packet_id
        self._inflight.add(packet_id)
        self._unsent += len(data)
        self.sent += 1
        effects.append(Send(self.connection, data))


class InsideSession(Session):
    """Of a client in this process. Messages are handed over as they are, and count as unsent until it has taken them.

    Nothing is acknowledged to it or by it, so there is no queue: it is disconnected when it has not taken as much as a
    client on a socket could have in its backlog and its queue together.
    """

    def answer(self, packet: Packet) -> Send | Answer:
        return Answer(self.connection, packet)

    def deliver(self, message: Message, qos: int, retain: bool, now: float, effects: list[Effect]) -> None:
        if self._unsent > self._limits.backlog:
            self._fall_behind(now)
            if not qos:
                self.dropped += 1
                return
            if self._unsent > self._limits.backlog + self._limits.queue:
                raise QueueFull
        self._unsent += weight(message)
        self.sent += 1
        effects.append(Give(self.connection, message, qos, retain))


def weight(message: Message) -> int:
    """About the bytes that it holds while somebody has not taken it."""
    return len(message.payload) + len(message.topic) + _OVERHEAD
