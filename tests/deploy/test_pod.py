"""The programs as the containers start them, side by side without containers: bus, broker, sidecar, sample."""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from sonde_wire import bus as messages
from sonde_wire import codec, topics
from sonde_wire.mqtt import BusConnection, connect
from sonde_wire.topics import Channel
from tests.deploy.bus import PATIENCE, Bus
from tests.deploy.manifests import DEPLOY

PROBE = "import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(3); s.connect('{}')"


@pytest.fixture
def run_directory() -> Iterator[Path]:
    """Short, because a Unix socket's path may have 107 bytes."""
    directory = Path(tempfile.mkdtemp(prefix="sonde-"))
    yield directory
    shutil.rmtree(directory)


@asynccontextmanager
async def program(*words: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SONDE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *words, env={**clean, **environment}, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(PATIENCE):
            await process.communicate()


async def first_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        return (await process.stdout.readline()).decode().strip()


async def announced(process: asyncio.subprocess.Process) -> Mapping[str, str]:
    line: Mapping[str, str] = json.loads(await first_line(process))
    return line


async def presence(connection: BusConnection, state: str) -> messages.Presence:
    async with asyncio.timeout(PATIENCE):
        async for message in connection:
            arrived = codec.decode(message.payload, messages.Presence)
            if arrived.state == state:
                return arrived
    raise AssertionError("the bus said nothing more")


async def answer(port: int, path: str) -> str:
    """The status line, to the Host that the probes name."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        line = await reader.readline()
        await reader.read()
    writer.close()
    await writer.wait_closed()
    return line.decode().strip()


async def test_the_sample_is_seen_through_its_sidecar_from_start_to_end(
    bus: Bus, run_directory: Path
) -> None:
    address = f"unix:{run_directory}/agent.sock"
    token = str(run_directory / "token")
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(connect(bus.url("broker"), client_id="test"))
        await broker.subscribe(topics.processes(Channel.PRESENCE))
        sidecar = await stack.enter_async_context(
            program(
                *("sonde_agent.sidecar", "--listen", address, "--token-file", token),
                SONDE_BUS=f"mqtt://agent@127.0.0.1:{bus.port}",
                SONDE_BUS_PASSWORD_FILE=str(bus.secrets / "agent-bus-password"),
            )
        )
        assert await announced(sidecar) == {"sidecar": address, "token_file": token}
        probe = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROBE.format(run_directory / "agent.sock")
        )
        assert await probe.wait() == 0
        shop = await stack.enter_async_context(
            program(
                *("sonde_agent", "run", str(DEPLOY / "sample" / "shop.py")),
                PORT="0",
                SONDE_SIDECAR=address,
                SONDE_SIDECAR_TOKEN_FILE=token,
                SONDE_NAMESPACE="pod",
                SONDE_SERVICE="shop",
                SONDE_INSTANCE="shop-1",
            )
        )
        online = await presence(broker, "online")
        assert (online.process, online.pid) == ("pod/shop/shop-1", shop.pid)
        port = int((await first_line(shop)).rpartition(" ")[2])
        assert await answer(port, "/healthz") == "HTTP/1.0 200 OK"
        assert await answer(port, "/total?tea=two") == "HTTP/1.0 400 Bad Request"
        shop.send_signal(signal.SIGTERM)
        ended = await presence(broker, "ended")
        assert ended.exit is not None
        assert ended.boot == online.boot
        assert await shop.wait() == 0


async def test_the_broker_is_ready_when_it_has_the_bus(bus: Bus) -> None:
    arguments = [
        *("--listen", "127.0.0.1:0"),
        *("--bus", f"mqtt://broker@127.0.0.1:{bus.port}"),
        *("--secret-file", str(bus.secrets / "token-secret")),
        *("--announce-fd", "1"),
    ]
    password = str(bus.secrets / "broker-bus-password")
    async with program("sonde_broker", "serve", *arguments, SONDE_BUS_PASSWORD_FILE=password) as broker:
        port = int((await announced(broker))["url"].rpartition(":")[2])
        for path in ("/healthz", "/readyz"):
            assert await answer(port, path) == "HTTP/1.1 200 OK"
