"""Several brokers on one bus, and an ear on that bus: what a site with replicas is, on this machine.

Brokers are real processes, the bus is Mosquitto where the machine has it, programs run by `sonde run`. Nothing here waits
for a time: the ear hears what brokers and sidecars say to each other, and that is waited for.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psutil
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket
from websockets.typing import Subprotocol

from sonde_broker.bus import BusSettings, EmbeddedBus, MosquittoBus
from sonde_broker.issue import SigningKey, issue
from sonde_wire import Scope, Selector, bus, codec, rpc, topics
from sonde_wire.mqtt import BusLost, BusUrl, Received, connect
from tests.broker import viewer as viewers
from tests.support import parts
from tests.support.debuggee import Program, Running, running

PATIENCE = 40.0
"""Seconds after which something is waited for in vain."""
T = TypeVar("T")
_SECRET = "0123456789abcdef0123456789abcdef"
_NAMES = count(1)

NUMBERS = """
    import sys
    import time

    def step(number):
        return number  # log it

    done = 0
    for line in sys.stdin:
        for number in range(done, done + int(line)):
            step(number)
            time.sleep(0.001)
        done += int(line)
        print("did", done, flush=True)
"""
"""Does so many steps for each line that it reads."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Bus:
    """Keeps its port when it is killed and started again."""

    def __init__(self) -> None:
        self._port = 0
        self._engine: MosquittoBus | EmbeddedBus | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self._port}"

    async def start(self) -> None:
        kind = MosquittoBus if parts.MOSQUITTO else EmbeddedBus
        self._engine = kind(BusSettings(port=self._port))
        await self._engine.__aenter__()
        self._port = self._engine.port

    async def kill(self) -> None:
        """It says nothing to anybody and remembers nothing."""
        if isinstance(self._engine, MosquittoBus):
            os.kill(self._engine.pid, signal.SIGKILL)
        await self.stop()

    async def stop(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.__aexit__(None, None, None)


@dataclass
class Replica:
    """One broker. `process` is its own, not a shell's."""

    url: str
    monitor: str
    process: asyncio.subprocess.Process

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    def memory(self) -> int:
        """Bytes that are resident."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    async def figure(self, name: str) -> float:
        """One of /metrics that has no labels."""
        _, text = await asyncio.to_thread(_get, f"{self.monitor}/metrics")
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        assert found, f"{name} is not in {text}"
        return float(found[1])

    async def ready(self) -> tuple[int, Any]:
        """What /readyz says."""
        status, text = await asyncio.to_thread(_get, f"{self.monitor}/readyz")
        return status, json.loads(text)


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - ours
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


@dataclass
class Fleet:
    """A bus, brokers and programs; `history` is what all brokers write into, if anything."""

    directory: Path
    bus: Bus
    history: str | None = None
    secret: Path = field(init=False)

    def __post_init__(self) -> None:
        self.secret = self.directory / "secret"
        self.secret.write_text(_SECRET)
        self.secret.chmod(0o600)

    @property
    def environment(self) -> dict[str, str]:
        ours = {key: value for key, value in os.environ.items() if not key.startswith("SONDE_")}
        return {**ours, "PYTHONUNBUFFERED": "1"}

    def token(self, subject: str = "ada", scopes: Iterable[Scope] = tuple(Scope)) -> str:
        return issue(
            SigningKey.from_secret_file(self.secret),
            subject=subject,
            scopes=scopes,
            processes=[Selector()],
            issuer="sonde",
            audience="sonde",
            life=600,
            now=time.time(),
        )

    async def start(self, *options: str) -> Replica:
        """A broker that is ready; whoever starts it ends it (`broker` does both)."""
        reading, writing = os.pipe()
        monitor = free_port()
        history = ("--history", self.history) if self.history is not None else ()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sonde_broker", "serve", "--listen", "127.0.0.1:0"),
            *("--bus", self.bus.url, "--secret-file", str(self.secret), *history),
            *("--metrics-listen", f"127.0.0.1:{monitor}", "--announce-fd", str(writing), *options),
            env=self.environment,
            pass_fds=(writing,),
            stdin=asyncio.subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as announced:
            line = await asyncio.to_thread(announced.readline)
        if not line:
            raise AssertionError(f"the broker ended with {await process.wait()} before it was ready")
        return Replica(json.loads(line)["url"], f"http://127.0.0.1:{monitor}", process)

    @asynccontextmanager
    async def broker(self, *options: str) -> AsyncIterator[Replica]:
        replica = await self.start(*options)
        try:
            yield replica
        finally:
            if replica.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    replica.process.send_signal(signal.SIGCONT)
                    replica.process.terminate()
            try:
                async with asyncio.timeout(10):
                    await replica.process.wait()
            except TimeoutError:
                await replica.kill()

    @asynccontextmanager
    async def brokers(self, number: int = 2) -> AsyncIterator[list[Replica]]:
        """They start at the same time."""
        async with contextlib.AsyncExitStack() as stack:
            started = [asyncio.create_task(self._entered(stack)) for _ in range(number)]
            yield list(await asyncio.gather(*started))

    async def _entered(self, stack: contextlib.AsyncExitStack) -> Replica:
        return await stack.enter_async_context(self.broker())

    @asynccontextmanager
    async def viewer(
        self, replica: Replica, subject: str = "ada", **options: Any
    ) -> AsyncIterator[viewers.Viewer]:
        async with viewers.viewer(replica.url, self.token(subject), **options) as one:
            yield one

    @asynccontextmanager
    async def silent(
        self, replica: Replica, subject: str = "sam", *wanted: rpc.Topic
    ) -> AsyncIterator[ClientConnection]:
        """A viewer that has subscribed and reads nothing until its transport is told to go on. Little of what it does not
        read fits into the system's buffers."""
        where = urlsplit(replica.url)
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, (where.hostname, where.port))
        async with websocket(
            f"ws://{where.netloc}{rpc.WEBSOCKET_PATH}",
            sock=line,
            subprotocols=[Subprotocol(rpc.SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {self.token(subject)}"},
            proxy=None,
            max_size=None,
            max_queue=None,
            ping_interval=None,
            close_timeout=1,
        ) as connection:
            if wanted:
                call = {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"topics": wanted}}
                await connection.send(json.dumps(call))
                while "result" not in json.loads(await connection.recv()):
                    pass
            connection.transport.pause_reading()
            try:
                yield connection
            finally:
                connection.transport.abort()

    @asynccontextmanager
    async def run(self, program: Program, service: str) -> AsyncIterator[Running]:
        """`sonde run` of the program, whose probes may cost what they cost."""
        command = (sys.executable, "-m", "sonde_agent", "run", "--bus", self.bus.url, "--service", service)
        environment = self.environment | {"SONDE_PROBE_BUDGET": "100"}
        async with running(*command, "--", str(program.path), env=environment) as started:
            yield started


@asynccontextmanager
async def fleet(directory: Path, history: str | None = None) -> AsyncIterator[Fleet]:
    line = Bus()
    await line.start()
    try:
        yield Fleet(directory, line, history)
    finally:
        await line.stop()


class Ear:
    """Everything that is said on the bus, in order."""

    def __init__(self, connection: Any) -> None:
        self.heard: list[Received] = []
        self._connection = connection
        self._news = asyncio.Condition()

    async def listen(self) -> None:
        """Until the bus is lost."""
        try:
            async for message in self._connection:
                async with self._news:
                    self.heard.append(message)
                    self._news.notify_all()
        except BusLost:
            return

    async def until(self, found: Callable[[], T | None]) -> T:
        """The first value of `found` that is not None, tried after each message."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: found() is not None)
        value = found()
        assert value is not None
        return value

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        await self._connection.publish(topic, payload, retain=retain, qos=1)

    def on(self, channel: topics.Channel, process: str | None = None) -> list[bytes]:
        """What was said on a channel of a process, or of all."""
        found = []
        for each in self.heard:
            named = topics.read_process(each.topic)
            if named is not None and named[1] is channel and process in (None, str(named[0])):
                found.append(each.payload)
        return found

    def stores(self) -> dict[str, str | None]:
        """Of the brokers that are online: the history that each writes."""
        found: dict[str, str | None] = {}
        for each in self.heard:
            broker = topics.read_broker_presence(each.topic)
            if broker is None:
                continue
            told = codec.decode(each.payload, bus.BrokerPresence) if each.payload else None
            if told is None or told.state == "lost":
                found.pop(broker, None)
            else:
                found[broker] = told.store
        return found

    async def writing(self, number: int) -> None:
        """Until so many brokers are online and write a history."""
        await self.until(
            lambda: True if len([each for each in self.stores().values() if each]) == number else None
        )

    async def stored(self, process: str, text: str) -> int:
        """Until the history has the event that carries the text, and all before it; its number."""

        def number() -> int | None:
            for payload in self.on(topics.Channel.EVENTS, process):
                if text.encode() in payload:
                    for event in codec.decode(payload, bus.EventBatch).events:
                        if text.encode() in bytes(event):
                            return int(json.loads(bytes(event))["seq"])
            return None

        seq = await self.until(number)

        def acknowledged() -> bool | None:
            told = self.on(topics.Channel.STORED, process)
            return True if told and codec.decode(told[-1], bus.EventsStored).upto >= seq else None

        await self.until(acknowledged)
        return seq


@asynccontextmanager
async def ear(line: Bus) -> AsyncIterator[Ear]:
    url = BusUrl.parse(line.url)
    async with connect(url, client_id=f"ear-{os.getpid()}-{next(_NAMES)}") as connection:
        one = Ear(connection)
        listening = asyncio.create_task(one.listen(), name="an ear on the bus")
        try:
            await connection.subscribe("sonde/#", qos=1)
            yield one
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def logged(viewer: viewers.Viewer, program: Program, service: str, processes: int = 1) -> str:
    """Sets a log probe on the program's steps and waits until it is there; its id."""
    spec = {
        "kind": {"type": "log", "template": "number {number}"},
        "place": {"type": "line", "path": program.path.name, "line": program.line("log it")},
        "target": {"selector": f"*/{service}/*"},
        "max_hits": 10**6,
        "rate": 10_000,
        "burst": 10_000,
    }
    added = await viewer.result("probe.add", probe=spec)
    probe = str(added["probe"]["id"])
    await viewer.result("subscribe", topics=["probes"])
    await viewer.until(
        lambda told: any(
            each["probe"]["id"] == probe and each["totals"].get("installed", 0) == processes
            for each in viewers.items(told, "probes")
        )
    )
    return probe


async def appeared(viewer: viewers.Viewer, service: str) -> str:
    """Waits for a process of the service; its name."""
    await viewer.result("subscribe", topics=["presence"])

    def online(told: list[dict[str, Any]]) -> str | None:
        for each in viewers.items(told, "presence"):
            if each["state"] == "online" and each["process"].split("/")[1] == service:
                return str(each["process"])
        return None

    return str(await viewer.until(online))


async def history(viewer: viewers.Viewer, process: str) -> list[dict[str, Any]]:
    """All that is remembered of it, the oldest first."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await viewer.result("history.events", selector=process, order="oldest", limit=1000, **cursor)
        found += page["events"]
        if "cursor" not in page:
            return found
        cursor = {"cursor": page["cursor"]}


def numbers(events: Iterable[dict[str, Any]]) -> list[int]:
    return [each["seq"] for each in events]


def steps(events: Iterable[dict[str, Any]]) -> list[int]:
    """What the log probe has seen."""
    texts = [each["message"] for each in events if each["type"] == "probe_logged"]
    return [int(found[1]) for text in texts if (found := re.search(r"number (\d+)", text))]
