"""The broker's own line to the embedded bus, beside what it has in common with all clients (see the contract)."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sonde_broker.bus import Account, BusSettings, EmbeddedBus, InvalidSettings, Limits
from sonde_broker.bus.inside import InsideConnection, connect_inside, stay_inside
from sonde_wire import mqtt
from tests.broker.bus.peers import PATIENCE, PEERS

BROKER = Account(user="broker", password="secret", publish=("sonde/#",), subscribe=("sonde/#",))


@pytest.fixture
async def bus() -> AsyncIterator[EmbeddedBus]:
    settings = BusSettings(accounts=(BROKER,), limits=Limits(backlog=200_000, queue=100_000, slow=0.1))
    async with EmbeddedBus(settings) as started:
        yield started


async def _first(line: mqtt.BusLine) -> mqtt.Received:
    async with asyncio.timeout(PATIENCE):
        async for message in line:
            return message
    raise AssertionError("the line ended")


async def test_messages_cross_between_inside_and_a_socket(bus: EmbeddedBus) -> None:
    async with (
        connect_inside(bus, user="broker", client_id="b") as line,
        mqtt.connect(mqtt.BusUrl.parse(bus.url), client_id="o") as other,
    ):
        await line.subscribe("sonde/in")
        await other.subscribe("sonde/out")
        await line.publish("sonde/out", b"from inside", retain=True, qos=1)
        assert await _first(other) == mqtt.Received("sonde/out", b"from inside", False)
        await other.publish("sonde/in", b"from outside", qos=1)
        assert await _first(line) == mqtt.Received("sonde/in", b"from outside", False)
        assert line.version == other.version == "5"


async def test_it_has_the_rights_of_its_account_and_hears_of_a_refusal(bus: EmbeddedBus) -> None:
    async with connect_inside(bus, user="broker", client_id="b") as line:
        with pytest.raises(mqtt.BusRefused, match="refuses user 'broker' a message on other: not authorized"):
            await line.publish("other", b"", qos=1)
        with pytest.raises(mqtt.BusRefused, match="the subscription to #: not authorized"):
            await line.subscribe("sonde/x", "#")
        with pytest.raises(mqtt.BusLost, match="wildcard"):
            await line.publish("sonde/#", b"")
        await line.publish("sonde/x", b"of those that were not refused")
        assert (await _first(line)).payload == b"of those that were not refused"
    with pytest.raises(InvalidSettings, match="no account"):
        async with connect_inside(bus, user="nobody", client_id="b"):
            pass


async def test_what_is_no_longer_subscribed_does_not_come(bus: EmbeddedBus) -> None:
    async with connect_inside(bus, user="broker", client_id="b") as line:
        await line.subscribe("sonde/a", "sonde/b")
        await line.unsubscribe("sonde/a", "sonde/never")
        await line.publish("sonde/a", b"")
        await line.publish("sonde/b", b"")
        assert (await _first(line)).topic == "sonde/b"


async def test_what_is_retained_comes_unless_it_is_not_wanted(bus: EmbeddedBus) -> None:
    async with connect_inside(bus, user="broker", client_id="b") as line:
        await line.publish("sonde/a", b"kept", retain=True, qos=1)
        await line.publish("sonde/b", b"stale", retain=True, expires=0.5)
        await line.subscribe("sonde/a", retained=False)
        await line.publish("sonde/a", b"live")
        assert await _first(line) == mqtt.Received("sonde/a", b"live", False)
        await line.subscribe("sonde/a")
        assert await _first(line) == mqtt.Received("sonde/a", b"kept", True)


async def test_more_is_retained_than_fits_into_its_bounds_and_all_of_it_comes() -> None:
    async with EmbeddedBus(BusSettings(limits=Limits(backlog=100_000, queue=1))) as bus:
        async with connect_inside(bus, user=None, client_id="b") as line:
            for number in range(1000):
                await line.publish(f"p/{number}", bytes(1000), retain=True)
            await line.subscribe("p/+", qos=1)
            got = set()
            async with asyncio.timeout(PATIENCE):
                async for message in line:
                    got.add(message.topic)
                    if len(got) == 1000:
                        break
        assert bus.counters().dropped == 0


async def test_a_reader_that_does_not_read_is_bounded_and_thrown_out(bus: EmbeddedBus) -> None:
    async with connect_inside(bus, user="broker", client_id="b") as line:
        await line.subscribe("sonde/a", qos=1)
        async with connect_inside(bus, user="broker", client_id="sender") as sender:
            for _ in range(400):
                await sender.publish("sonde/a", bytes(1000), qos=1)
        with pytest.raises(mqtt.BusLost, match="does not keep up"):
            await line.publish("sonde/b", b"")


async def test_it_comes_back_when_another_took_its_place_and_each_loss_is_told(bus: EmbeddedBus) -> None:
    lost: list[str] = []
    served: asyncio.Queue[InsideConnection] = asyncio.Queue()

    async def serve(line: InsideConnection) -> None:
        await served.put(line)
        async for _ in line:
            pass

    staying = asyncio.create_task(
        stay_inside(
            bus,
            user="broker",
            client_id="b",
            will=lambda: mqtt.Will("sonde/will", b"gone"),
            serve=serve,
            lost=lambda error: lost.append(str(error)),
        )
    )
    async with asyncio.timeout(PATIENCE), PEERS["paho-5"](bus, user=("broker", "secret")) as watcher:
        await watcher.subscribe("sonde/will")
        await served.get()
        async with connect_inside(bus, user="broker", client_id="b"):
            assert (await watcher.receive()).payload == b"gone"
        await served.get()
        assert "the client id connected again" in lost[0]
        staying.cancel()
        await asyncio.wait([staying])
        assert staying.cancelled()
        assert bus.counters().clients == 1


async def test_when_the_bus_ends_its_guests_are_told(bus: EmbeddedBus) -> None:
    async with connect_inside(bus, user="broker", client_id="b") as line:
        await bus.__aexit__(None, None, None)
        with pytest.raises(mqtt.BusLost, match="the bus stops"):
            await _first(line)
    with pytest.raises(mqtt.BusLost, match="does not run"):
        async with connect_inside(bus, user="broker", client_id="b"):
            pass
