"""Events and metrics on their way out. The bus is played by hand."""

import asyncio
import logging
from typing import cast

import pytest

from sonde_agent.sidecar import acknowledging
from sonde_agent.sidecar import journal as journal_module
from sonde_agent.sidecar.journal import Journal
from sonde_agent.sidecar.stream import METRICS_LAST, Stream
from sonde_wire import Address, bus, codec, mqtt

SHOP, BOOT = Address("default", "shop", "a"), "0" * 32


class Line:
    """Takes what is published until it breaks."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.metrics: list[tuple[float, float | None]] = []
        self.is_broken = False

    async def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 0, expires: float | None = None
    ) -> None:
        await asyncio.sleep(0)
        assert (retain, qos) == (False, 0)
        if self.is_broken:
            raise mqtt.BusLost("here", "broken")
        if topic.endswith("/events"):
            batch = codec.decode(payload, bus.EventBatch)
            self.batches.append((batch.first, batch.last))
        else:
            self.metrics.append((codec.decode(payload, bus.Metrics).time, expires))

    @property
    def itself(self) -> mqtt.BusConnection:
        return cast(mqtt.BusConnection, self)


class Shop:
    def __init__(self, most_events: int = 100) -> None:
        self.journal = Journal(str(SHOP), BOOT, most_events=most_events)
        self.stream = Stream(SHOP, self.journal)

    def happens(self, count: int) -> None:
        for _ in range(count):
            self.journal.append(bus.ProcessStarted, 0.0, pid=1)
            self.stream.events_waiting()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrivals and holes are answered at once."""
    monkeypatch.setattr(acknowledging, "ARRIVAL", 0.0)
    monkeypatch.setattr(acknowledging, "GRACE", 0.0)


async def test_what_happens_meanwhile_goes_before_what_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "BATCH_EVENTS", 2)
    shop, line = Shop(), Line()
    shop.happens(6)
    await shop.stream.publish(line.itself)
    assert line.batches == [(1, 2), (3, 4), (5, 6)]
    shop.stream.broker_seen("b1", "history")
    await shop.stream.publish(line.itself)
    assert line.batches[3:] == [(1, 2)]
    shop.stream.stored(2)
    shop.happens(1)
    await shop.stream.publish(line.itself)
    assert line.batches[4:] == [(7, 7), (3, 4), (5, 6)]


async def test_of_metrics_the_newest_goes_out_and_not_for_long() -> None:
    shop, line = Shop(), Line()
    for time in (1.0, 2.0):
        shop.stream.metrics(bus.Metrics(process=str(SHOP), boot=BOOT, time=time))
    await shop.stream.publish(line.itself)
    await shop.stream.publish(line.itself)
    assert line.metrics == [(2.0, METRICS_LAST)]


async def test_what_did_not_get_out_is_sent_by_the_next_line() -> None:
    shop, line, other = Shop(), Line(), Line()
    shop.happens(2)
    line.is_broken = True
    with pytest.raises(mqtt.BusLost):
        await shop.stream.publish(line.itself)
    shop.stream.line_made()
    await shop.stream.publish(other.itself)
    assert other.batches == [(1, 2)]


async def test_events_that_are_lost_to_the_history_are_told_once_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop, line = Shop(most_events=10), Line()
    shop.happens(20)
    assert caplog.records == [], "nobody keeps a history"
    shop.stream.broker_seen("b1", "history")
    shop.happens(5)
    shop.happens(7)
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING and "the oldest have to be let go" in warning.getMessage()
    await shop.stream.publish(line.itself)
    shop.stream.stored(32)
    assert len(caplog.records) == 2
    assert "12 are lost to it" in caplog.records[-1].getMessage()
    shop.happens(11)
    assert len(caplog.records) == 3, "it is told anew when it happens anew"


async def test_the_end_is_waited_for_until_the_history_has_it_and_no_longer_than_said() -> None:
    shop, line = Shop(), Line()
    shop.stream.broker_seen("b1", "history")
    shop.happens(1)
    await shop.stream.publish(line.itself)
    await shop.stream.acknowledged(line.itself, 0.01)  # in vain
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(shop.stream.acknowledged(line.itself, 20))
        await asyncio.sleep(0)
        assert not waiting.done()
        shop.stream.stored(1)
    await shop.stream.acknowledged(line.itself, 20)


async def test_the_end_is_waited_for_no_more_when_whoever_writes_the_history_goes() -> None:
    shop, line = Shop(), Line()
    shop.stream.broker_seen("b1", "history")
    shop.happens(1)
    await shop.stream.publish(line.itself)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(shop.stream.acknowledged(line.itself, 60))
        await asyncio.sleep(0)
        shop.stream.broker_gone("b1")
