"""A bus that goes away and comes back, under a process that stands."""

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sonde_agent import link
from sonde_agent.sidecar import SidecarSettings, serve
from sonde_agent.sidecar.journal import Journal
from sonde_agent.sidecar.uplink import Uplink
from sonde_wire import Address, bus, mqtt, probes
from tests.agent.sidecar.conftest import broker_on, mqtt_server, tapped
from tests.agent.sidecar.test_debugging import WORKER, online, stop
from tests.agent.sidecar.test_taps import hello, tap


async def test_a_lost_bus_lets_the_process_run_on_and_is_debugged_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with (
        mqtt_server(tmp_path) as server,
        serve(SidecarSettings(bus=server.url)) as sidecar,
        tapped(sidecar, tmp_path, WORKER) as (program, running),
    ):
        async with broker_on(server.url) as broker:
            process = await online(broker)
            await broker.open(process, "s1")
            await stop(broker, process, program)
            last = broker.events[-1].seq if broker.events else 0
        server.running.process.kill()
        await server.running.ended()
        await running.says("sold")

        port = mqtt.BusUrl.parse(server.url).port
        async with mqtt_server(tmp_path, port) as again, broker_on(again.url) as broker:
            back = await online(broker)
            assert back.boot == process.boot
            await broker.presence(lambda each: not each.sessions and each.debugger == "detached")
            await broker.open(back, "s2")
            await stop(broker, back, program, "s2")
            assert all(event.seq > last for event in broker.events)


async def test_what_a_history_had_not_got_when_the_bus_was_lost_is_sent_when_both_are_back(
    tmp_path: Path,
) -> None:
    async with mqtt_server(tmp_path) as server, AsyncExitStack() as stack:
        settings = SidecarSettings(bus=server.url, listen="tcp:127.0.0.1:0")
        sidecar = await stack.enter_async_context(serve(settings))
        ours = await stack.enter_async_context(tap(sidecar))
        async with broker_on(server.url) as broker:
            await broker.comes("history")
            ours.say(hello(sidecar))
            await broker.batch(lambda each: each.first == 1)
        server.running.process.kill()
        await server.running.ended()
        port = mqtt.BusUrl.parse(server.url).port
        async with mqtt_server(tmp_path, port) as again, broker_on(again.url) as broker:
            process = await online(broker)
            assert broker.batches == []
            await broker.comes("history")
            batch = await broker.batch(lambda each: each.boot == process.boot)
            assert (batch.first, batch.last) == (1, 1)
            await broker.has_stored(process.process, process.boot, 1)
            ours.say(link.Ending(code=0))
            ours.writer.close()
            assert (await broker.batch(lambda each: each.boot == process.boot)).first == 2
            await broker.has_stored(process.process, process.boot, 2)
            assert await sidecar.drained(20)


class _Owner:
    def __init__(self) -> None:
        self.lost = 0

    def presence(self) -> bus.Presence:
        raise NotImplementedError

    def broker_lost(self, broker: str) -> None:
        raise NotImplementedError

    def command(self, command: bus.Command) -> None:
        raise NotImplementedError

    def bus_lost(self) -> None:
        self.lost += 1

    def seen(self, probe: str, message: probes.ProbeMessage | None) -> None:
        raise NotImplementedError

    def report(self) -> bytes:
        raise NotImplementedError


def _uplink(owner: _Owner, url: mqtt.BusUrl | None) -> Uplink:
    boot = "0" * 32
    journal = Journal("default/shop/a", boot)
    return Uplink(Address("default", "shop", "a"), boot, journal, owner, lambda: url, owner)


async def test_where_no_bus_is_known_the_end_waits_for_nobody() -> None:
    uplink = _uplink(_Owner(), None)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(uplink.run())
        await asyncio.sleep(0)
        uplink.finish()


def test_a_bus_that_stays_away_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    url = mqtt.BusUrl.parse("mqtt://127.0.0.1:1")
    owner = _Owner()
    uplink = _uplink(owner, url)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            uplink._lost(mqtt.BusLost("127.0.0.1:1", "refused"), url)
    assert owner.lost == 3
    assert len(caplog.records) == 1
