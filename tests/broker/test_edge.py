"""The whole broker between a real bus and real WebSockets: the way through, in both directions."""

import asyncio
import contextlib
import socket
from functools import partial

import pytest
from websockets.frames import Frame, Opcode

from sonde_broker import outbox
from sonde_broker.bus import BusSettings, EmbeddedBus
from sonde_broker.serve import Broker, running
from sonde_broker.settings import TheirBus
from sonde_wire import bus, codec, rpc, topics
from sonde_wire.mqtt import BusConnection, BusUrl, connect
from sonde_wire.topics import Channel
from tests.broker.conftest import settings
from tests.broker.fake_agent import agent
from tests.broker.messages import CART, CHECKOUT, batch, metrics, presence, started
from tests.broker.tokens import token
from tests.broker.viewer import Message, browser, items, viewer


async def test_two_viewers_see_what_their_selectors_match(broker: Broker) -> None:
    async with (
        agent(broker.bus) as checkout,
        agent(broker.bus, CART) as cart,
        viewer(broker.url, token("ada")) as ada,
        browser(broker.url, token("bob", processes=("shop/cart/*",))) as bob,
    ):
        await ada.online(CHECKOUT)
        await bob.online(CART)
        await ada.result("subscribe", topics=["events", "metrics"], selector="*/checkout/*")
        await bob.result("subscribe", topics=["events"])
        await checkout.say(batch(started(1), started(2)))
        await cart.say(batch(started(1, CART)))
        await checkout.say(metrics(threads=5))
        assert [(each["process"], each["seq"]) for each in await ada.events(2)] == [
            (CHECKOUT, 1),
            (CHECKOUT, 2),
        ]
        assert [(each["process"], each["seq"]) for each in await bob.events(1)] == [(CART, 1)]
        await ada.until(lambda told: items(told, "metrics"))
        assert {each["process"] for each in items(bob.told, "presence")} == {CART}


async def test_a_session_from_opening_to_the_viewers_leaving(broker: Broker) -> None:
    async with agent(broker.bus) as checkout:
        async with viewer(broker.url, token("ada")) as ada:
            await ada.online(CHECKOUT)
            opening = await ada.send("session.open", process=CHECKOUT)
            command = await checkout.command()
            assert isinstance(command.operation, bus.OpenSession)
            session = command.operation.session
            state = {"session": session, "process": CHECKOUT, "boot": "0" * 32, "capabilities": {"x": True}}
            await checkout.reply(command, state)
            assert (await ada.answer_to(opening))["result"] == state

            request = {"seq": 4, "type": "request", "command": "threads"}
            asking = await ada.send("dap", session=session, request=request)
            response = {"seq": 9, "type": "response", "request_seq": 4, "body": {"threads": []}}
            asked = await checkout.answer_next(response)
            assert isinstance(asked.operation, bus.Dap)
            assert codec.decode_any(asked.operation.request) == request
            assert (await ada.answer_to(asking))["result"] == response
        assert (await checkout.command()).operation == bus.CloseSession(session=session)


async def test_a_process_that_vanishes_is_lost_and_calls_to_it_fail(broker: Broker) -> None:
    async with viewer(broker.url, token("ada")) as ada:
        async with agent(broker.bus) as checkout:
            await ada.online(CHECKOUT)
            asking = await ada.send("process.stacks", process=CHECKOUT)
            await checkout.command()
            await checkout.say(presence(state="lost"))
            assert (await ada.answer_to(asking))["error"]["data"]["reason"] == "process_ended"
        assert await ada.reason("session.open", process=CHECKOUT) == "process_ended"


async def test_garbage_on_the_bus_is_dropped_and_harms_nobody(broker: Broker) -> None:
    async with agent(broker.bus) as checkout, viewer(broker.url, token("ada")) as ada:
        await ada.online(CHECKOUT)
        await ada.result("subscribe", topics=["events", "metrics"])
        good = codec.encode(batch(started(1)))
        for bad in (b"", b"{", b"[]", b"\xff", good[:-1], good.replace(b"pod-1", b"pod-2")):
            await checkout.say_raw(Channel.EVENTS, bad)
        for bad in (b"not json", codec.encode(metrics(CART))):
            await checkout.say_raw(Channel.METRICS, bad)
        await checkout.say_raw(Channel.PRESENCE, codec.encode(presence(CART)))
        await checkout.say(batch(started(2)))
        assert [each["seq"] for each in await ada.events(1)] == [2]
        assert broker.agents.malformed == 9
        assert items(ada.told, "metrics") == []


async def test_the_bus_comes_goes_and_comes_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as spare:
        port = spare.getsockname()[1]
    url = f"mqtt://127.0.0.1:{port}"
    async with (
        running(settings(bus=TheirBus(BusUrl.parse(url), url))) as broker,
        viewer(broker.url, token("ada")) as ada,
    ):
        assert (await ada.result("whoami"))["bus"] == "down"
        async with EmbeddedBus(BusSettings(port=port)):
            await ada.until(lambda told: bus_states(told) == ["up"])
            async with agent(url):
                await ada.online(CHECKOUT)
        await ada.until(lambda told: bus_states(told) == ["up", "down"])
        assert await ada.reason("process.stacks", process=CHECKOUT) == "bus_lost"
        async with EmbeddedBus(BusSettings(port=port)):
            await ada.until(lambda told: bus_states(told) == ["up", "down", "up"])
            async with agent(url) as checkout:
                asking = await ada.send("process.stacks", process=CHECKOUT)
                await checkout.answer_next({"threads": [], "time": 1.0})
                assert (await ada.answer_to(asking))["result"]["time"] == 1.0


def bus_states(told: list[Message]) -> list[str]:
    return [each["params"]["bus"] for each in told if each.get("method") == "bus"]


async def test_a_broker_that_stops_closes_its_sessions_and_leaves_nothing_retained() -> None:
    async with EmbeddedBus() as engine, agent(engine.url) as checkout, contextlib.AsyncExitStack() as later:
        seen = asyncio.Queue[bytes]()
        watcher = await later.enter_async_context(connect(BusUrl.parse(engine.url), client_id="watcher"))
        await watcher.subscribe(topics.all_brokers())
        watching = asyncio.create_task(collect(watcher, seen))
        async with running(settings(bus=TheirBus(BusUrl.parse(engine.url), engine.url))) as broker:
            ada = await later.enter_async_context(viewer(broker.url, token("ada")))
            await ada.online(CHECKOUT)
            await ada.send("session.open", process=CHECKOUT)
            opening = (await checkout.command()).operation
            assert isinstance(opening, bus.OpenSession)
        assert await ada.closed() == (1012, "the broker restarts")
        assert (await checkout.command()).operation == bus.CloseSession(session=opening.session)
        async with asyncio.timeout(10):
            payloads = [await seen.get() for _ in range(3)]
        states = [codec.decode(each, bus.BrokerPresence).state for each in payloads[:2]]
        assert (states, payloads[2]) == (["online", "lost"], b"")
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def collect(connection: BusConnection, seen: asyncio.Queue[bytes]) -> None:
    async for message in connection:
        seen.put_nowait(message.payload)


async def test_a_viewer_that_does_not_read_is_cut_off_and_the_others_miss_nothing(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outbox, "LONGEST_LAG", 0.3)
    async with agent(broker.bus) as checkout, viewer(broker.url, token("ada")) as ada:
        await ada.online(CHECKOUT)
        await ada.result("subscribe", topics=["events"])
        slow = await slow_viewer(broker.url, token("bob"))
        try:
            count = 0
            async with asyncio.timeout(20):
                while "cut off viewer" not in caplog.text:
                    await checkout.say(batch(*(started(count + each) for each in range(1, 501))))
                    count += 500
                    await ada.until(partial(reached, count))
            assert [each["seq"] for each in items(ada.told, "events")] == list(range(1, count + 1))
        finally:
            slow.close()


async def test_a_viewer_that_reads_too_slowly_is_told_so_if_it_gets_that_far(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LONGEST_LAG", 0.0)
    monkeypatch.setattr(outbox, "CAUGHT_UP", -1)
    async with viewer(broker.url, token("ada")) as ada:
        assert await ada.closed() == (rpc.CLOSE_SLOW_VIEWER, "this viewer reads too slowly")


def reached(seq: int, told: list[Message]) -> bool:
    newest = told[-1]
    return newest.get("method") == "events" and newest["params"]["events"][-1]["seq"] == seq


async def slow_viewer(url: str, bearer: str) -> socket.socket:
    """Subscribes to everything and never reads again."""
    host, port = url.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.setblocking(False)
    await loop.sock_connect(line, (host, int(port)))
    handshake = (
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {rpc.SUBPROTOCOL}\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    )
    await loop.sock_sendall(line, handshake.encode())
    assert (await loop.sock_recv(line, 12)) == b"HTTP/1.1 101"
    request = b'{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"topics":["events"]}}'
    await loop.sock_sendall(line, Frame(Opcode.TEXT, request).serialize(mask=True))
    return line
