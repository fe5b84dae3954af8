"""`sonde metrics` as a process of its own, against the fake broker."""

import asyncio
import json
from typing import Any

import pytest

from sonde_wire import bus, codec, rpc
from tests.viewer.fake_broker import BOOT, SHOP, FakeBroker
from tests.viewer.test_commands import sonde

DURATION = bus.Duration(average=0.5, least=0.1, most=2.5, p50=0.25, p90=1.5, p99=0.0000042)
CHARGE = bus.OperationMetrics(
    name="charge\x1b[2J",
    active=1,
    total=bus.Counts(ended=90, errors=9, success_rate=0.9, error_rate=0.1, duration=DURATION),
    last_minute=bus.Counts(ended=4, scope_errors=2, success_rate=1.0, error_rate=0.0, duration=DURATION),
    error_types={"KeyError": 9},
)
SAMPLE = bus.Metrics(
    process=SHOP.process,
    boot=BOOT,
    time=1.0,
    cpu_percent=12.5,
    memory_rss=3 << 20,
    event_loop_lag=0.004,
    operations=(CHARGE, bus.OperationMetrics(name="idle", total=bus.Counts(), last_minute=bus.Counts())),
    operations_dropped=7,
    unavailable={"open_fds": "it needs\nthe same user"},
)


@pytest.fixture
def measuring(broker: FakeBroker) -> FakeBroker:
    """It sends a sample to whoever subscribes."""
    tasks: set[asyncio.Task[None]] = set()

    def subscribed(_: rpc.Params) -> Any:
        telling = broker.notify("metrics", rpc.MetricItems(metrics=(codec.raw(SAMPLE),)))
        tasks.add(asyncio.get_running_loop().create_task(telling, name="tell the metrics"))
        return rpc.Subscribed(subscription=7)

    broker.answers["subscribe"] = subscribed
    return broker


async def test_metrics_shows_figures_reasons_and_the_operations_of_the_last_minute(
    measuring: FakeBroker,
) -> None:
    code, output, errors = await sonde("metrics", "shop", broker=measuring)
    assert (code, errors) == (0, "")
    assert "12.5 %" in output
    assert "3.0 MiB" in output
    assert "4.00 ms" in output
    assert "- it needs\\nthe same user" in output
    assert "7 operations were not counted" in output
    assert "\x1b" not in output
    (row,) = [line for line in output.splitlines() if line.startswith("charge")]
    assert row.split() == [
        *("charge\\x1b[2J", "1", "4", "0.0", "0", "2"),
        *("500.00", "ms", "250.00", "ms", "1.50", "s", "4.2", "us", "2.50", "s", "9", "KeyError"),
    ]
    (idle,) = [line for line in output.splitlines() if line.startswith("idle")]
    assert idle.split() == ["idle", "0", "0", "-", "0", "0", "-", "-", "-", "-", "-"]


async def test_metrics_shows_operations_since_the_start_when_asked(measuring: FakeBroker) -> None:
    code, output, _ = await sonde("metrics", "shop", "--total", broker=measuring)
    (row,) = [line for line in output.splitlines() if line.startswith("charge")]
    assert (code, row.split()[2:4]) == (0, ["90", "10.0"])


async def test_metrics_as_json_is_the_sample_as_it_is_on_the_wire(measuring: FakeBroker) -> None:
    code, output, _ = await sonde("metrics", "shop", "--json", broker=measuring)
    assert code == 0
    assert codec.decode(output, bus.Metrics) == SAMPLE
    assert json.loads(output)["operations"][0]["active"] == 1
