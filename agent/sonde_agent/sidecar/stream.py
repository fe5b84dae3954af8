"""What a process tells all the time, on its way to the bus: its events in batches, and metrics, of which the newest wins.

Events are published as soon as they are there (the first after a quiet time at once, then at most one message each 5 ms),
and, where brokers write a history, again until that has them: `acknowledging` decides which and when. The journal
keeps them until then, as long as it has room.
"""

import asyncio
import logging
import random
from contextlib import suppress

from sonde_agent.sidecar.acknowledging import Acknowledging
from sonde_agent.sidecar.journal import Journal
from sonde_wire import Address, bus, codec, mqtt, topics
from sonde_wire.topics import Channel

logger = logging.getLogger(__name__)

WINDOW = 0.005
METRICS_LAST = 5.0
"""Seconds after which nobody needs them any more."""


class Stream:
    def __init__(self, address: Address, journal: Journal) -> None:
        self._address = address
        self._journal = journal
        self._acknowledging = Acknowledging(random.random, after=journal.last)
        self._metrics: bytes | None = None
        self._wake = asyncio.Event()
        self._told_of_loss: int | None = None
        """The newest event at that time, until the history has it."""

    # What is put in -------------------------------------------------------------------------------------------

    def events_waiting(self) -> None:
        self._wake.set()
        if self._journal.lost and self._told_of_loss is None:
            self._told_of_loss = self._journal.last
            logger.warning(
                "%s: the history has not taken events for so long that the oldest have to be let go of; they will be "
                "missing in it",
                self._address,
            )

    def metrics(self, sample: bus.Metrics) -> None:
        self._metrics = codec.encode(sample)
        self._wake.set()

    def line_made(self) -> None:
        self._acknowledging.line_made()
        self._wake.set()

    def broker_seen(self, broker: str, store: str | None) -> None:
        self._acknowledging.broker_seen(broker, store, self._now)
        self._have_stored()

    def broker_gone(self, broker: str) -> None:
        self._acknowledging.broker_gone(broker, self._now)
        self._wake.set()

    def stored(self, upto: int) -> None:
        self._acknowledging.stored(upto, self._now)
        self._have_stored()

    def _have_stored(self) -> None:
        upto = self._acknowledging.acknowledged
        if self._acknowledging.is_kept:
            self._journal.stored(upto)
        if self._told_of_loss is not None and upto >= self._told_of_loss:
            logger.warning(
                "%s: the history takes events again; %d are lost to it", self._address, self._journal.lost
            )
            self._journal.lost = 0
            self._told_of_loss = None
        self._wake.set()

    def finish(self) -> None:
        self._wake.set()

    # What goes out --------------------------------------------------------------------------------------------

    async def send(self, line: mqtt.BusConnection, finishing: asyncio.Event) -> None:
        while not finishing.is_set():
            await self._woken()
            await self.publish(line)
            await asyncio.sleep(WINDOW)

    async def publish(self, line: mqtt.BusConnection) -> None:
        """What there is now. What happens meanwhile does not wait for what is sent again."""
        topic = topics.of_process(self._address, Channel.EVENTS)
        while True:
            if batch := self._journal.take():
                try:
                    await line.publish(topic, codec.encode(batch))
                except mqtt.BusLost:
                    self._journal.again_from(batch.first)
                    raise
                self._acknowledging.sent(batch.last, self._now)
            elif (first := self._acknowledging.again(self._now)) is not None:
                batch = self._journal.again(first)
                await line.publish(topic, codec.encode(batch))
                self._acknowledging.sent_again(batch.last, self._now)
            else:
                break
        sample, self._metrics = self._metrics, None
        if sample:
            topic = topics.of_process(self._address, Channel.METRICS)
            await line.publish(topic, sample, expires=METRICS_LAST)

    async def acknowledged(self, line: mqtt.BusConnection, within: float) -> None:
        """Until a history has everything, or nobody is there who writes one, so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._acknowledging.waits:
                    await self._woken()
                    await self.publish(line)

    async def _woken(self) -> None:
        """By something to send, or because it is time to send something again."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._acknowledging.deadline):
                await self._wake.wait()
        self._wake.clear()

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()
