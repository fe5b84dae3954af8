"""Probes between the bus and a tap that is played by hand: what it is told, and what becomes of what it says."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sonde_agent import link
from sonde_agent.records import changed
from sonde_agent.sidecar import Sidecar, SidecarSettings, serve
from sonde_wire import Address, bus, codec, mqtt, topics
from sonde_wire.probes import LinePlace, Probe, ProbeRemoved, ProbeReport, ProbeSpec, Snapshot
from tests.agent.sidecar.conftest import Broker
from tests.agent.sidecar.test_taps import HELLO, Tap, tap

ONE = "probeaaaaa"
TOPIC = topics.of_process(Address("prod", "shop", "shop-1"), topics.Channel.PROBES)


@pytest.fixture
async def sidecar(mqtt_url: str) -> AsyncIterator[Sidecar]:
    async with serve(SidecarSettings(bus=mqtt_url, listen="tcp:127.0.0.1:0")) as sidecar:
        yield sidecar


class Bus:
    """Probes in, reports out."""

    def __init__(self, line: mqtt.BusConnection) -> None:
        self.line = line
        self.payloads: list[bytes] = []
        self._heard = asyncio.Condition()

    async def listen(self) -> None:
        async for message in self.line:
            async with self._heard:
                self.payloads.append(message.payload)
                self._heard.notify_all()

    async def until(self, wanted: Callable[[bytes], bool]) -> bytes:
        """The newest report, as soon as it is as wanted."""
        async with asyncio.timeout(20), self._heard:
            await self._heard.wait_for(lambda: self.payloads and wanted(self.payloads[-1]))
            return self.payloads[-1]

    async def states(self, **wanted: str) -> ProbeReport:
        return codec.decode(await self.until(lambda payload: _states(payload) == wanted), ProbeReport)

    async def put(self, message: Probe | ProbeRemoved) -> None:
        await self.line.publish(topics.of_probe(message.id), codec.encode(message), retain=True, qos=1)


def _states(payload: bytes) -> dict[str, str]:
    return {each.id: each.state for each in codec.decode(payload, ProbeReport).probes} if payload else {}


@pytest.fixture
async def probes(mqtt_url: str) -> AsyncIterator[Bus]:
    async with mqtt.connect(mqtt.BusUrl.parse(mqtt_url), client_id="probes") as line:
        heard = Bus(line)
        await line.subscribe(TOPIC, qos=1)
        listening = asyncio.create_task(heard.listen())
        yield heard
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


@asynccontextmanager
async def welcomed(sidecar: Sidecar, **more: Any) -> AsyncIterator[Tap]:
    async with tap(sidecar) as one:
        one.say(changed(HELLO, token=sidecar.token_file.read_text(), **more))
        assert isinstance(await one.hear(), link.Welcome)
        yield one


async def call(one: Tap) -> link.Call:
    while not isinstance(message := await one.hear(), link.Call):
        assert message is not None
    return message


def probe(**more: Any) -> Probe:
    now = time.time()
    spec = ProbeSpec(kind=Snapshot(), place=LinePlace(path="shop.py", line=3))
    fields: dict[str, Any] = {
        "creator": "ada",
        "created": now,
        "expires": now + 60,
        "within": ("*/*/*",),
    } | more
    return Probe(id=ONE, spec=spec, **fields)


def status(state: str, **more: Any) -> dict[str, Any]:
    return {"id": ONE, "state": state, **more}


async def put(one: Tap, probes: Bus) -> None:
    """The tap has it, and says that it waits for its code."""
    await probes.put(probe())
    one.say(link.Result(id=(await call(one)).id, value=status("pending", message="not loaded")))


async def test_a_probe_on_the_bus_is_put_into_the_tap_and_its_state_is_on_the_bus(
    sidecar: Sidecar, probes: Bus
) -> None:
    async with welcomed(sidecar) as one:
        await probes.put(probe())
        told = await call(one)
        assert told.operation == "probes.put"
        given = told.arguments["probe"]
        assert (given["id"], given["revision"]) == (ONE, 1)
        assert 0 < given["left"] <= 60
        assert given["spec"]["kind"] == {"type": "snapshot"}
        assert (given["spec"]["max_hits"], given["spec"]["rate"], given["spec"]["burst"]) == (100, 1.0, 1)
        one.say(link.Result(id=told.id, value=status("pending", message="not loaded")))
        await probes.states(**{ONE: "pending"})
        one.say(link.Report(probes={"probes": [status("hit", hits=4)], "cpu": 0.002, "lost": 1, "new": 1}))
        report = await probes.states(**{ONE: "hit"})
        assert (report.process, report.boot, report.cpu, report.lost) == (
            "prod/shop/shop-1",
            "a" * 32,
            0.002,
            1,
        )
        assert report.probes[0].hits == 4


async def test_a_state_that_is_malformed_is_ignored_and_the_others_are_told(
    sidecar: Sidecar, probes: Bus
) -> None:
    async with welcomed(sidecar) as one:
        infinite = {"id": "probebbbbb", "state": "hit", "cpu": 0.125}
        report = link.Report(
            probes={
                "probes": [status("nosuch"), infinite, 3, {"id": "probeccccc", "state": "hit"}],
                "lost": "many",
            }
        )
        one.writer.write(link.encode(report).replace(b"0.125", b"1e999"))
        told = await probes.states(probeccccc="hit")
        assert told.lost == 0


async def test_a_removed_one_is_dropped_and_a_refused_one_is_an_error(sidecar: Sidecar, probes: Bus) -> None:
    async with welcomed(sidecar) as one:
        await probes.put(probe())
        refusal = link.Fault(
            id=(await call(one)).id, code="invalid_argument", reason="invalid_expression", message="no calls"
        )
        one.say(refusal)
        report = await probes.states(**{ONE: "error"})
        assert report.probes[0].message == "no calls"
        await probes.put(ProbeRemoved(id=ONE, time=time.time(), expires=time.time() + 60))
        told = await call(one)
        assert (told.operation, told.arguments) == ("probes.drop", {"id": ONE})
        one.say(link.Result(id=told.id))
        await probes.until(lambda payload: not payload)


async def test_what_probes_bring_becomes_events_and_what_is_malformed_or_too_large_is_dropped(
    sidecar: Sidecar, broker: Broker
) -> None:
    async with welcomed(sidecar) as one:
        logged = {"type": "probe_logged", "time": 1000.5, "probe": ONE, "path": "/shop.py", "line": 3}
        taken = {
            "type": "snapshot_taken",
            "time": 1001.0,
            "probe": ONE,
            "hit": 2,
            "captured": {
                "frames": [
                    {
                        "path": "/shop.py",
                        "line": 3,
                        "function": "sell",
                        "locals": [["n", {"type": "int", "value": "42"}]],
                    }
                ],
                "thread": {"id": 1, "name": "MainThread"},
                "duration": 0.00001,
            },
        }
        one.say(
            link.Hits(
                hits=[
                    {**logged, "hit": 1},  # no message
                    {**logged, "hit": 1, "message": "x" * 300_000},
                    {**logged, "hit": "1", "message": "x"},
                    {**logged, "hit": 1, "message": "x", "probe": "another/../one"},
                    {"type": "process_ended", "time": 1.0},
                    {},
                    {
                        "type": "probe_changed",
                        "time": float("1e300"),
                        "status": {**status("hit"), "cpu": "no"},
                    },
                    {
                        **logged,
                        "hit": 1,
                        "message": "sold",
                        "process": "of/some/body",
                        "seq": 99,
                        "boot": "b" * 32,
                    },
                    taken,
                    {"type": "probe_changed", "time": 1002.0, "status": status("hit")},
                ]
            )
        )
        snapshot = await broker.event(bus.SnapshotTaken)
        changed_ = await broker.event(bus.ProbeChanged)
        events = [each for each in broker.events if not isinstance(each, bus.ProcessStarted)]
        assert [type(each) for each in events] == [bus.ProbeLogged, bus.SnapshotTaken, bus.ProbeChanged]
        line = events[0]
        assert isinstance(line, bus.ProbeLogged)
        assert (line.process, line.boot, line.message, line.time) == (
            "prod/shop/shop-1",
            "a" * 32,
            "sold",
            1000.5,
        )
        assert [each.seq for each in events] == [2, 3, 4]
        assert snapshot.captured.frames[0].locals is not None
        assert bus.snapshot_id(snapshot) == "aaaaaaaaaaaa-3"
        assert changed_.status.state == "hit"


async def test_a_tap_that_comes_back_is_given_its_probes_again(sidecar: Sidecar, probes: Bus) -> None:
    async with welcomed(sidecar) as one:
        await put(one, probes)
        await probes.states(**{ONE: "pending"})
    async with welcomed(sidecar) as one:
        told = await call(one)
        assert (told.operation, told.arguments["probe"]["id"]) == ("probes.put", ONE)
        one.say(link.Result(id=told.id, value=status("active")))
        await probes.states(**{ONE: "active"})


async def test_a_process_that_starts_later_is_given_what_the_bus_retains(
    sidecar: Sidecar, probes: Bus
) -> None:
    await probes.put(probe())
    async with welcomed(sidecar) as one:
        assert (await call(one)).operation == "probes.put"


async def test_a_new_sidecar_keeps_what_the_tap_still_has(sidecar: Sidecar, probes: Bus) -> None:
    async with welcomed(sidecar, process="prod/shop/shop-1", numbered=300) as one:
        one.say(link.Report(probes={"probes": [status("active")]}))
        await probes.states(**{ONE: "active"})
        await probes.put(ProbeRemoved(id=ONE, time=time.time(), expires=time.time() + 60))
        assert (await call(one)).operation == "probes.drop"


async def test_nothing_is_left_on_the_bus_of_a_process_that_has_ended(sidecar: Sidecar, probes: Bus) -> None:
    async with welcomed(sidecar) as one:
        await put(one, probes)
        await probes.states(**{ONE: "pending"})
        one.say(link.Ending(code=0))
    await probes.until(lambda payload: not payload)


async def test_a_probe_that_names_another_than_its_topic_is_ignored(sidecar: Sidecar, probes: Bus) -> None:
    async with welcomed(sidecar) as one:
        await probes.line.publish("sonde/v1/probe/probebbbbb", codec.encode(probe()), retain=True, qos=1)
        await probes.line.publish("sonde/v1/probe/probeccccc", b"{}", retain=True, qos=1)
        await probes.put(probe())
        assert (await call(one)).arguments["probe"]["id"] == ONE
