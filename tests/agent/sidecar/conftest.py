"""A real MQTT server, a sidecar in this process, programs with the real tap, and a broker's part played by hand."""

import asyncio
import itertools
import os
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from sonde_agent.sidecar import Sidecar, SidecarSettings, serve
from sonde_broker.bus import EmbeddedBus
from sonde_wire import Address, bus, codec, mqtt, topics
from tests.support import parts
from tests.support.debuggee import Program, Running, running

T = TypeVar("T")
ALL_SCOPES = ("observe", "inspect", "control", "execute")


@dataclass
class MqttServer:
    url: str
    running: Running


@asynccontextmanager
async def mqtt_server(directory: Path, port: int = 0) -> AsyncIterator[MqttServer]:
    """Mosquitto, to be killed."""
    if (program := parts.MOSQUITTO) is None:
        pytest.skip("mosquitto is not installed")
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
        port = free.getsockname()[1]
    configuration = directory / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
    async with running(program, "-c", str(configuration), env=dict(os.environ)) as started:
        url = f"mqtt://127.0.0.1:{port}"
        async with asyncio.timeout(10):
            while True:
                try:
                    async with mqtt.connect(mqtt.BusUrl.parse(url), client_id="probe"):
                        break
                except mqtt.BusLost:
                    await asyncio.sleep(0.01)  # until it listens; it tells nobody
        yield MqttServer(url, started)


@pytest.fixture
async def mqtt_url() -> AsyncIterator[str]:
    """Of the embedded server; Mosquitto has its turn where a bus is killed, and end to end."""
    async with EmbeddedBus() as server:
        yield server.url


def who(subject: str) -> bus.ViewerIdentity:
    return bus.ViewerIdentity(subject=subject, connection=f"of {subject}", scopes=ALL_SCOPES)


class Broker:
    """What a broker does on the bus: hears everything, asks processes, is heard to be lost."""

    def __init__(self, line: mqtt.BusConnection, name: str) -> None:
        self.line = line
        self.name = name
        self.batches: list[bus.EventBatch] = []
        self.events: list[bus.AnyEvent] = []
        self.presences: list[bus.Presence] = []
        self.metrics: list[bus.Metrics] = []
        self.replies: dict[str, bus.Reply] = {}
        self._heard = asyncio.Condition()
        self._seqs = itertools.count(1)

    async def listen(self) -> None:
        async for message in self.line:
            async with self._heard:
                self._hear(message)
                self._heard.notify_all()

    def _hear(self, message: mqtt.Received) -> None:
        named = topics.read_process(message.topic)
        if named is None:
            reply = codec.decode(message.payload, bus.Reply)
            assert reply.cause is not None
            self.replies[reply.cause] = reply
        elif named[1] is topics.Channel.PRESENCE:
            self.presences.append(codec.decode(message.payload, bus.Presence))
        elif named[1] is topics.Channel.METRICS:
            self.metrics.append(codec.decode(message.payload, bus.Metrics))
        elif named[1] is topics.Channel.EVENTS:
            batch = codec.decode(message.payload, bus.EventBatch)
            self.batches.append(batch)
            self.events += [codec.decode(each, bus.AnyEvent) for each in batch.events]  # type: ignore[arg-type] # a union

    async def until(self, look: Callable[[], T | None], within: float = 30) -> T:
        """The first thing that `look` finds, now or after any message."""
        async with asyncio.timeout(within), self._heard:
            while (found := look()) is None:
                await self._heard.wait()
            return found

    async def presence(self, wanted: Callable[[bus.Presence], bool]) -> bus.Presence:
        return await self.until(
            lambda: self.presences[-1] if self.presences and wanted(self.presences[-1]) else None
        )

    async def event(self, kind: type[T], wanted: Callable[[T], bool] = lambda _: True) -> T:
        return await self.until(
            lambda: next((each for each in self.events if isinstance(each, kind) and wanted(each)), None)
        )

    async def dap_event(self, name: str, **body: Any) -> dict[str, Any]:
        """The body of the next DAP event with that name and these fields; it is taken away."""

        def look() -> dict[str, Any] | None:
            for event in self.events:
                if isinstance(event, bus.DapEvent | bus.Output):
                    message = codec.decode_any(event.message)
                    if message["event"] == name and body.items() <= message["body"].items():
                        self.events.remove(event)
                        return dict(message["body"])
            return None

        return await self.until(look)

    async def comes(self, store: str | None) -> None:
        """It says that it is online, and writes that history."""
        presence = bus.BrokerPresence(broker=self.name, state="online", time=1.0, store=store)
        topic = topics.presence_of_broker(self.name)
        await self.line.publish(topic, codec.encode(presence), retain=True, qos=1)

    async def has_stored(self, process: str, boot: str, upto: int, *, retain: bool = False) -> None:
        stored = bus.EventsStored(process=process, boot=boot, upto=upto)
        topic = topics.of_process(Address.parse(process), topics.Channel.STORED)
        await self.line.publish(topic, codec.encode(stored), retain=retain)

    async def batch(self, wanted: Callable[[bus.EventBatch], bool]) -> bus.EventBatch:
        """The next one like that; what came before it is taken away."""

        def look() -> bus.EventBatch | None:
            for index, each in enumerate(self.batches):
                if wanted(each):
                    del self.batches[: index + 1]
                    return each
            return None

        return await self.until(look)

    async def send(self, process: bus.Presence, operation: bus.AnyOperation, **fields: Any) -> str:
        command = bus.Command(
            process=fields.pop("process", process.process),
            id=fields.pop("id", uuid.uuid4().hex),
            broker=self.name,
            viewer=fields.pop("viewer", who("ada")),
            timeout=fields.pop("timeout", 20),
            operation=operation,
            **fields,
        )
        topic = topics.of_process(Address.parse(process.process), topics.Channel.COMMANDS)
        await self.line.publish(topic, codec.encode(command))
        return command.id

    async def ask(self, process: bus.Presence, operation: bus.AnyOperation, **fields: Any) -> bus.Reply:
        command = await self.send(process, operation, **fields)
        return await self.until(lambda: self.replies.get(command))

    async def open(
        self, process: bus.Presence, session: str, viewer: str = "ada", **fields: Any
    ) -> bus.SessionState:
        reply = await self.ask(process, bus.OpenSession(session=session), viewer=who(viewer), **fields)
        assert isinstance(reply.result, msgspec.Raw), reply.failure
        return codec.decode(reply.result, bus.SessionState)

    async def dap(
        self, process: bus.Presence, session: str, command: str, viewer: str = "ada", **arguments: Any
    ) -> dict[str, Any]:
        """The body of a successful response."""
        request = {"seq": next(self._seqs), "type": "request", "command": command, "arguments": arguments}
        dap = bus.Dap(session=session, request=codec.raw(request))
        reply = await self.ask(process, dap, viewer=who(viewer))
        assert isinstance(reply.result, msgspec.Raw), reply.failure
        response = codec.decode_any(reply.result)
        assert response["success"], response
        assert response["request_seq"] == request["seq"]
        body = response.get("body") or {}
        assert isinstance(body, dict)
        return body


@asynccontextmanager
async def broker_on(url: str, name: str = "b1") -> AsyncIterator[Broker]:
    async with mqtt.connect(mqtt.BusUrl.parse(url), client_id=name) as line:
        broker = Broker(line, name)
        channels = (topics.Channel.PRESENCE, topics.Channel.EVENTS, topics.Channel.METRICS)
        await line.subscribe(*(topics.processes(each) for each in channels), topics.replies_to(name))
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(broker.listen(), name="listen")
            yield broker
            listening.cancel()


@pytest.fixture
async def broker(mqtt_url: str) -> AsyncIterator[Broker]:
    async with broker_on(mqtt_url) as broker:
        yield broker


@pytest.fixture
async def sidecar(mqtt_url: str) -> AsyncIterator[Sidecar]:
    async with serve(SidecarSettings(bus=mqtt_url)) as sidecar:
        yield sidecar


def environment(sidecar: Sidecar | None = None) -> dict[str, str]:
    """Of this process, without its own settings of Sonde, and with those for a sidecar's taps."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("SONDE_")}
    if sidecar is not None:
        ours["SONDE_SIDECAR"] = str(sidecar.address)
        ours["SONDE_SIDECAR_TOKEN_FILE"] = str(sidecar.token_file)
    return {**ours, "PYTHONUNBUFFERED": "1"}


@asynccontextmanager
async def tapped(sidecar: Sidecar, directory: Path, source: str) -> AsyncIterator[tuple[Program, Running]]:
    """A running program that starts the real tap."""
    program = Program.write(directory, source)
    async with running(
        sys.executable, "-Xfrozen_modules=off", str(program.path), env=environment(sidecar)
    ) as started:
        yield program, started
