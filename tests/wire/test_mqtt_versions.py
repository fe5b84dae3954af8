"""Which MQTT is spoken with which server, and that a server's refusal is said with what to do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from sonde_broker.bus import Account, BusSettings, EmbeddedBus, Limits
from sonde_wire import mqtt
from sonde_wire.mqtt_client import read_publish

PATIENCE = 10.0
ACCEPTED = {4: b"\x20\x02\x00\x00", 5: b"\x20\x03\x00\x00\x00"}
AGENT = Account(user="agent", password="secret", publish=("mine/#",), subscribe=("mine/#",))


class Stub:
    """An MQTT server as far as its CONNACK. `levels` are the versions that it was asked for."""

    def __init__(self, answer: Callable[[int], bytes]) -> None:
        self.levels: list[int] = []
        self.connect = b""
        self.port = 0
        self._answer = answer

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connect = await reader.read(1024)
        level = self.connect[8]
        self.levels.append(level)
        answer = self._answer(level)
        writer.write(answer)
        if answer:
            await reader.read()
        writer.close()


@asynccontextmanager
async def stub(answer: Callable[[int], bytes]) -> AsyncIterator[tuple[Stub, mqtt.BusUrl]]:
    said = Stub(answer)
    server = await asyncio.start_server(said, "127.0.0.1", 0)
    async with server:
        yield said, mqtt.BusUrl("127.0.0.1", server.sockets[0].getsockname()[1])


async def _version(url: mqtt.BusUrl) -> str:
    async with mqtt.connect(url, client_id="c") as line:
        return line.version


async def test_mqtt_5_is_spoken_where_the_server_has_it_and_no_session_outlives_the_line() -> None:
    async with stub(lambda level: ACCEPTED[level]) as (server, url):
        assert await _version(url) == "5"
        assert server.levels == [5]
        assert b"\x11\x00\x00\x00\x00" in server.connect  # session expiry interval 0


@pytest.mark.parametrize(
    "refusal",
    [b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00", b""],
    ids=["as 3.1.1 says it", "as 5 says it", "by closing"],
)
async def test_a_server_without_mqtt_5_is_spoken_to_in_311_and_asked_once(refusal: bytes) -> None:
    async with stub(lambda level: ACCEPTED[4] if level == 4 else refusal) as (server, url):
        assert await _version(url) == "3.1.1"
        assert await _version(url) == "3.1.1"
        assert server.levels == [5, 4, 4]


async def test_a_server_that_closes_whatever_is_said_is_not_taken_for_an_old_one() -> None:
    closing = True
    async with stub(lambda level: b"" if closing else ACCEPTED[level]) as (server, url):
        with pytest.raises(mqtt.BusLost, match="it closed the connection") as lost:
            await _version(url)
        assert not isinstance(lost.value, mqtt.BusRefused)
        closing = False
        assert await _version(url) == "5"
        assert server.levels == [5, 4, 5]


async def test_another_node_is_tried_when_one_cannot_be_reached() -> None:
    async with stub(lambda level: ACCEPTED[level]) as (_, url):
        gone = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        dead = mqtt.Server("127.0.0.1", gone.sockets[0].getsockname()[1])
        gone.close()
        await gone.wait_closed()
        both = mqtt.BusUrl(dead.host, dead.port, further=url.servers)
        for _ in range(8):
            async with mqtt.connect(both, client_id="c") as line:
                assert line.server == url.server
        with pytest.raises(mqtt.BusLost, match=f"{dead.host}:{dead.port}"):
            await _version(mqtt.BusUrl(dead.host, dead.port, further=(dead,)))


@pytest.fixture(params=["5", "3.1.1"])
async def secured(request: pytest.FixtureRequest) -> AsyncIterator[tuple[EmbeddedBus, mqtt.BusUrl]]:
    async with EmbeddedBus(BusSettings(accounts=(AGENT,))) as bus:
        url = mqtt.BusUrl.parse(bus.url)
        if request.param != "5":
            mqtt._without_5.update(url.servers)
        yield bus, url


async def test_a_refused_login_says_whom_and_where_to_look(secured: tuple[EmbeddedBus, mqtt.BusUrl]) -> None:
    _, url = secured
    with pytest.raises(mqtt.BusRefused) as refused:
        await _version(mqtt.BusUrl(url.host, url.port, user="agent", password="wrong"))
    assert str(refused.value) == (
        f"the bus at {url.server} refuses user 'agent' to be connected to: bad user name or password; "
        "look at the user and the password of the bus's URL"
    )


async def test_a_refused_subscription_says_which_and_the_others_hold(
    secured: tuple[EmbeddedBus, mqtt.BusUrl],
) -> None:
    _, url = secured
    async with mqtt.connect(url, client_id="c") as line:
        with pytest.raises(
            mqtt.BusRefused,
            match=r"the subscription to theirs/#: (not authorized|no reason was given); .*access list",
        ):
            await line.subscribe("theirs/#", "mine/#")
        await line.publish("mine/x", b"heard")
        assert await anext(aiter(line)) == mqtt.Received("mine/x", b"heard", False)
        await line.unsubscribe("mine/#", "never/was")
        await line.subscribe("mine/end")
        await line.publish("mine/x", b"not heard")
        await line.publish("mine/end", b"")
        assert (await anext(aiter(line))).topic == "mine/end"


async def test_a_refused_message_is_noticed_with_mqtt_5_and_qos_1(
    secured: tuple[EmbeddedBus, mqtt.BusUrl],
) -> None:
    _, url = secured
    async with mqtt.connect(url, client_id="c") as line:
        await line.publish("theirs/x", b"")
        if line.version == "5":
            with pytest.raises(mqtt.BusRefused, match="a message on theirs/x: not authorized"):
                await line.publish("theirs/x", b"", qos=1)
        else:
            await line.publish("theirs/x", b"", qos=1)
        await line.publish("mine/x", b"", qos=1)


async def test_what_expires_is_not_delivered_later_and_what_is_retained_not_where_it_is_not_wanted() -> None:
    async with EmbeddedBus() as bus, mqtt.connect(mqtt.BusUrl.parse(bus.url), client_id="c") as line:
        await line.publish("a/kept", b"1", retain=True, qos=1, expires=3600)
        core, now = bus._core, asyncio.get_running_loop().time()
        kept = core._retained.get("a/kept")
        assert kept is not None
        assert kept.expires is not None
        assert now + 3500 < kept.expires <= now + 3601
        await line.subscribe("a/+", retained=False)
        await line.publish("a/live", b"")
        assert (await anext(aiter(line))).topic == "a/live"


async def test_a_full_store_of_retained_messages_does_not_end_the_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        EmbeddedBus(BusSettings(limits=Limits(retained_messages=1))) as bus,
        mqtt.connect(mqtt.BusUrl.parse(bus.url), client_id="c") as line,
    ):
        for topic in ("a", "b"):
            await line.publish(topic, b"x", retain=True, qos=1)
        await line.subscribe("+")
        assert (await anext(aiter(line))).topic == "a"
    assert "refuses to keep b: quota exceeded; a limit of the server has to be raised" in caplog.text


async def test_the_reason_of_a_servers_goodbye_is_told() -> None:
    async with EmbeddedBus() as bus:
        url = mqtt.BusUrl.parse(bus.url)
        async with mqtt.connect(url, client_id="same") as old, mqtt.connect(url, client_id="same"):
            with pytest.raises(mqtt.BusLost, match="another program connected with the same client id"):
                await anext(aiter(old))
            with pytest.raises(mqtt.BusLost, match="another program"):
                await old.publish("a", b"")


async def test_a_message_that_is_not_answered_is_given_up_at_once_when_the_line_breaks() -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(ACCEPTED[5])
        await reader.read(1024)
        asked.set()
        await leave.wait()
        writer.close()

    leave = asyncio.Event()
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        url = mqtt.BusUrl("127.0.0.1", server.sockets[0].getsockname()[1])
        async with asyncio.timeout(PATIENCE / 2), mqtt.connect(url, client_id="c") as line:
            for ask in (line.publish("a", b"", qos=1),):
                asking = asyncio.create_task(ask)
                await asked.wait()
                leave.set()
                with pytest.raises(mqtt.BusLost, match="the line broke"):
                    await asking


@pytest.mark.parametrize(
    ("header", "body", "v5", "read"),
    [
        (0x30, b"\x00\x01ax", False, (mqtt.Received("a", b"x", False), 0)),
        (0x33, b"\x00\x01a\x00\x07", False, (mqtt.Received("a", b"", True), 7)),
        (0x30, b"\x00\x01a\x00x", True, (mqtt.Received("a", b"x", False), 0)),
        (0x30, b"\x00\x01a\x05\x02\x00\x00\x00\x09x", True, (mqtt.Received("a", b"x", False), 0)),
        (0x30, b"\x00\x01a\x82\x01" + bytes(130) + b"x", True, (mqtt.Received("a", b"x", False), 0)),
        (0x34, b"\x00\x01a\x00\x07", False, None),
        (0x32, b"\x00\x01a\x00", False, None),
        (0x32, b"\x00\x01a\x00\x00", False, None),
        (0x30, b"\x00\x05a", False, None),
        (0x30, b"\x00\x00x", False, None),
        (0x30, b"\x00\x01\xff", False, None),
        (0x30, b"\x00\x01a", True, None),
        (0x30, b"\x00\x01a\x05x", True, None),
        (0x30, b"", False, None),
    ],
)
def test_a_message_is_read_and_a_malformed_one_is_not(
    header: int, body: bytes, v5: bool, read: tuple[mqtt.Received, int] | None
) -> None:
    assert read_publish(header, body, v5=v5) == read
