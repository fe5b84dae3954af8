"""Several brokers on one bus, none special: what one does not do another does, and nobody does it twice."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from sonde_broker.replicas import Replicas
from sonde_viewer import DebugSession, connect
from sonde_viewer.resuming import Missing, Notice, Resumed, follow
from sonde_wire import Address, bus, codec, topics
from sonde_wire.probes import Probe, ProbeMessage
from sonde_wire.topics import Channel
from tests.broker.fake_agent import agent
from tests.broker.messages import batch, presence, started
from tests.broker.viewer import Viewer, items
from tests.support import replicas
from tests.support.debuggee import Program
from tests.support.replicas import NUMBERS, Ear, Fleet, Replica, fleet


def events_of(viewer: Viewer, process: str) -> list[dict[str, Any]]:
    return [each for each in items(viewer.told, "events") if each["process"] == process]


async def heard_step(viewer: Viewer, number: int) -> None:
    await viewer.until(lambda told: number in replicas.steps(items(told, "events")))


async def test_viewers_of_one_process_at_several_brokers_see_the_same_and_debug_it_together(
    tmp_path: Path,
) -> None:
    program = Program.write(tmp_path, NUMBERS)
    async with (
        fleet(tmp_path) as here,
        here.brokers(2) as (one, other),
        here.viewer(one) as ana,
        here.viewer(other, "ben") as ben,
        here.run(program, "shop") as started,
    ):
        process = await replicas.appeared(ana, "shop")
        assert await replicas.appeared(ben, "shop") == process
        for viewer in (ana, ben):
            await viewer.result("subscribe", topics=["events"])
        await replicas.logged(ana, program, "shop")
        await started.hears("300")
        # both ask the same process at the same time, and each gets its own answer
        asked = [viewer.result("process.stacks", process=process) for viewer in (ana, ben) for _ in range(5)]
        assert all(each["threads"] for each in await asyncio.gather(*asked))
        for viewer in (ana, ben):
            await heard_step(viewer, 299)
        assert replicas.steps(events_of(ana, process)) == list(range(300))
        told = [
            [(each["boot"], each["seq"], each["type"]) for each in events_of(viewer, process)]
            for viewer in (ana, ben)
        ]
        first = max(each[0][1] for each in told)
        assert [each for each in told[0] if each[1] >= first] == [
            each for each in told[1] if each[1] >= first
        ]

        async with (
            connect(one.url, here.token("ana")) as left,
            connect(other.url, here.token("ben")) as right,
            left.debug(process) as anas,
            right.debug(process) as bens,
        ):
            await anas.set_breakpoints(str(program.path), [program.line("log it")])
            await started.hears("1")
            await anas.stopped()
            await bens.stopped()
            [bens_as_ana_sees_it] = anas.sessions_of("ben")
            assert len(bens.sessions_of("ana")) == 1
            await bens.take_seat()
            await _until_drives(anas, bens_as_ana_sees_it)
            assert (bens.drives, anas.drives) == (True, False)
            await bens.continue_()
            await started.says("did 301")


async def _until_drives(session: DebugSession, driver: str) -> None:
    changes = session.changes()
    async with asyncio.timeout(replicas.PATIENCE):
        while session.driver != driver:
            await anext(changes)


def choices(ear: Ear, probe: str) -> list[tuple[int, tuple[str, ...]]]:
    """Each that was published, in order: its revision and whom it chose."""
    topic = topics.of_probe(probe)
    found = []
    for each in ear.heard:
        if each.topic == topic and each.payload:
            message: ProbeMessage = codec.decode(each.payload, ProbeMessage)  # type: ignore[arg-type] # a union
            assert isinstance(message, Probe)
            found.append((message.revision, message.chosen or ()))
    return found


async def test_who_has_a_probe_is_chosen_by_one_broker_and_when_that_is_killed_by_the_other(
    tmp_path: Path,
) -> None:
    names = [f"shop/web/pod-{number}" for number in range(6)]
    async with (
        fleet(tmp_path) as here,
        replicas.ear(here.bus) as ear,
        here.brokers(2) as (one, other),
        here.viewer(one) as ana,
        here.viewer(other, "ben") as ben,
        contextlib.AsyncExitStack() as stack,
    ):
        agents = {name: await stack.enter_async_context(agent(here.bus.url, name)) for name in names}
        for viewer in (ana, ben):
            for name in names:
                await viewer.online(name)
        spec = {
            "kind": {"type": "snapshot"},
            "place": {"type": "line", "path": "shop.py", "line": 3},
            "target": {"selector": "shop/web/*", "canaries": 2},
        }
        added = await ana.result("probe.add", probe=spec)
        probe = str(added["probe"]["id"])
        await ben.result("subscribe", topics=["probes"])
        await ben.until(lambda told: any(each["probe"]["id"] == probe for each in items(told, "probes")))
        shown = await ben.result("probe.show", probe=probe)
        chosen = added["probe"]["chosen"]
        assert len(chosen) == 2
        assert shown["info"]["probe"] == added["probe"]

        for revision in (2, 3):  # by the second time whoever did it twice has been heard
            await agents[chosen[0]].say(presence(chosen[0], "ended"))
            chosen = await _chosen(ear, probe, revision)
        assert [each for each, _ in choices(ear, probe)] == [1, 2, 3]

        named = {str((await each.result("whoami"))["broker"]): each for each in (ana, ben)}
        leader = next(name for name in named if _leads(name, set(named), probe))
        dead, survivor = (one, ben) if named[leader] is ana else (other, ana)
        await dead.kill()
        await ear.until(lambda: True if leader not in ear.stores() else None)
        await agents[chosen[0]].say(presence(chosen[0], "ended"))
        chosen = await _chosen(ear, probe, 4)
        shown = await survivor.result("probe.show", probe=probe)
        assert shown["info"]["probe"]["chosen"] == list(chosen)
        assert [each for each, _ in choices(ear, probe)] == [1, 2, 3, 4]


def _leads(name: str, brokers: set[str], probe: str) -> bool:
    seen = Replicas(name)
    for each in brokers:
        seen.seen(each, bus.BrokerPresence(broker=each, state="online", time=1.0), 1.0)
    return seen.leads(probe)


async def _chosen(ear: Ear, probe: str, revision: int) -> tuple[str, ...]:
    def found() -> tuple[str, ...] | None:
        return next((chosen for number, chosen in choices(ear, probe) if number == revision), None)

    return await ear.until(found)


async def test_a_broker_that_is_told_to_stop_sends_its_viewers_to_another_and_they_miss_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program.write(tmp_path, NUMBERS)
    async with (
        fleet(tmp_path) as here,
        here.broker() as one,
        here.run(program, "shop") as started,
        here.viewer(one) as ana,
        here.silent(one),
        here.broker() as other,
        # one that has connected and not said anything yet, as browsers do in advance, and one that is about to join
        _half_open(one),
        _half_open(one) as (reading, writing),
    ):
        await replicas.appeared(ana, "shop")
        await replicas.logged(ana, program, "shop")
        interrupted: list[Notice] = []
        await ana.result("subscribe", topics=["events"])
        monkeypatch.setenv("SONDE_URL", one.url)
        monkeypatch.setenv("SONDE_TOKEN", here.token())
        async with follow("shop", tell=interrupted.append) as events:
            seen: list[bus.AnyEvent] = []
            await started.hears("20")
            await _read(events, 19, seen)
            monkeypatch.setenv("SONDE_URL", f"{one.url},{other.url}")
            one.process.send_signal(signal.SIGTERM)
            assert (await ana.closed())[0] == 1012
            status, told = await one.ready()  # the one that does not read its goodbye keeps it that long
            assert (status, told["parts"]["viewers"]["state"]) == (503, "draining")
            writing.write(_handshake(here, one))
            assert b" 503 " in await reading.readline()
            await started.hears("200")
            async with asyncio.timeout(10):  # nobody waits for those that say nothing
                assert await one.process.wait() == 0
            await _read(events, 219, seen)
        assert [type(each) for each in interrupted if isinstance(each, Missing)] == []
        assert any(isinstance(each, Resumed) for each in interrupted)
        assert _steps(seen) == list(range(220))


def _steps(events: list[bus.AnyEvent]) -> list[int]:
    return replicas.steps([msgspec.to_builtins(each) for each in events])


async def _read(events: follow, step: int, seen: list[bus.AnyEvent]) -> None:
    async with asyncio.timeout(replicas.PATIENCE):
        async for event in events:
            seen.append(event)
            if _steps([event]) == [step]:
                return


@asynccontextmanager
async def _half_open(replica: Replica) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    where = urlsplit(replica.url)
    reading, writing = await asyncio.open_connection(where.hostname, where.port)
    try:
        yield reading, writing
    finally:
        writing.close()


def _handshake(here: Fleet, replica: Replica) -> bytes:
    return "\r\n".join(
        (
            "GET /ws HTTP/1.1",
            f"Host: {urlsplit(replica.url).netloc}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
            "Sec-WebSocket-Protocol: sonde.v1",
            f"Authorization: Bearer {here.token()}",
            "",
            "",
        )
    ).encode()


RUBBISH = (b"", b"{}", b"[]", b"null", b"\xff\xfe", b"{" * 5000, b"0" * 2**21, b'{"type":"events"}')


async def test_rubbish_on_the_bus_is_counted_and_nobody_notices(tmp_path: Path) -> None:
    process = "shop/web/pod-1"
    elsewhere = topics.of_process(Address.parse(process), Channel.EVENTS).split("/")
    elsewhere[3] = "0" if elsewhere[3] != "0" else "1"
    async with (
        fleet(tmp_path) as here,
        here.broker() as one,
        here.viewer(one) as ana,
        replicas.ear(here.bus) as ear,
        agent(here.bus.url, process) as pod,
    ):
        await ana.online(process)
        await ana.result("subscribe", topics=["events", "metrics", "probes"])
        await pod.say(batch(started(1, process)))
        good = codec.encode(batch(started(2, process), started(3, process)))
        wrong = (
            good.replace(b'"first":2', b'"first":3'),
            good.replace(b'"last":3', b'"last":4'),
            good.replace(b'"first":2', b'"first":-2'),
            good.replace(b"pod-1", b"pod-2"),
            good.replace(b'"seq":3', b'"seq":9007199254740993'),
            good[:-5],
        )
        channels = (Channel.EVENTS, Channel.METRICS, Channel.PROBES, Channel.PRESENCE)
        for payload in (*RUBBISH[1:], *wrong):
            for channel in channels:
                await ear.publish(topics.of_process(Address.parse(process), channel), payload)
            await ear.publish(topics.presence_of_broker("bad"), payload)
            await ear.publish(topics.of_probe("aaaaaaaaaa"), payload)
            await ear.publish("sonde/v1/process/0/" + "x/" * 50 + "events", payload)
        await ear.publish("/".join(elsewhere), codec.encode(batch(started(2, process))))
        await pod.say(batch(started(2, process)))
        told = await ana.events(2)
        assert [each["seq"] for each in told] == [1, 2]
        assert (await ana.result("process.list"))["processes"][0]["state"] == "online"
        assert (await one.ready())[0] == 200
        assert await one.figure("sonde_broker_bus_messages_malformed_total") > len(RUBBISH) * len(channels)
