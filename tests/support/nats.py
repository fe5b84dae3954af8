"""Three NATS servers on this machine that are one bus by their MQTT listeners, with the configuration of deploy/.

Not of any event loop, so that the tests of a module can share them.
"""

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

import pytest

from sonde_broker.bus import BusSettings, tether
from sonde_wire import topics
from sonde_wire.mqtt import BusLost, BusUrl, Server, connect
from tests.support import parts

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "nats" / "nats.conf"
TETHER = Path(tether.__file__)
"""Ends a server with the tests that started it, however they end."""
PATIENCE = 30.0
_ATTEMPTS = 3
_NODES = 3

needs_nats = pytest.mark.skipif(parts.NATS is None, reason="needs nats-server; apt-get install nats-server")


class NotStarted(Exception):
    """A server ended at once. Its port may have been taken by another program in the meantime."""


class Node:
    """One server. `mqtt` is its port for brokers and agents; it keeps it when it is started again."""

    def __init__(
        self, name: str, directory: Path, settings: dict[str, str], configuration: Path = CONFIGURATION
    ) -> None:
        self.name = name
        self.mqtt = -1
        self._configuration = configuration
        self._log = directory / f"{name}.log"
        self._settings = {"NAME": f'"{name}"', "STORE": f'"{directory}/{name}"', **settings}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert parts.NATS is not None
        self._log.unlink(missing_ok=True)
        settings = {**self._settings, "MQTT": f'"127.0.0.1:{self.mqtt}"'}
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), parts.NATS),
                *("-c", str(self._configuration), "-l", str(self._log)),
            ],
            env={**os.environ, **{f"SONDE_NATS_{key}": value for key, value in settings.items()}},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def started(self) -> None:
        """Waits until it listens and, as one of several, knows the others."""
        self.mqtt = int(self._says(r"MQTT clients on mqtt://127\.0\.0\.1:(\d+)")[1])
        self._says(
            "JetStream cluster (new )?metadata leader" if "ROUTES" in self._settings else "Server is ready"
        )

    def _says(self, pattern: str) -> re.Match[str]:
        """Raises `NotStarted` when it ends without saying so."""
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ended = self._process.poll() is not None
            text = self._log.read_text() if self._log.exists() else ""
            if found := re.search(pattern, text):
                return found
            if ended:
                break
            time.sleep(0.02)
        raise NotStarted(f"{self.name} did not say {pattern!r}: {text[-2000:]}")

    def kill(self) -> None:
        """It says nothing to anybody."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()


@dataclass(frozen=True)
class Cluster:
    nodes: tuple[Node, ...]
    passwords: dict[str, str]

    def url(self, user: str, *nodes: Node) -> BusUrl:
        """Of some nodes, or of all of them."""
        first, *further = (Server("127.0.0.1", each.mqtt) for each in nodes or self.nodes)
        return BusUrl(
            first.host, first.port, user=user, password=self.passwords[user], further=tuple(further)
        )

    def text(self, user: str, *nodes: Node) -> str:
        """The same as somebody would type it."""
        url = self.url(user, *nodes)
        return f"mqtt://{user}:{quote(self.passwords[user], safe='')}@{url.server}"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Ready: every node lets brokers in, and keeps what is retained."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sonde-nats-")))
        for attempt in range(_ATTEMPTS):
            running = stack.enter_context(ExitStack())
            try:
                started = _start(running, directory / str(attempt))
                break
            except NotStarted:
                running.close()
                if attempt == _ATTEMPTS - 1:
                    raise
        asyncio.run(ready(started))
        yield started


def _start(running: ExitStack, directory: Path) -> Cluster:
    directory.mkdir()
    passwords = {user: secrets.token_urlsafe(12) for user in ("agent", "broker", "route")}
    ports = _free_ports(_NODES)
    routes = ", ".join(f'"nats-route://route:{passwords["route"]}@127.0.0.1:{port}"' for port in ports)
    common = {
        "LISTEN": '"127.0.0.1:-1"',
        "ROUTES": f"[{routes}]",
        **{f"{user.upper()}_PASSWORD": f'"{password}"' for user, password in passwords.items()},
    }
    nodes = []
    for number, port in enumerate(ports):
        node = Node(f"n{number}", directory, {**common, "CLUSTER": f'"127.0.0.1:{port}"'})
        running.callback(node.stop)
        node.start()
        nodes.append(node)
    for node in nodes:
        node.started()
    return Cluster(tuple(nodes), passwords)


def _free_ports(count: int) -> list[int]:
    """Of the system's choice, and different ones; whoever is quicker can still take one."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


async def ready(started: Cluster) -> None:
    """The streams behind MQTT are made when the first client comes; until they are, one may be refused."""
    topic = topics.presence_of_broker("probe")
    async with asyncio.timeout(PATIENCE):
        for node in started.nodes:
            while True:
                try:
                    async with connect(started.url("broker", node), client_id=f"probe-{node.name}") as line:
                        await line.publish(topic, node.name.encode(), retain=True, qos=1)
                        await line.publish(topic, b"", retain=True, qos=1)
                    break
                except BusLost:
                    await asyncio.sleep(0.05)


class OneNats:
    """A single server with accounts as our own engines have them, for the tests that all buses share. It starts in a
    tenth of the time of a cluster, so that each test gets a new one."""

    def __init__(self, settings: BusSettings | None = None) -> None:
        self._settings = settings or BusSettings()
        self._stack = ExitStack()
        self.port = 0

    async def __aenter__(self) -> Self:
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sonde-nats-")))
        configuration = directory / "nats.conf"
        configuration.write_text(_alone(CONFIGURATION.read_text(), self._settings))
        node = Node("n0", directory, {"LISTEN": '"127.0.0.1:-1"'}, configuration)
        self._stack.callback(node.stop)
        node.start()
        node.started()
        self.port = node.mqtt
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        return self.url_for(None)

    def url_for(self, user: str | None) -> str:
        return self._settings.url(self.port, user)


def _alone(text: str, settings: BusSettings) -> str:
    text = re.sub(r"^cluster \{.*?^\}\n", "", text, flags=re.DOTALL | re.MULTILINE)
    text = text.replace("stream_replicas: 3", "stream_replicas: 1")
    text = text.replace("max_payload: 16M", f"max_payload: {settings.limits.packet}")
    text = text[: text.index("# The same as sonde_wire.topics")]
    users = [
        f"{{user: {each.user}, password: {json.dumps(each.password)}, permissions: {{"
        f"publish: {_subjects(each.publish)}, subscribe: {_subjects((*each.subscribe, '$MQTT/sub/#'))}}}}}"
        for each in settings.accounts
    ]
    return text + (f"authorization {{ users: [{', '.join(users)}] }}\n" if users else "")


def _subjects(filters: Iterable[str]) -> str:
    """With `a/#` an MQTT client asks for `a` as well."""
    wanted = [each for one in filters for each in dict.fromkeys((one.removesuffix("/#"), one))]
    return json.dumps([subject(each) for each in wanted])


def subject(topic_filter: str) -> str:
    """What NATS makes of a filter whose levels are all there and hold no dot."""
    return topic_filter.translate(str.maketrans("/+#", ".*>"))
