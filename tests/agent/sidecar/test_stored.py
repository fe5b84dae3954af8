"""Events and the history of a broker: told, sent again, kept until they are there. The tap and the broker are played by hand."""

import logging
from collections.abc import AsyncIterator

import msgspec
import pytest

from sonde_agent import link
from sonde_agent.sidecar import Sidecar, SidecarSettings, acknowledging, serve, uplink
from sonde_wire import bus, codec, facts
from tests.agent.sidecar.conftest import Broker, who
from tests.agent.sidecar.test_taps import Tap, hello, tap

SHOP, BOOT = "prod/shop/shop-1", "a" * 32


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is about waiting is tested without a bus."""
    monkeypatch.setattr(acknowledging, "ARRIVAL", 0.02)
    monkeypatch.setattr(acknowledging, "GRACE", 0.0)
    monkeypatch.setattr(acknowledging, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(uplink, "STORED_WITHIN", 20.0)


@pytest.fixture
async def sidecar(mqtt_url: str) -> AsyncIterator[Sidecar]:
    async with serve(SidecarSettings(bus=mqtt_url, listen="tcp:127.0.0.1:0")) as sidecar:
        yield sidecar


@pytest.fixture
async def shop(sidecar: Sidecar, broker: Broker) -> AsyncIterator[Tap]:
    """It has told one event: that it has started."""
    async with tap(sidecar) as ours:
        ours.say(hello(sidecar))
        assert isinstance(await ours.hear(), link.Welcome)
        await broker.batch(lambda each: each.first == 1)
        yield ours


async def online(broker: Broker) -> bus.Presence:
    return await broker.presence(lambda each: each.state == "online")


async def test_a_history_that_comes_is_sent_what_was_told_before_and_once(
    shop: Tap, sidecar: Sidecar, broker: Broker
) -> None:
    await broker.has_stored(SHOP, "b" * 32, 1)  # of another boot
    await broker.comes("history")
    again = await broker.batch(lambda each: each.first == 1)
    assert (again.last, again.oldest, len(again.events)) == (1, 1, 1)
    await broker.has_stored(SHOP, BOOT, 1)
    shop.say(link.Ending(code=0))
    shop.writer.close()
    last = await broker.batch(lambda _: True)
    assert last.first == 2
    await broker.has_stored(SHOP, BOOT, 2)
    assert await sidecar.drained(20)
    assert broker.batches == []


async def test_a_hole_is_filled_while_the_process_lives(shop: Tap, sidecar: Sidecar, broker: Broker) -> None:
    await broker.comes("history")
    await broker.batch(lambda each: each.first == 1)
    await broker.has_stored(SHOP, BOOT, 0)
    await broker.batch(lambda each: each.first == 1)
    await broker.has_stored(SHOP, BOOT, 1)


async def test_the_last_words_are_sent_until_a_history_has_them(
    shop: Tap, sidecar: Sidecar, broker: Broker
) -> None:
    await broker.comes("history")
    await broker.has_stored(SHOP, BOOT, 1)
    shop.say(link.Ending(code=0))
    shop.writer.close()
    await broker.presence(lambda each: each.state == "ended")
    broker.batches.clear()
    await broker.has_stored(SHOP, BOOT, 1)
    again = await broker.batch(lambda each: each.first == 2)
    assert codec.decode(again.events[-1], bus.ProcessEnded).seq == again.last
    assert not await sidecar.drained(0.05)
    await broker.has_stored(SHOP, BOOT, again.last)
    assert await sidecar.drained(20)


async def test_where_no_history_is_written_the_end_waits_for_nobody(
    shop: Tap, sidecar: Sidecar, broker: Broker
) -> None:
    await broker.comes(None)
    shop.say(link.Ending(code=0))
    shop.writer.close()
    assert await sidecar.drained(10)


async def test_an_acknowledgement_that_was_retained_is_an_old_one(
    mqtt_url: str, broker: Broker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledging, "SILENCE", 0.05)
    await broker.has_stored(SHOP, BOOT, 5, retain=True)
    await broker.comes("history")
    settings = SidecarSettings(bus=mqtt_url, listen="tcp:127.0.0.1:0")
    async with serve(settings) as sidecar, tap(sidecar) as ours:
        ours.say(hello(sidecar))
        await broker.batch(lambda each: each.first == 1)
        await broker.batch(lambda each: each.first == 1)
        await broker.has_stored(SHOP, BOOT, 100)
    assert any("retained" in each.getMessage() for each in caplog.records)


async def test_a_broker_reads_what_the_sidecar_still_has_though_the_process_hangs(
    shop: Tap, broker: Broker
) -> None:
    process = await online(broker)
    looker = msgspec.structs.replace(who("ada"), scopes=("observe",))
    reply = await broker.ask(process, bus.ReadEvents(after=0, upto=50), viewer=looker)
    assert isinstance(reply.result, msgspec.Raw), reply.failure
    read = codec.decode(reply.result, bus.EventsRead)
    assert (read.boot, read.oldest, read.last) == (BOOT, 1, 1)
    (event,) = read.events
    assert codec.decode(event, bus.ProcessStarted).pid > 0


async def test_a_command_is_in_the_log_with_the_trace_of_its_caller(
    shop: Tap, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    process = await online(broker)
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    trace = bus.TraceContext(traceparent=f"00-{trace_id}-00f067aa0ba902b7-01")
    nobody = msgspec.structs.replace(who("eve"), scopes=())
    await broker.ask(process, bus.ReadEvents(after=0, upto=1), trace=trace)
    await broker.ask(process, bus.ReadEvents(after=0, upto=1), trace=trace, viewer=nobody)
    await broker.ask(process, bus.CloseSession(session="none"), trace=trace)
    told = [each.getMessage() for each in caplog.records if _fact(each, "trace_id") == trace_id]
    assert told[0] == "ada asks for process.events"
    assert told[1].startswith("refused to eve: this needs the scope observe")
    assert told[2:] == ["ada asks for session.close", "not done: there is no such session; open one first"]


def _fact(record: logging.LogRecord, name: str) -> object:
    """A field of its own in the log's JSON."""
    return getattr(record, facts.ATTRIBUTE, {}).get(name)
