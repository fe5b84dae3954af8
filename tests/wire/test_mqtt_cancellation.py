"""A task on the bus ends when it is told to, also when the MQTT client lost the word."""

import asyncio
from typing import Self

import aiomqtt
import pytest

from sonde_wire import mqtt


class Deaf:
    """Stands in for aiomqtt's client: each wait loses a cancellation, as `asyncio.wait_for` can on 3.11."""

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

    async def publish(self, *_: object, **__: object) -> None:
        await self._wait()

    async def subscribe(self, *_: object) -> None:
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

    monkeypatch.setattr(aiomqtt, "Client", made)

    async def work() -> None:
        async with mqtt.connect(mqtt.BusUrl("127.0.0.1", 1883), client_id="c"):
            raise AssertionError("went on after it was told to end")

    assert await _cancelled(asyncio.create_task(work()))
    assert clients[0].left


@pytest.mark.parametrize("what", ["publish", "subscribe"])
async def test_a_line_in_use_ends_when_told_to(what: str) -> None:
    line = mqtt.BusConnection(Deaf(), "here")  # type: ignore[arg-type] # as much of a client as is used

    async def work() -> None:
        await (line.publish("t", b"") if what == "publish" else line.subscribe("t"))
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
