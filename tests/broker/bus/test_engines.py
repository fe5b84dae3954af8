"""What each engine does for itself: starting, ending, being refused, being lost."""

import asyncio
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sonde_broker.bus import (
    Account,
    BusSettings,
    EmbeddedBus,
    EngineLost,
    EngineMissing,
    InvalidSettings,
    Limits,
    MosquittoBus,
)
from sonde_broker.bus.encoder import encode
from sonde_broker.bus.packets import Connect, Subscribe, Subscription, Version
from tests.broker.bus.peers import PATIENCE, PEERS
from tests.support import parts

ACCOUNT = Account(user="agent", password="secret", publish=("#",), subscribe=("#",))
needs_mosquitto = pytest.mark.skipif(
    parts.MOSQUITTO is None,
    reason="needs mosquitto; apt-get install mosquitto",
)


@asynccontextmanager
async def raw(bus: EmbeddedBus) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", bus.port)
    try:
        async with asyncio.timeout(PATIENCE):
            yield reader, writer
    finally:
        writer.transport.abort()


class TestEmbedded:
    async def test_a_taken_port_is_reported(self) -> None:
        async with EmbeddedBus() as bus:
            with pytest.raises(EngineLost, match="in use"):
                async with EmbeddedBus(BusSettings(port=bus.port)):
                    pass

    async def test_its_port_is_free_again_after_its_end(self) -> None:
        async with EmbeddedBus() as bus:
            port = bus.port
        async with EmbeddedBus(BusSettings(port=port)) as bus:
            assert bus.port == port

    async def test_it_tells_clients_of_its_end_and_watch_returns(self) -> None:
        async with EmbeddedBus() as bus:
            watching = asyncio.create_task(bus.watch())
            async with PEERS["paho-5"](bus) as peer:
                await bus.__aexit__(None, None, None)
                await peer.lost()
        async with asyncio.timeout(PATIENCE):
            await watching

    async def test_it_ends_although_a_client_reads_nothing(self) -> None:
        settings = BusSettings(limits=Limits(packet=16 << 20))
        async with EmbeddedBus(settings) as bus, raw(bus) as (reader, writer):
            await _subscribe(reader, writer)
            async with PEERS["gmqtt-5"](bus) as sender:
                for _ in range(4):
                    await sender.publish("a", bytes(4 << 20))
                await sender.subscribe("end")
                await sender.publish("end", b"")
                await sender.receive()
            async with asyncio.timeout(PATIENCE):
                await bus.__aexit__(None, None, None)

    async def test_sockets_do_not_wait_for_more_to_send(self) -> None:
        """Else an acknowledgement behind a message takes 40 ms."""
        async with EmbeddedBus() as bus, PEERS["paho-3.1.1"](bus) as peer:
            await peer.subscribe("a", 1)
            loop = asyncio.get_running_loop()
            began = loop.time()
            for _ in range(50):
                await peer.publish("a", b"", 1)
                await peer.receive()
            assert loop.time() - began < 1.5

    async def test_a_connection_that_says_nothing_is_closed(self) -> None:
        async with EmbeddedBus(BusSettings(limits=Limits(connect=0.1))) as bus, raw(bus) as (reader, writer):
            writer.write(b"\x10")
            assert await reader.read() == b""

    async def test_a_client_that_falls_silent_is_closed(self) -> None:
        async with EmbeddedBus() as bus, raw(bus) as (reader, writer):
            writer.write(encode(Connect(version=Version.V311, client_id="a", keep_alive=1), Version.V311))
            assert await reader.read() == b"\x20\x02\x00\x00"

    async def test_a_reader_that_never_reads_is_bounded_and_then_closed(self) -> None:
        limits = Limits(backlog=1 << 20, slow=0.2)
        async with EmbeddedBus(BusSettings(limits=limits)) as bus, raw(bus) as (reader, writer):
            await _subscribe(reader, writer)
            async with PEERS["gmqtt-5"](bus) as sender:
                await sender.subscribe("end")
                while bus.counters().dropped < 10:
                    await sender.publish("a", bytes(200_000))
                    await sender.publish("end", b"")
                    await sender.receive()
                assert bus.counters().sent < 200
                while bus.counters().clients > 1:
                    await sender.publish("end", b"")
                    await sender.receive()

    async def test_a_reader_of_everything_misses_nothing(self) -> None:
        async with EmbeddedBus() as bus, PEERS["gmqtt-5"](bus) as reader, PEERS["gmqtt-3.1.1"](bus) as sender:
            await reader.subscribe("a")
            for number in range(5000):
                await sender.publish("a", b"%d" % number + bytes(500))
            for number in range(5000):
                assert (await reader.receive()).payload.startswith(b"%d\0" % number)
            assert bus.counters().dropped == 0

    async def test_a_refusal_is_logged_with_who_and_what(self, caplog: pytest.LogCaptureFixture) -> None:
        account = Account(user="agent", password="secret", subscribe=("end",), publish=("end",))
        async with (
            EmbeddedBus(BusSettings(accounts=(account,))) as bus,
            PEERS["gmqtt-5"](bus, client_id="ag1", user=("agent", "secret")) as peer,
        ):
            await peer.subscribe("end")
            await peer.publish("secrets/x", b"")
            await peer.publish("end", b"")
            await peer.receive()
            assert bus.counters().denied == 1
        assert "refused to let client 'ag1' of user 'agent' publish to secrets/x" in caplog.text
        assert "secret'" not in caplog.text


async def _subscribe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    wish = Subscribe(packet_id=1, subscriptions=(Subscription(filter="a"),))
    writer.write(encode(Connect(version=Version.V311, client_id="stuck"), Version.V311))
    writer.write(encode(wish, Version.V311))
    assert await reader.readexactly(9) == b"\x20\x02\x00\x00\x90\x03\x00\x01\x00"
    writer.transport.pause_reading()  # type: ignore[attr-defined]


def _mode(place: Path) -> int:
    return stat.S_IMODE(place.stat().st_mode)


def _texts(place: Path) -> str:
    texts = "".join(file.read_text() for file in place.iterdir())
    assert ACCOUNT.user in texts
    return texts


@needs_mosquitto
class TestMosquitto:
    async def test_its_crash_is_reported_to_whoever_watches(self) -> None:
        async with MosquittoBus() as bus:
            watching = asyncio.create_task(bus.watch())
            os.kill(bus.pid, signal.SIGKILL)
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(EngineLost) as lost:
                    await watching
            assert lost.value.code == -signal.SIGKILL

    async def test_its_ordinary_end_is_no_error(self) -> None:
        async with MosquittoBus() as bus:
            watching = asyncio.create_task(bus.watch())
        async with asyncio.timeout(PATIENCE):
            await watching

    async def test_a_taken_port_is_reported(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            with pytest.raises(EngineLost, match="in use"):
                async with MosquittoBus(BusSettings(port=port)):
                    pass

    async def test_a_port_that_is_snatched_away_is_replaced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder, socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = probe.getsockname()[1]
            probe.close()
            offered = [free, holder.getsockname()[1]]
            monkeypatch.setattr("sonde_broker.bus.mosquitto._free_port", lambda _host: offered.pop())
            async with MosquittoBus() as bus:
                assert bus.port == free

    async def test_its_files_are_private_hold_no_password_and_go_with_it(self) -> None:
        async with MosquittoBus(BusSettings(accounts=(ACCOUNT,))) as bus:
            assert bus._files is not None
            place = Path(bus._files.name)
            assert _mode(place) == 0o700
            assert ACCOUNT.password not in _texts(place)
        assert not os.access(place, os.F_OK)

    async def test_a_client_id_in_a_pattern_is_refused(self) -> None:
        account = Account(user="agent", password="secret", publish=("up/%c",))
        with pytest.raises(InvalidSettings, match="%c"):
            async with MosquittoBus(BusSettings(accounts=(account,))):
                pass

    async def test_it_ends_with_a_process_that_is_killed(self, tmp_path: Path) -> None:
        script = """
import asyncio
from sonde_broker.bus import MosquittoBus
async def main():
    async with MosquittoBus() as bus:
        print(bus.port, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
        parent = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            script,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        try:
            async with asyncio.timeout(PATIENCE):
                assert parent.stdout is not None
                port = int(await parent.stdout.readline())
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(encode(Connect(version=Version.V311, client_id="a"), Version.V311))
                assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
                parent.kill()
                assert await reader.read() == b""
                writer.close()
        finally:
            if parent.returncode is None:
                parent.kill()
            await parent.communicate()


async def test_without_mosquitto_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sonde_broker.bus.mosquitto.shutil.which", lambda *_, **__: None)
    with pytest.raises(EngineMissing, match="apt-get install mosquitto"):
        async with MosquittoBus():
            pass


@pytest.mark.parametrize("engine", [EmbeddedBus, MosquittoBus])
def test_a_bus_that_was_not_started_has_no_url(engine: type[EmbeddedBus | MosquittoBus]) -> None:
    with pytest.raises(RuntimeError, match="not been started"):
        _ = engine().url
