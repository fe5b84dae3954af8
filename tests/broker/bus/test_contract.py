"""What every bus must do, whichever engine it is, judged by clients that others wrote.

That something does *not* arrive is shown by a later message that does: each connection keeps its order.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from sonde_broker.bus import Account, BusSettings, EmbeddedBus, Limits, MosquittoBus
from tests.broker.bus.peers import (
    PATIENCE,
    PEERS,
    Bus,
    Message,
    PahoPeer,
    PeerMaker,
    Refused,
    message_properties,
    plain,
    program,
)
from tests.support import parts
from tests.support.nats import OneNats, needs_nats

AGENT = Account(
    user="agent",
    password="the agent's",
    publish=("sonde/v1/process/#", "sonde/v1/broker/+/replies"),
    subscribe=("sonde/v1/process/#", "sonde/v1/broker/+/presence"),
)
BROKER = Account(user="broker", password="the broker's", publish=("sonde/#",), subscribe=("sonde/#",))
AGENT_LOGIN = (AGENT.user, AGENT.password)
BROKER_LOGIN = (BROKER.user, BROKER.password)

ENGINES = [
    pytest.param(EmbeddedBus, id="embedded"),
    pytest.param(
        MosquittoBus,
        id="mosquitto",
        marks=pytest.mark.skipif(
            parts.MOSQUITTO is None,
            reason="needs mosquitto; apt-get install mosquitto",
        ),
    ),
    pytest.param(OneNats, id="nats", marks=needs_nats),
]
needs_tools = pytest.mark.skipif(
    shutil.which("mosquitto_sub") is None, reason="needs mosquitto_sub; apt-get install mosquitto-clients"
)


@pytest.fixture(params=ENGINES)
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    async with request.param() as started:
        yield started


@pytest.fixture(params=ENGINES)
async def secured(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    async with request.param(BusSettings(accounts=(AGENT, BROKER))) as started:
        yield started


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> PeerMaker:
    return PEERS[request.param]


async def test_a_message_arrives_with_the_lower_qos(bus: Bus, peer: PeerMaker) -> None:
    async with peer(bus) as reader, peer(bus) as sender:
        await reader.subscribe("q/0", 0)
        await reader.subscribe("q/1", 1)
        for topic, qos, seen in (("q/0", 0, 0), ("q/0", 1, 0), ("q/1", 0, 0), ("q/1", 1, 1)):
            await sender.publish(topic, b"hello", qos)
            assert await reader.receive() == Message(topic, b"hello", seen)


async def test_many_messages_arrive_in_order(bus: Bus, peer: PeerMaker) -> None:
    async with peer(bus) as reader, peer(bus) as sender:
        await reader.subscribe("n/#", 1)
        got: list[Message] = []
        # gmqtt does not wait when the receive maximum is reached, so not all at once.
        for start in range(0, 300, 30):
            for number in range(start, start + 30):
                await sender.publish("n/x", b"%d" % number, number % 2)
            got += [await reader.receive() for _ in range(30)]
        for qos in (0, 1):
            numbers = [int(message.payload) for message in got if message.qos == qos]
            assert numbers == list(range(qos, 300, 2))


async def test_retained_messages_are_kept_replaced_and_cleared(bus: Bus, peer: PeerMaker) -> None:
    async with peer(bus) as sender:
        for topic, payload in (("r/1", b"old"), ("r/1", b"new"), ("r/2", b"gone"), ("r/2", b"")):
            await sender.publish(topic, payload, 1, retain=True)
        await sender.subscribe("fence")
        await sender.publish("fence", b"")
        await sender.receive()
        async with peer(bus) as reader:
            await reader.subscribe("r/+", 1)
            assert await reader.receive() == Message("r/1", b"new", 1, retain=True)
            await sender.publish("r/1", b"live", 0, retain=True)
            assert await reader.receive() == Message("r/1", b"live", 0)


@pytest.mark.parametrize(
    ("wanted", "hits", "misses"),
    [
        ("a/+/c", ["a/b/c", "a//c"], ["a/b", "a/b/c/d"]),
        ("a/#", ["a", "a/b", "a/b/c"], ["ab", "A/b"]),
        ("+/b", ["/b", "a/b"], ["b", "a/b/c"]),
        ("#", ["a", "/", "a/b/c"], []),
    ],
)
async def test_wildcards_match(bus: Bus, wanted: str, hits: list[str], misses: list[str]) -> None:
    peer = plain(bus)
    async with peer(bus) as reader, peer(bus) as sender:
        await reader.subscribe(wanted)
        await reader.subscribe("the/end")
        for topic in (*misses, *hits, "the/end"):
            await sender.publish(topic, b"")
        got = [(await reader.receive()).topic for _ in hits]
        assert got == hits
        assert (await reader.receive()).topic == "the/end"


async def test_a_dropped_client_leaves_its_will(bus: Bus, peer: PeerMaker) -> None:
    will = Message("gone/a", b"dead", 1)
    async with peer(bus) as watcher:
        await watcher.subscribe("gone/#", 1)
        async with peer(bus, will=will) as victim:
            victim.kill()
            assert await watcher.receive() == will


async def test_a_client_that_says_goodbye_leaves_none(bus: Bus, peer: PeerMaker) -> None:
    async with peer(bus) as watcher:
        await watcher.subscribe("gone/#", 1)
        async with peer(bus, will=Message("gone/a", b"dead", 1)):
            pass
        async with peer(bus, will=Message("gone/b", b"dead", 1)) as victim:
            victim.kill()
            assert (await watcher.receive()).topic == "gone/b"


@needs_tools
async def test_a_killed_program_leaves_its_will_and_a_terminated_one_does_not(bus: Bus) -> None:
    async with plain(bus)(bus) as watcher:
        await watcher.subscribe("gone/#", 1)
        for name, end in (("gone/1", "terminate"), ("gone/2", "kill")):
            will = ("--will-topic", name, "--will-payload", "dead", "--will-qos", "1")
            # A retained message tells that it is connected.
            await watcher.publish("ready", b"yes", retain=True)
            async with program("mosquitto_sub", bus, "-t", "ready", *will) as victim:
                assert await victim.line() == "yes"
                getattr(victim, end)()
                await victim.ended()
        assert await watcher.receive() == Message("gone/2", b"dead", 1)


@needs_tools
@pytest.mark.parametrize("version", ["311", "5"])
async def test_mosquittos_own_clients_talk_through_it(bus: Bus, version: str) -> None:
    async with program(
        "mosquitto_pub", bus, "-V", version, "-t", "s/1", "-m", "kept", "-q", "1", "-r"
    ) as sender:
        assert await sender.ended() == 0
    async with program(
        "mosquitto_sub", bus, "-V", version, "-t", "s/#", "-q", "1", "-F", "%t %q %r %p"
    ) as reader:
        assert await reader.line() == "s/1 1 1 kept"
        async with program(
            "mosquitto_pub", bus, "-V", version, "-t", "s/2", "-m", "live", "-q", "1"
        ) as sender:
            assert await sender.ended() == 0
        assert await reader.line() == "s/2 1 0 live"


async def test_the_newer_of_two_with_one_client_id_stays(bus: Bus, peer: PeerMaker) -> None:
    async with (
        peer(bus) as watcher,
        peer(bus, client_id="same", will=Message("gone/old", b"", 1)) as old,
    ):
        await watcher.subscribe("gone/#", 1)
        async with peer(bus, client_id="same") as new:
            assert (await watcher.receive()).topic == "gone/old"
            await old.lost()
            await new.subscribe("still/here")
            await watcher.publish("still/here", b"yes")
            assert (await new.receive()).payload == b"yes"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 65_536, 1_000_000, 3_500_000])
async def test_payloads_of_every_size_arrive_whole(bus: Bus, size: int) -> None:
    peer = plain(bus)
    payload = bytes(range(251)) * (size // 251 + 1)
    async with peer(bus) as reader, peer(bus) as sender:
        await reader.subscribe("big", 1)
        for qos in (0, 1):
            await sender.publish("big", payload[:size], qos)
            assert (await reader.receive()).payload == payload[:size]


async def test_a_packet_over_the_limit_ends_only_its_sender(bus: Bus) -> None:
    peer = PEERS["paho-3.1.1"]
    async with peer(bus) as reader, peer(bus) as other:
        await reader.subscribe("#")
        async with peer(bus) as sender:
            assert isinstance(sender, PahoPeer)
            sender.client._client.publish("too/big", bytes(Limits().packet + 1))
            await sender.lost()
        await other.publish("fine", b"")
        assert (await reader.receive()).topic == "fine"


async def test_v5_properties_pass_unaltered(bus: Bus) -> None:
    make = PEERS["paho-5"]
    async with make(bus) as reader, make(bus) as sender:
        assert isinstance(reader, PahoPeer)
        assert isinstance(sender, PahoPeer)
        await reader.subscribe("p", 1)
        given = message_properties(
            PayloadFormatIndicator=1,
            MessageExpiryInterval=60,
            ContentType="application/json",
            ResponseTopic="back/here",
            CorrelationData=b"\x00\xff",
            UserProperty=[("k", "1"), ("k", "ü")],
        )
        await sender.client.publish("p", b"{}", qos=1, properties=given)
        got = (await reader.receive_all()).properties
        assert got is not None
        assert got.json() == given.json()  # type: ignore[no-untyped-call]


async def test_messages_cross_between_the_versions(bus: Bus) -> None:
    async with PEERS["paho-3.1.1"](bus) as old, PEERS["paho-5"](bus) as new:
        await old.subscribe("to/old", 1)
        await new.subscribe("to/new", 1)
        await old.publish("to/new", b"from old", 1)
        await new.publish("to/old", b"from new", 1)
        assert (await new.receive()).payload == b"from old"
        assert (await old.receive()).payload == b"from new"


async def test_wrong_credentials_are_refused(secured: Bus, peer: PeerMaker) -> None:
    for login in (None, ("agent", "wrong"), ("nobody", AGENT.password), ("agent", BROKER.password)):
        with pytest.raises(Refused):
            async with peer(secured, user=login):
                pass


async def test_the_right_credentials_are_accepted_and_are_in_the_url(secured: Bus, peer: PeerMaker) -> None:
    assert secured.url == f"mqtt://agent:the%20agent%27s@127.0.0.1:{secured.port}"
    assert secured.url_for("broker") == f"mqtt://broker:the%20broker%27s@127.0.0.1:{secured.port}"
    async with peer(secured, user=AGENT_LOGIN) as agent, peer(secured, user=BROKER_LOGIN) as broker:
        await broker.subscribe("sonde/#", 1)
        await agent.publish("sonde/v1/process/a/presence", b"up", 1)
        assert (await broker.receive()).payload == b"up"


async def test_what_an_account_may_not_publish_is_not_delivered(secured: Bus, peer: PeerMaker) -> None:
    async with (
        plain(secured)(secured, user=BROKER_LOGIN) as broker,
        peer(secured, user=AGENT_LOGIN) as agent,
    ):
        await broker.subscribe("#", 1)
        await broker.subscribe("sonde/#", 1)
        for topic in (
            "sonde/v1/broker/b/presence",
            "sonde/v1/audit",
            "Sonde/v1/process/a",
            "/sonde/v1/process/a",
        ):
            await agent.publish(topic, b"forged")
        await agent.publish("sonde/v1/process/a/reply", b"allowed")
        assert (await broker.receive()).payload == b"allowed"


async def test_what_an_account_may_not_subscribe_is_not_delivered(secured: Bus) -> None:
    """The SUBACK is no witness: Mosquitto grants everything and then keeps it back."""
    peer = plain(secured)
    async with peer(secured, user=AGENT_LOGIN) as agent, peer(secured, user=BROKER_LOGIN) as broker:
        for wanted in ("sonde/v1/broker/#", "sonde/v1/audit", "+/v1/audit", "$SYS/#"):
            await agent.subscribe(wanted)
        await agent.subscribe("sonde/v1/process/a/commands")
        for topic in ("sonde/v1/audit", "sonde/v1/broker/b/replies", "sonde/v1/process/a/commands"):
            await broker.publish(topic, b"", 1, retain=False)
        assert (await agent.receive()).topic == "sonde/v1/process/a/commands"


async def test_a_forged_will_is_not_delivered(secured: Bus, peer: PeerMaker) -> None:
    async with plain(secured)(secured, user=BROKER_LOGIN) as broker:
        await broker.subscribe("sonde/#", 1)
        try:
            async with peer(
                secured, user=AGENT_LOGIN, will=Message("sonde/v1/audit", b"forged", 1)
            ) as victim:
                victim.kill()
                await victim.lost()
        except Refused:
            pass
        honest = Message("sonde/v1/process/a/presence", b"dead", 1)
        async with peer(secured, user=AGENT_LOGIN, will=honest) as victim:
            victim.kill()
            assert await broker.receive() == honest


async def test_fifty_clients_all_hear_each_other(bus: Bus) -> None:
    peer = plain(bus)

    async def take_part(number: int, ready: asyncio.Barrier) -> set[bytes]:
        async with peer(bus) as one:
            await one.subscribe("all/#", 1)
            await ready.wait()
            await one.publish(f"all/{number}", b"%d" % number, number % 2)
            got = {(await one.receive()).payload for _ in range(50)}
            await ready.wait()
            return got

    barrier = asyncio.Barrier(50)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        parts = [group.create_task(take_part(number, barrier)) for number in range(50)]
    assert all(part.result() == {b"%d" % number for number in range(50)} for part in parts)


RUBBISH = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS handshake": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(160),
    "packet type 0": b"\x00\x00",
    "a length of five bytes": b"\x10\xff\xff\xff\xff\x01",
    "PUBLISH before CONNECT": b"\x30\x04\x00\x01ax",
}
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01z"
AFTER_CONNECT = {
    "a second CONNECT": CONNECT,
    "QoS 3": b"\x36\x06\x00\x01a\x00\x01x",
    "an empty topic": b"\x30\x03\x00\x00x",
    "a wildcard in a topic": b"\x30\x04\x00\x01#x",
    "no UTF-8 in a topic": b"\x30\x05\x00\x02\xff\xfex",
    "U+0000 in a topic": b"\x30\x04\x00\x01\x00x",
    "packet type 0": b"\x00\x00",
    "a filter with # inside": b"\x82\x08\x00\x01\x00\x03a#b\x00",
    "a length of five bytes": b"\x30\x80\x80\x80\x80\x01",
    "a claim of 256 MB": b"\x30\xff\xff\xff\x7f\x00\x01a",
}


@pytest.mark.parametrize("name", RUBBISH)
async def test_rubbish_instead_of_connect_closes_that_connection_and_harms_nobody(
    bus: Bus, name: str
) -> None:
    await _send_and_expect_the_end(bus, RUBBISH[name])


@pytest.mark.parametrize("name", AFTER_CONNECT)
async def test_rubbish_after_connect_closes_that_connection_and_harms_nobody(bus: Bus, name: str) -> None:
    await _send_and_expect_the_end(bus, CONNECT + AFTER_CONNECT[name])


async def _send_and_expect_the_end(bus: Bus, data: bytes) -> None:
    async with plain(bus)(bus) as bystander:
        await bystander.subscribe("fine")
        reader, writer = await asyncio.open_connection("127.0.0.1", bus.port)
        try:
            writer.write(data)
            async with asyncio.timeout(PATIENCE):
                with suppress(ConnectionResetError):
                    assert len(await reader.read()) < 100
        finally:
            writer.transport.abort()
        await bystander.publish("fine", b"")
        assert (await bystander.receive()).topic == "fine"


async def test_a_client_killed_amid_a_packet_leaves_its_will_and_harms_nobody(bus: Bus) -> None:
    async with plain(bus)(bus) as bystander:
        await bystander.subscribe("gone")
        _, writer = await asyncio.open_connection("127.0.0.1", bus.port)
        connect = b"\x10\x17\x00\x04MQTT\x04\x06\x00\x00\x00\x01z\x00\x04gone\x00\x02ok"
        writer.write(connect + b"\x30\xff\x7f\x00\x01abc")
        await writer.drain()
        writer.transport.close()
        assert await bystander.receive() == Message("gone", b"ok")
