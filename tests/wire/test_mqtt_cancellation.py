"""A task on the bus ends when it is told to, also when the MQTT client lost the word; a line that breaks makes no noise."""

import asyncio
import gc
import logging
from typing import Self

import pytest

from sonde_wire import mqtt


class Deaf:
    """Stands in for aiomqtt's client: each wait loses a cancellation, as `asyncio.wait_for` can on 3.11."""

    v5 = False

    def __init__(self, *_: object, **__: object) -> None:
        self.left = False

    async def _wait(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async def __aenter__(self) -> Self:
        await self._wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.left = True

    async def send(self, *_: object, **__: object) -> int:
        await self._wait()
        return 0

    async def ask_for(self, *_: object, **__: object) -> list[int]:
        await self._wait()
        return [0]

    async def unsubscribe(self, *_: object) -> None:
        await self._wait()


async def _cancelled(task: "asyncio.Task[None]") -> bool:
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


async def test_connecting_ends_when_told_to_and_says_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    clients: list[Deaf] = []

    def made(*_: object, **__: object) -> Deaf:
        clients.append(Deaf())
        return clients[-1]

    monkeypatch.setattr(mqtt, "Client", made)

    async def work() -> None:
        async with mqtt.connect(mqtt.BusUrl("127.0.0.1", 1883), client_id="c"):
            raise AssertionError("went on after it was told to end")

    assert await _cancelled(asyncio.create_task(work()))
    assert clients[0].left


@pytest.mark.parametrize("what", ["publish", "subscribe", "unsubscribe"])
async def test_a_line_in_use_ends_when_told_to(what: str) -> None:
    line = mqtt.BusConnection(Deaf(), "here")  # type: ignore[arg-type] # as much of a client as is used

    async def work() -> None:
        await (line.publish("t", b"") if what == "publish" else getattr(line, what)("t"))
        raise AssertionError("went on after it was told to end")

    assert await _cancelled(asyncio.create_task(work()))


async def test_a_connection_that_is_given_up_while_it_is_made_leaves_nothing_behind() -> None:
    met = asyncio.Event()
    gone = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.set()  # it takes the CONNECT and never answers
        while await reader.read(1024):
            pass
        writer.close()
        gone.set()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def work() -> None:
        async with mqtt.connect(mqtt.BusUrl("127.0.0.1", port), client_id="c"):
            raise AssertionError("nobody has let us in")

    before = asyncio.all_tasks()
    task = asyncio.create_task(work())
    await met.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await gone.wait()
    server.close()
    await server.wait_closed()
    left = asyncio.all_tasks() - before
    if left:
        await asyncio.wait(left)


async def test_a_line_that_breaks_while_nobody_waits_for_it_is_no_error_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def leaves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(b"\x20\x02\x00\x00")  # CONNACK: accepted
        await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(leaves, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with caplog.at_level(logging.WARNING):
        with pytest.raises(mqtt.BusLost):  # at a publication, or while the line is still being made
            async with mqtt.connect(mqtt.BusUrl("127.0.0.1", port), client_id="c") as line:
                while True:
                    await line.publish("t", b"")
                    await asyncio.sleep(0)
        server.close()
        await server.wait_closed()
        line = None  # type: ignore[assignment]
        gc.collect()
        await asyncio.sleep(0)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
