"""Three NATS servers as the bus, with the configuration of deploy/, and one of them killed."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest

from sonde_wire import topics
from sonde_wire.addresses import Address, Selector
from sonde_wire.mqtt import BusConnection, BusLost, BusRefused, Received, Will, connect, stay_connected
from sonde_wire.topics import Channel
from tests.support import nats

PATIENCE = 50.0
"""Seconds. A stream of NATS whose leader was killed has a new one after 4 to 9; a client asks again after 10."""
ADDRESS = Address("prod", "shop", "web-1")
PRESENCE = topics.of_process(ADDRESS, Channel.PRESENCE)
EVENTS = topics.of_process(ADDRESS, Channel.EVENTS)

pytestmark = nats.needs_nats


@pytest.fixture(scope="module")
def cluster() -> Iterator[nats.Cluster]:
    with nats.cluster() as started:
        yield started


def _rights(user: str) -> dict[str, set[str]]:
    """What the configuration lets an account do."""
    text = nats.CONFIGURATION.read_text()
    block = re.search(rf"^{user}: \{{(.*?)^\}}", text, re.DOTALL | re.MULTILINE)
    assert block
    return {
        right: set(re.findall(r'"(.*?)"', subjects))
        for right, subjects in re.findall(r"(publish|subscribe): \[(.*?)\]", block[1], re.DOTALL)
    }


def test_the_permissions_are_what_the_wire_says() -> None:
    def subjects(filters: tuple[str, ...]) -> set[str]:
        return {nats.subject(each) for each in filters}

    assert _rights("agent") == {
        "publish": subjects(topics.AGENT_MAY_PUBLISH),
        "subscribe": subjects(topics.AGENT_MAY_SUBSCRIBE) | {"$MQTT.sub.>"},
    }
    assert _rights("broker") == {
        "publish": subjects(topics.BROKER_MAY_PUBLISH),
        "subscribe": subjects(topics.BROKER_MAY_SUBSCRIBE) | {"sonde", "$MQTT.sub.>"},
    }


def _drop(line: BusConnection) -> None:
    """As a crash would."""
    connected = line._client._client.socket()
    assert isinstance(connected, socket.socket)
    connected.shutdown(socket.SHUT_RDWR)


async def _until(line: BusConnection, payload: bytes) -> Received:
    async with asyncio.timeout(PATIENCE):
        async for message in line:
            if message.payload == payload:
                return message
    raise AssertionError("the line ended")


async def test_what_is_retained_at_one_node_is_had_from_every_node(cluster: nats.Cluster) -> None:
    here = cluster.nodes[0]
    async with connect(cluster.url("agent", here), client_id="a1") as agent:
        assert agent.version == "3.1.1"
        await agent.publish(PRESENCE, b"kept", retain=True, qos=1)
        for node in cluster.nodes:
            async with connect(cluster.url("broker", node), client_id=f"b-{node.name}") as broker:
                await broker.subscribe(topics.processes(Channel.PRESENCE), qos=1)
                got = await _until(broker, b"kept")
                assert got.topic == PRESENCE


async def test_the_last_will_of_a_lost_client_reaches_another_node(cluster: nats.Cluster) -> None:
    one, two, _ = cluster.nodes
    async with connect(cluster.url("broker", two), client_id="b1") as broker:
        await broker.subscribe(topics.processes(Channel.PRESENCE), qos=1)
        async with connect(cluster.url("agent", one), client_id="a2", will=Will(PRESENCE, b"lost")) as agent:
            _drop(agent)
            assert (await _until(broker, b"lost")).topic == PRESENCE


async def test_an_agent_has_its_rights_and_no_more(cluster: nats.Cluster) -> None:
    one, two, _ = cluster.nodes
    async with (
        connect(cluster.url("broker", two), client_id="b2") as broker,
        connect(cluster.url("agent", one), client_id="a3") as agent,
    ):
        await broker.subscribe("sonde/#")
        with pytest.raises(BusRefused, match="refuses user 'agent' the subscription to sonde/#"):
            await agent.subscribe("sonde/#")
        await agent.subscribe(topics.of_process(ADDRESS, Channel.COMMANDS), topics.all_probes(), qos=1)
        await agent.publish(topics.presence_of_broker("forged"), b"forged")
        await agent.publish(topics.replies_to("b2"), b"allowed")
        heard = []
        async with asyncio.timeout(PATIENCE):
            async for message in broker:
                if not message.retained:
                    heard.append(message.payload)
                if message.payload == b"allowed":
                    break
        assert b"forged" not in heard
        await broker.publish(topics.of_process(ADDRESS, Channel.COMMANDS), b"do it", qos=1)
        await _until(agent, b"do it")


async def test_a_name_with_dots_is_no_other_and_survives(cluster: nats.Cluster) -> None:
    dotted = Address("prod", "shop.v2", "web-1.example")
    async with (
        connect(cluster.url("broker"), client_id="b3") as broker,
        connect(cluster.url("agent"), client_id="a4") as agent,
    ):
        await agent.subscribe(topics.of_process(dotted, Channel.COMMANDS))
        await broker.subscribe(topics.processes(Channel.PRESENCE, Selector("prod", "shop.v2", "*")))
        await agent.publish(topics.of_process(dotted, Channel.PRESENCE), b"online", retain=True, qos=1)
        got = await _until(broker, b"online")
        assert topics.read_process(got.topic) == (dotted, Channel.PRESENCE)
        await agent.publish(topics.of_process(dotted, Channel.PRESENCE), b"", retain=True, qos=1)
        await broker.publish(topics.of_process(dotted, Channel.COMMANDS), b"do it", qos=1)
        await _until(agent, b"do it")


class Taker:
    """Subscribes to numbered messages and to presence, again with each line; `numbers` are those of the newest line."""

    def __init__(self) -> None:
        self.server = ""
        self.numbers: list[int] = []
        self.presence = b""
        self._news = asyncio.Event()

    async def serve(self, line: BusConnection) -> None:
        self.numbers, self.presence = [], b""
        await line.subscribe(topics.processes(Channel.EVENTS))
        await line.subscribe(topics.processes(Channel.PRESENCE), qos=1)
        self.server = line.server
        async for message in line:
            if message.topic == PRESENCE:
                self.presence = message.payload
            elif message.topic == EVENTS:
                self.numbers.append(int(message.payload))
            self._news.set()

    async def has(self, count: int, server: str = "") -> None:
        """So many from one line, which is not to the given server."""
        while len(self.numbers) < count or self.server == server or not self.presence:
            self._news.clear()
            await self._news.wait()


async def test_a_node_killed_under_load_costs_nothing_after_the_line_is_back(cluster: nats.Cluster) -> None:
    """The last test of this module: afterwards there are two."""
    one, *others = cluster.nodes
    taker, lost = Taker(), list[BusLost]()

    async def publish(line: BusConnection) -> None:
        await line.publish(PRESENCE, b"here", retain=True, qos=1)
        for number in range(1_000_000):
            await line.publish(EVENTS, b"%d" % number)
            await asyncio.sleep(0.001)

    async def stay(
        user: str, nodes: list[nats.Node], serve: Callable[[BusConnection], Awaitable[None]]
    ) -> None:
        await stay_connected(
            cluster.url(user, *nodes),
            client_id=f"{user}-9",
            will=lambda: None,
            serve=serve,
            lost=lost.append,
        )

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        publishing = group.create_task(stay("agent", [one], publish))
        taking = group.create_task(stay("broker", others, taker.serve))
        await taker.has(200)
        before = taker.server
        next(node for node in others if before.endswith(f":{node.mqtt}")).kill()
        await taker.has(500, server=before)
        assert before in {each.server for each in lost}
        first = taker.numbers[0]
        assert taker.numbers == list(range(first, first + len(taker.numbers)))
        assert taker.presence == b"here"
        publishing.cancel()
        taking.cancel()
