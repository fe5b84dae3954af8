"""A sidecar that speaks the real wire over the real bus, and does what the test tells it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sonde_wire import Address, bus, codec, topics
from sonde_wire.mqtt import BusConnection, BusLost, BusUrl, Will, connect
from sonde_wire.topics import Channel
from tests.broker.messages import BOOT, CHECKOUT, presence


class FakeAgent:
    def __init__(self, connection: BusConnection, process: str) -> None:
        self.commands: asyncio.Queue[bus.Command] = asyncio.Queue()
        self._connection = connection
        self._process = process

    def _topic(self, channel: Channel) -> str:
        return topics.of_process(Address.parse(self._process), channel)

    async def receive(self) -> None:
        """Until the bus is lost."""
        try:
            async for message in self._connection:
                self.commands.put_nowait(codec.decode(message.payload, bus.Command))
        except BusLost:
            return

    async def arrive(self) -> None:
        await self._connection.subscribe(self._topic(Channel.COMMANDS))
        await self.say(presence(self._process))

    async def say(self, message: bus.Presence | bus.EventBatch | bus.Metrics) -> None:
        channel = {bus.Presence: Channel.PRESENCE, bus.EventBatch: Channel.EVENTS}.get(
            type(message), Channel.METRICS
        )
        await self.say_raw(channel, codec.encode(message), retain=channel is Channel.PRESENCE)

    async def say_raw(self, channel: Channel, payload: bytes, *, retain: bool = False) -> None:
        await self._connection.publish(self._topic(channel), payload, retain=retain, qos=int(retain))

    async def command(self) -> bus.Command:
        async with asyncio.timeout(10):
            return await self.commands.get()

    async def reply(self, command: bus.Command, result: Any) -> None:
        reply = bus.Reply(process=self._process, boot=BOOT, cause=command.id, result=codec.raw(result))
        await self._connection.publish(topics.replies_to(command.broker), codec.encode(reply))

    async def answer_next(self, result: Any) -> bus.Command:
        command = await self.command()
        await self.reply(command, result)
        return command


@asynccontextmanager
async def agent(url: str, process: str = CHECKOUT) -> AsyncIterator[FakeAgent]:
    """Online from the start; vanishes without a goodbye at the end of the block only if the bus does."""
    will = Will(
        topics.of_process(Address.parse(process), Channel.PRESENCE), codec.encode(presence(process, "lost"))
    )
    async with connect(BusUrl.parse(url), client_id=process.replace("/", "-"), will=will) as connection:
        fake = FakeAgent(connection, process)
        receiving = asyncio.create_task(fake.receive(), name=f"fake agent {process}")
        try:
            await fake.arrive()
            yield fake
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
