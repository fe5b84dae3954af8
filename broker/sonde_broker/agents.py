"""The left face: the line to the bus, where agents are.

Receives what they tell, checks it (`ingress`) and tells the core; publishes and subscribes what the core orders, in its order;
keeps our own presence retained, with a last will, because sidecars close the sessions of a broker that is lost.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, assert_never

from sonde_broker import ingress
from sonde_broker.exchange import ToBus
from sonde_broker.relay_io import Announce, BusDown, BusUp, Happening, Listen, Listening, Publish, Unlisten
from sonde_wire import MalformedMessage, bus, codec, topics
from sonde_wire.mqtt import BusLine, BusLost, Will

logger = logging.getLogger(__name__)

MOST_QUEUED = 4096
"""Messages that wait to be published; further ones are dropped, and what they asked ends by its deadline."""
_FAREWELL = 2.0
_COMPLAIN_EVERY = 100


class StayConnected(Protocol):
    """`sonde_wire.mqtt.stay_connected` to some server, or what does the same inside this process."""

    async def __call__(
        self,
        *,
        client_id: str,
        will: Callable[[], Will | None],
        serve: Callable[[BusLine], Awaitable[None]],
        lost: Callable[[BusLost], None],
    ) -> None: ...


class Agents:
    """`tell` is told `BusUp`, `BusDown` and what agents publish."""

    def __init__(self, stay: StayConnected, broker: str, tell: Callable[[Happening], None]) -> None:
        self.malformed = 0
        """Messages that were dropped because they were not what they should be."""
        self.dropped = 0
        self.connected = asyncio.Event()
        self._stay = stay
        self._broker = broker
        self._tell = tell
        self._store: str | None = None
        self._outgoing: asyncio.Queue[ToBus] = asyncio.Queue()  # bounded by `perform`

    @property
    def queued(self) -> int:
        """Orders that wait for the line."""
        return self._outgoing.qsize()

    def perform(self, order: ToBus) -> None:
        """Never waits. What is ordered while there is no line is for nobody: the core begins anew with the next one."""
        if isinstance(order, Announce):
            self._store = order.store  # each new line announces it, too
        if isinstance(order, Publish) and self._outgoing.qsize() >= MOST_QUEUED:
            self.dropped += 1
            logger.error("the bus takes messages too slowly; one for %s was dropped", order.topic)
            return
        self._outgoing.put_nowait(order)

    async def run(self) -> None:
        """Until cancelled; then the presence is taken back in an orderly way."""
        await self._stay(
            client_id=f"sonde-broker-{self._broker}",
            will=lambda: Will(topics.presence_of_broker(self._broker), self._presence("lost")),
            serve=self._serve,
            lost=self._lost,
        )

    async def _serve(self, connection: BusLine) -> None:
        """Two tasks while the line lasts, `receive` and `publish`; either ends with `BusLost`, and so does the
        other. Both are cancelled from outside when the broker stops."""
        self._forget_queued()
        await connection.publish(
            topics.presence_of_broker(self._broker), self._presence("online"), retain=True, qos=1
        )
        lost: BusLost | None = None
        try:
            async with asyncio.TaskGroup() as group:
                receive = group.create_task(self._receive(connection), name="bus: receive")
                group.create_task(self._publish(connection), name="bus: publish")
                await connection.subscribe(topics.replies_to(self._broker))
                # Before what is retained arrives: from here on every process has to tell of itself again.
                self._tell(BusUp())
                await connection.subscribe(
                    topics.all_probes(),
                    topics.all_brokers(),
                    topics.processes(topics.Channel.PROBES),
                    topics.processes(topics.Channel.PRESENCE),
                    qos=1,
                )
                self.connected.set()
                await receive
        except* BusLost as failed:
            lost = _first(failed)
        finally:
            self.connected.clear()
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                await self._say_farewell(connection)
        if lost is not None:
            raise lost

    async def _receive(self, connection: BusLine) -> None:
        async for message in connection:
            try:
                happening = ingress.read(message.topic, message.payload, self._broker)
            except MalformedMessage as error:
                self.malformed += 1
                if self.malformed % _COMPLAIN_EVERY == 1:
                    logger.warning("dropped from %s: %s (%d so far)", message.topic, error, self.malformed)
                continue
            if happening is not None:
                self._tell(happening)

    async def _publish(self, connection: BusLine) -> None:
        while True:
            order = await self._outgoing.get()
            match order:
                case Publish(topic, payload, retain, expires):
                    await connection.publish(
                        topic, payload, retain=retain, qos=1 if retain else 0, expires=expires
                    )
                case Listen(filters):
                    await connection.subscribe(*filters)
                    self._tell(Listening(filters))
                case Unlisten(filters):
                    await connection.unsubscribe(*filters)
                case Announce():
                    topic = topics.presence_of_broker(self._broker)
                    await connection.publish(topic, self._presence("online"), retain=True, qos=1)
                case _:
                    assert_never(order)

    def _lost(self, error: BusLost) -> None:
        logger.warning("%s; trying again", error)
        self._tell(BusDown())
        self._forget_queued()

    def _forget_queued(self) -> None:
        """What waited for the old line is not for the new one: its askers were told that the bus was lost."""
        with contextlib.suppress(asyncio.QueueEmpty):
            while True:
                self._outgoing.get_nowait()

    async def _say_farewell(self, connection: BusLine) -> None:
        """Sends what the last viewers' leaving ordered, says that this broker is gone, and leaves nothing
        retained behind."""
        topic = topics.presence_of_broker(self._broker)
        try:
            async with asyncio.timeout(_FAREWELL):
                while not self._outgoing.empty():
                    order = self._outgoing.get_nowait()
                    if isinstance(order, Publish):
                        await connection.publish(order.topic, order.payload, retain=order.retain)
                await connection.publish(topic, self._presence("lost"), retain=True, qos=1)
                await connection.publish(topic, b"", retain=True, qos=1)
        except (BusLost, TimeoutError):
            logger.warning("the bus was gone before the farewell; our last will speaks for us")

    def _presence(self, state: str) -> bytes:
        online = state == "online"
        return codec.encode(
            bus.BrokerPresence(
                broker=self._broker,
                state="online" if online else "lost",
                time=time.time(),
                store=self._store if online else None,
            )
        )


def _first(group: BaseExceptionGroup[BusLost]) -> BusLost:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, BusLost)  # noqa: S101 - `except*` has just sorted it
    return error
