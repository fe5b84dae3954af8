"""What is measured: a broker of ours, and the MQTT servers that take WebSockets themselves, each on the same core.

SONDE_BENCH_BROKER has further options of `sonde broker` for all of ours, such as "--history none".
"""

import asyncio
import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from bench import machine
from bench.load.mqtt import Door
from bench.load.websocket import Gate
from sonde_wire.mqtt import BusUrl
from tests.support.site import site

VARIABLE = "SONDE_BENCH_BROKER"
_STARTS_WITHIN = 10.0
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Server:
    """Running: where agents publish, where viewers read, and whose CPU and memory it costs."""

    name: str
    door: Door
    gate: Gate
    pid: int

    @cached_property
    def pids(self) -> tuple[int, ...]:
        return machine.family(self.pid)

    def busy(self) -> float:
        """CPU seconds so far."""
        return machine.busy(self.pids)

    def memory(self) -> float:
        """MiB."""
        return machine.memory(self.pids)


@asynccontextmanager
async def sonde(
    name: str, *options: str, directory: Path | None = None, token: str = ""
) -> AsyncIterator[Server]:
    """A real `sonde broker`; its directory, if given, outlives it, and with it the key and the `token` of an earlier
    one there."""
    with contextlib.ExitStack() as stack:
        place = directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pinned = stack.enter_context(contextlib.ExitStack())
        pinned.enter_context(machine.on_cpu(machine.SERVER_CPU))
        quiet = ("--log-level", "error", *shlex.split(os.environ.get(VARIABLE, "")))
        async with site(place, *quiet, *options) as started:
            pinned.close()
            bus = BusUrl.parse(started.bus)
            issued = ("--sub", "bench", "--scope", "observe,inspect", "--processes", "*/*/*", "--ttl", "1h")
            token = token or started.issue(*issued)
            web = urlsplit(started.url)
            assert web.hostname is not None and web.port is not None
            yield Server(
                name,
                Door(bus.host, bus.port, bus.user, bus.password),
                Gate("sonde", web.hostname, web.port, token),
                started.broker.process.pid,
            )


def mosquitto_is_here() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def nats_is_here() -> str | None:
    return shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")


@asynccontextmanager
async def mosquitto(name: str = "mosquitto", ports: tuple[int, int] | None = None) -> AsyncIterator[Server]:
    """With its own WebSocket listener, nothing kept on disk, and unbounded queues, so that it drops nothing."""
    program = mosquitto_is_here()
    assert program is not None, "mosquitto is the peer here: apt-get install mosquitto"
    mqtt, web = ports or free_ports()
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "mosquitto.conf"
        file.write_text(
            f"listener {mqtt} {_LOOPBACK}\nlistener {web} {_LOOPBACK}\nprotocol websockets\n"
            "set_tcp_nodelay true\nallow_anonymous true\npersistence false\nmax_queued_messages 0\nlog_dest none\n"
        )
        with _started(program, "-c", str(file)) as pid:
            await _listens(mqtt, web)
            yield Server(name, Door(_LOOPBACK, mqtt), Gate("mqtt", _LOOPBACK, web), pid)


@asynccontextmanager
async def nats(name: str = "nats") -> AsyncIterator[Server]:
    """MQTT in (for which it wants JetStream), its own protocol over WebSocket out."""
    program = nats_is_here()
    assert program is not None, "nats-server is not here: apt-get install nats-server"
    mqtt, web = free_ports()
    client, _ = free_ports()
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "nats.conf"
        file.write_text(
            f'host: "{_LOOPBACK}"\nport: {client}\nserver_name: bench\nping_interval: "30m"\n'
            f'jetstream {{ store_dir: "{directory}" }}\n'
            f'mqtt {{ host: "{_LOOPBACK}", port: {mqtt} }}\n'
            f'websocket {{ host: "{_LOOPBACK}", port: {web}, no_tls: true }}\n'
        )
        with _started(program, "-c", str(file), "-l", str(Path(directory) / "log")) as pid:
            await _listens(mqtt, web)
            yield Server(name, Door(_LOOPBACK, mqtt), Gate("nats", _LOOPBACK, web), pid)


@contextlib.contextmanager
def _started(*command: str) -> Iterator[int]:
    with machine.on_cpu(machine.SERVER_CPU):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports() -> tuple[int, int]:
    with socket.create_server((_LOOPBACK, 0)) as one, socket.create_server((_LOOPBACK, 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


async def _listens(*ports: int) -> None:
    async with asyncio.timeout(_STARTS_WITHIN):
        for port in ports:
            while True:
                try:
                    _, writer = await asyncio.open_connection(_LOOPBACK, port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                break


def note(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
