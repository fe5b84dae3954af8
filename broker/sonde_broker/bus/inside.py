"""The broker's own line to the embedded bus: what `sonde_wire.mqtt` offers, without sockets and without bytes.

It is a client like any other, with an account and its rights, a client id, a last will and bounds on what it may have
waiting. What it publishes goes into the core as a packet and what it receives comes out as the message itself.
"""

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sonde_broker.bus.embedded import EmbeddedBus
from sonde_broker.bus.errors import InvalidTopic
from sonde_broker.bus.events import Give, Received, Written
from sonde_broker.bus.packets import (
    NO_PROPERTIES,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Properties,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Unsubscribe,
    Version,
    Will,
)
from sonde_broker.bus.sessions import PUMP, weight
from sonde_broker.bus.topics import check_filter, check_topic
from sonde_wire import mqtt

__all__ = ["InsideConnection", "connect_inside", "stay_inside"]

logger = logging.getLogger(__name__)

SERVER = "this process"
_AGAIN_MOST = 1.0
"""Seconds until a line that was thrown out is made again, at most: nothing has to be found over a network."""
_TELL_EVERY = PUMP // 4
"""Bytes taken until the core is told."""
_NO_RETAINED = 2
_QUOTA_EXCEEDED = 0x97


class InsideConnection:
    """One connection while it lasts, as `sonde_wire.mqtt.BusConnection` is. There may be one reader."""

    server = SERVER
    version: mqtt.Version = "5"

    def __init__(self, engine: EmbeddedBus, user: str | None) -> None:
        self._engine = engine
        self._answers: list[Packet] = []
        self._waiting: deque[Give] = deque()
        self._unsent = 0
        self._taken = 0
        self._reader: asyncio.Future[None] | None = None
        self._lost: mqtt.BusLost | None = None
        self._connection, self._user, self._password = engine.enter(self, user)

    def enter(self, client_id: str, will: mqtt.Will | None) -> None:
        """Raises `BusRefused`."""
        connect = Connect(
            version=Version.V5,
            client_id=client_id,
            username=self._user,
            password=None if self._password is None else self._password.encode(),
            will=None if will is None else Will(topic=will.topic, payload=will.payload, qos=1, retain=True),
        )
        answer = self._exchange(connect)
        if isinstance(answer, Connack) and answer.reason:
            raise self._refused("to be connected to", answer.reason)
        if self._lost is not None:
            raise self._lost

    def leave(self) -> None:
        """In an orderly way: the last will is not published."""
        if self._lost is None:
            self._exchange(Disconnect())

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        qos: int = 0,
        expires: float | None = None,
    ) -> None:
        """Delivered when it returns. With QoS 0 a refusal is only in the bus's log."""
        self._check(check_topic, topic)
        properties = NO_PROPERTIES
        if expires is not None:
            properties = Properties(message_expiry=max(1, math.ceil(expires)))
        answer = self._ask(
            Publish(
                topic=topic,
                payload=payload,
                qos=min(qos, 1),
                retain=retain,
                packet_id=1 if qos else 0,
                properties=properties,
            )
        )
        if not isinstance(answer, Puback) or answer.reason < 0x80:
            return
        if answer.reason != _QUOTA_EXCEEDED:
            raise self._refused(f"a message on {topic}", answer.reason)
        logger.warning("%s", self._refused(f"to keep {topic}", answer.reason))

    async def subscribe(self, *filters: str, qos: int = 0, retained: bool = True) -> None:
        """All filters are tried before the first refused one is raised."""
        if not filters:
            return
        for each in filters:
            self._check(check_filter, each)
        handling = 0 if retained else _NO_RETAINED
        wishes = tuple(Subscription(filter=each, qos=qos, retain_handling=handling) for each in filters)
        answer = self._ask(Subscribe(packet_id=1, subscriptions=wishes))
        if isinstance(answer, Suback):
            for wanted, code in zip(filters, answer.reasons, strict=True):
                if code >= 0x80:
                    raise self._refused(f"the subscription to {wanted}", code)

    async def unsubscribe(self, *filters: str) -> None:
        """One that was not subscribed is no mistake."""
        if filters:
            self._ask(Unsubscribe(packet_id=1, filters=filters))

    async def __aiter__(self) -> AsyncIterator[mqtt.Received]:
        waiting = self._waiting
        while True:
            while waiting:
                given = waiting.popleft()
                message = given.message
                size = weight(message)
                self._unsent -= size
                self._taken += size
                yield mqtt.Received(message.topic, message.payload, given.retain)
                if self._taken >= _TELL_EVERY:
                    await self._tell_taken()
            if self._lost is not None:
                raise self._lost
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader

    async def _tell_taken(self) -> None:
        """The core may fill the room at once from thousands of retained messages, so others get their turn first."""
        self._taken = 0
        await asyncio.sleep(0)
        if self._lost is None:
            self._engine.heard(self._connection, Written(self._connection, self._unsent))

    # What the bus calls ---------------------------------------------------------------------------------------

    def given(self, message: Give) -> None:
        self._waiting.append(message)
        self._unsent += weight(message.message)
        self._wake()

    def answered(self, packet: Packet) -> None:
        self._answers.append(packet)

    def closed(self, reason: int, detail: str) -> None:
        self._lost = mqtt.BusLost(SERVER, f"it ended the line: {detail}")
        self._wake()

    # ----------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _ask(self, packet: Packet) -> Packet | None:
        """The answer, if the packet has one. Raises `BusLost`."""
        if self._lost is not None:
            raise self._lost
        answer = self._exchange(packet)
        if self._lost is not None:
            raise self._lost
        return answer

    def _exchange(self, packet: Packet) -> Packet | None:
        """The core has done everything, also for all others, when it returns."""
        self._answers.clear()
        self._engine.heard(self._connection, Received(self._connection, (packet,)))
        return self._answers[0] if self._answers else None

    def _check(self, check: Callable[[str], None], topic: str) -> None:
        """What a decoder would have refused."""
        try:
            check(topic)
        except InvalidTopic as error:
            raise mqtt.BusLost(SERVER, str(error)) from None

    def _refused(self, what: str, code: int) -> mqtt.BusRefused:
        return mqtt.BusRefused(SERVER, what, code, self._user)


@asynccontextmanager
async def connect_inside(
    engine: EmbeddedBus, *, user: str | None, client_id: str, will: mqtt.Will | None = None
) -> AsyncIterator[InsideConnection]:
    """With the account of `user`; None: the first one, or nothing on a bus without accounts. Raises `BusLost`, and
    `BusRefused` when the bus does not let it in."""
    connection = InsideConnection(engine, user)
    connection.enter(client_id, will)
    try:
        yield connection
    finally:
        connection.leave()


async def stay_inside(
    engine: EmbeddedBus,
    *,
    user: str | None,
    client_id: str,
    will: Callable[[], mqtt.Will | None],
    serve: Callable[[InsideConnection], Awaitable[None]],
    lost: Callable[[mqtt.BusLost], None],
) -> None:
    """As `sonde_wire.mqtt.stay_connected`. The line ends when another client takes its id, or when `serve` does not take
    what it asked for."""
    attempt = 0
    while True:
        try:
            async with connect_inside(engine, user=user, client_id=client_id, will=will()) as connection:
                await serve(connection)
                return
        except mqtt.BusLost as error:
            lost(error)
        attempt = min(attempt + 1, 10)
        await asyncio.sleep(random.uniform(0, min(_AGAIN_MOST, 0.05 * 2**attempt)))  # noqa: S311 - jitter, not a secret
