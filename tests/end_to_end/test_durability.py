"""Nothing that happened is missing in the history afterwards, whoever is killed meanwhile; and nothing is missing silently.

A program counts, a log probe says each number, and each of its events is in the history exactly once, in order, without a hole.
"""

import asyncio
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from websockets.exceptions import ConnectionClosed

from sonde_viewer import connect
from sonde_viewer.errors import ViewerError
from sonde_wire import bus, rpc
from sonde_wire.topics import Channel
from tests.broker.fake_agent import FakeAgent, agent
from tests.broker.messages import BOOT, batch, metrics
from tests.broker.viewer import Viewer, items
from tests.support import replicas
from tests.support.debuggee import Program, Running
from tests.support.replicas import NUMBERS, Ear, Fleet, Replica, fleet

try:
    from tests.support import postgres
except ImportError:  # its driver is not on every interpreter
    postgres = None  # type: ignore[assignment]


def missing() -> str:
    return "psycopg is not here" if postgres is None else postgres.missing()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    if why := missing():
        pytest.skip(why)
    assert postgres is not None
    with postgres.cluster() as started:
        yield started


@pytest.fixture
def history(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of several brokers: PostgreSQL where that is here, else a file, which they can share as they are on one machine."""
    if missing():
        return f"sqlite:///{tmp_path / 'history' / 'history.db'}"
    return of(request.getfixturevalue("cluster"))


def of(cluster: Any) -> str:
    """A new database as `--history` takes it, which wants to read the name of a host."""
    return str(cluster.new_database()).replace("+psycopg", "").replace("@/", "@localhost/")


async def complete(viewer: Viewer, process: str, steps: int) -> None:
    """Each number of each boot once and in order, and each step among them."""
    events = await replicas.history(viewer, process)
    assert len({each["boot"] for each in events}) == 1
    assert replicas.numbers(events) == list(range(1, len(events) + 1))
    assert replicas.steps(events) == list(range(steps))


async def told_step(ear: Ear, process: str, number: int) -> None:
    """Until the bus has carried that step."""
    text = f'"number {number}"'.encode()
    await ear.until(lambda: True if any(text in each for each in ear.on(Channel.EVENTS, process)) else None)


async def saw(viewer: Viewer, step: int) -> None:
    await viewer.until(lambda told: step in replicas.steps(items(told, "events")))


STORED = "sonde_broker_history_events_stored_total"


async def divided(ear: Ear, started: Running, process: str, steps: int, sites: list[Replica]) -> int:
    """Until one of two brokers stores what the process tells and the other does not, twice in a row: that one is the first
    then. How many steps were done by then."""
    seen: list[bool] = []
    while True:
        before = [await each.figure(STORED) for each in sites]
        await started.hears("10")
        steps += 10
        await ear.stored(process, f'"number {steps - 1}"')
        grown = [await each.figure(STORED) > earlier for each, earlier in zip(sites, before, strict=True)]
        if grown.count(True) == 1 and grown == seen:
            if grown[1]:
                sites.reverse()
            return steps
        seen = grown


async def test_the_broker_that_stores_is_killed_at_any_moment_and_another_takes_over(
    tmp_path: Path, history: str
) -> None:
    program = Program.write(tmp_path, NUMBERS)
    async with (
        fleet(tmp_path, history) as here,
        replicas.ear(here.bus) as ear,
        here.run(program, "shop") as started,
        AsyncExitStack() as stack,
    ):
        sites = [await stack.enter_async_context(here.broker())]
        async with here.viewer(sites[0]) as ana:
            process = await replicas.appeared(ana, "shop")
            await replicas.logged(ana, program, "shop")
        steps = 0
        for seed in (1, 2, 3):
            chance = random.Random(seed)  # noqa: S311 - for the same moments each time
            sites.append(await stack.enter_async_context(here.broker()))
            await ear.writing(2)
            steps = await divided(ear, started, process, steps, sites)
            stores = sites.pop(0)
            async with here.viewer(sites[0], "ben") as ben:
                await ben.result("subscribe", topics=["events"])
                await started.hears("400")
                await told_step(ear, process, steps + chance.randrange(400))
                await stores.kill()
                await ear.writing(1)
                last = steps + 400 - 1
                await ear.stored(process, f'"number {last}"')
                await complete(ben, process, last + 1)
                await saw(ben, last)
                assert whole_with_gaps(ben, process) == []
                assert replicas.steps(items(ben.told, "events")) == list(range(steps, last + 1))
            steps = last + 1


async def test_the_only_broker_is_killed_under_load_and_started_again(tmp_path: Path) -> None:
    program = Program.write(tmp_path, NUMBERS)
    async with (
        fleet(tmp_path, f"sqlite:///{tmp_path / 'history.db'}") as here,
        replicas.ear(here.bus) as ear,
        here.run(program, "shop") as started,
    ):
        async with here.broker() as first:
            async with here.viewer(first) as ana:
                process = await replicas.appeared(ana, "shop")
                await replicas.logged(ana, program, "shop")
            await started.hears("400")
            await told_step(ear, process, 150)
            await first.kill()
        await told_step(ear, process, 399)  # nobody is there who writes it down
        async with here.broker() as second, here.viewer(second) as ana:
            await ear.stored(process, '"number 399"')
            await complete(ana, process, 400)


async def test_the_bus_is_killed_under_load_and_started_again(tmp_path: Path) -> None:
    program = Program.write(tmp_path, NUMBERS)
    async with (
        fleet(tmp_path, f"sqlite:///{tmp_path / 'history.db'}") as here,
        here.brokers(2) as (one, other),
        here.viewer(one) as ana,
        here.viewer(other, "ben") as ben,
        here.run(program, "shop") as started,
    ):
        async with replicas.ear(here.bus) as ear:
            process = await replicas.appeared(ana, "shop")
            assert await replicas.appeared(ben, "shop") == process
            for viewer in (ana, ben):
                assert (await viewer.result("subscribe", topics=["events"]))["subscription"] == 2
            await replicas.logged(ana, program, "shop")
            await started.hears("400")
            await told_step(ear, process, 150)
            await here.bus.kill()
        await started.says("did 400")
        await here.bus.start()
        async with replicas.ear(here.bus) as ear:
            await ear.writing(2)
            await ear.until(lambda: True if ear.on(Channel.PRESENCE, process) else None)
            for viewer in (ana, ben):
                await back(viewer, process)
            await started.hears("1")
            await ear.stored(process, '"number 400"')
            for viewer in (ana, ben):
                await complete(viewer, process, 401)
                await saw(viewer, 400)
                assert whole_with_gaps(viewer, process) == []


async def back(viewer: Viewer, process: str) -> None:
    """A viewer that was told that its broker had no bus and has one again asks for what it may have missed."""
    await viewer.until(
        lambda told: [each["params"]["bus"] for each in told if each.get("method") == "bus"][-1:] == ["up"]
    )
    await viewer.result("unsubscribe", subscription=2)
    last = [each for each in items(viewer.told, "events") if each["process"] == process][-1]
    cursor = {"process": process, "boot": last["boot"], "seq": last["seq"]}
    await viewer.result("subscribe", topics=["events"], cursors=[cursor])


def whole_with_gaps(viewer: Viewer, process: str) -> list[dict[str, Any]]:
    """Each event at most once and in order, and what is between two is a gap that was told. The gaps, but for those that name
    what the viewer has been told already: a broker says so to all that watch."""
    seen = [each["seq"] for each in items(viewer.told, "events") if each["process"] == process]
    assert seen == sorted(set(seen))
    gaps = [each["params"] for each in viewer.told if each.get("method") == "gap"]
    gaps = [each for each in gaps if each["process"] == process and _numbers(each) - set(seen)]
    missed = set().union(*map(_numbers, gaps))
    assert sorted({*seen, *missed}) == list(range(min({*seen, *missed}), max(seen) + 1))
    return gaps


def _numbers(gap: dict[str, Any]) -> set[int]:
    return set(range(gap["first"], gap["last"] + 1))


async def test_a_broker_is_killed_and_only_the_sessions_of_its_own_viewers_end(tmp_path: Path) -> None:
    program = Program.write(tmp_path, NUMBERS)
    async with (
        fleet(tmp_path) as here,
        here.brokers(2) as (dies, stays),
        here.viewer(stays) as ben,
        here.run(program, "shop") as started,
        here.run(program, "cart") as carts,
        connect(stays.url, here.token("ben")) as right,
        connect(dies.url, here.token("ana")) as left,
    ):
        shop, cart = [await replicas.appeared(ben, each) for each in ("shop", "cart")]
        async with right.debug(cart) as bens, left.debug(shop) as anas:
            for session, of in ((bens, carts), (anas, started)):
                await session.set_breakpoints(str(program.path), [program.line("log it")])
                await of.hears("1")
                await session.stopped()
            await dies.kill()
            await started.says("did 1")  # what stood runs on
            with pytest.raises(ViewerError):
                await anas.stack()
            assert await bens.stack()
            assert bens.standing
            await bens.continue_()
            await carts.says("did 1")


async def told_store(viewer: Viewer, state: str) -> None:
    """Until it is said to be so now."""

    def said(told: list[dict[str, Any]]) -> bool:
        states = [each["params"]["store"] for each in told if each.get("method") == "store"]
        return bool(states) and states[-1] == state

    await viewer.until(said)


async def through_an_outage(
    here: Fleet, program: Program, breaks: Callable[[], None], mends: Callable[[], None]
) -> None:
    """Of the history: what happens meanwhile is told live, and stored afterwards."""
    async with (
        replicas.ear(here.bus) as ear,
        here.broker() as one,
        here.viewer(one) as ana,
        here.run(program, "shop") as started,
    ):
        process = await replicas.appeared(ana, "shop")
        await ana.result("subscribe", topics=["events"])
        await replicas.logged(ana, program, "shop")
        await started.hears("50")
        await ear.stored(process, '"number 49"')
        await asyncio.to_thread(breaks)
        await started.hears("300")
        await told_store(ana, "degraded")
        await saw(ana, 349)
        status, told = await one.ready()
        assert (status, told["status"], told["parts"]["history"]["state"]) == (200, "degraded", "degraded")
        assert set(ear.stores().values()) == {None}  # others would take over what it stored
        await asyncio.to_thread(mends)
        await told_store(ana, "up")
        await ear.stored(process, '"number 349"')
        await complete(ana, process, 350)
        assert whole_with_gaps(ana, process) == []


async def test_a_database_that_is_stopped_costs_no_event(tmp_path: Path, cluster: Any) -> None:
    program = Program.write(tmp_path, NUMBERS)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        cluster.stop("immediate")
        stopped = True

    def start() -> None:
        nonlocal stopped
        cluster.start()
        stopped = False

    try:
        async with fleet(tmp_path, of(cluster)) as here:
            await through_an_outage(here, program, stop, start)
    finally:
        if stopped:
            cluster.start()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "tmpfs", str(where)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk of its own can be made: {done.stderr.strip()}")
    yield where
    subprocess.run(["umount", str(where)], check=True)


async def test_a_disk_that_is_full_costs_no_event(tmp_path: Path, small_disk: Path) -> None:
    program = Program.write(tmp_path, NUMBERS)
    ballast = small_disk / "ballast"

    def fill() -> None:
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    async with fleet(tmp_path, f"sqlite:///{small_disk / 'history.db'}") as here:
        await through_an_outage(here, program, fill, ballast.unlink)


POD = "shop/web/pod-1"


def said(seq: int, size: int) -> bus.Event:
    text = "x" * size
    return bus.ProbeLogged(
        process=POD,
        boot=BOOT,
        seq=seq,
        time=1.0,
        probe="aaaaaaaaaa",
        hit=1,
        message=text,
        path="a.py",
        line=3,
    )


def printed(seq: int, size: int) -> bus.Event:
    told = Raw(b'{"type":"event","event":"output","body":{"output":"%b"}}' % (b"x" * size))
    return bus.Output(process=POD, boot=BOOT, seq=seq, time=1.0, message=told)


async def carried(pod: FakeAgent, viewer: Viewer, *events: bus.Event) -> None:
    """Until a viewer that reads has them: then the broker has given them to all."""
    await pod.say(batch(*events))
    await viewer.until(lambda told: _newest(told) >= events[-1].seq)


def _newest(told: list[dict[str, Any]]) -> int:
    last = next((each for each in reversed(told) if each.get("method") == "events"), None)
    return int(last["params"]["events"][-1]["seq"]) if last else 0


async def test_viewers_that_never_read_are_cut_off_and_cost_nobody_anything(tmp_path: Path) -> None:
    async with (
        fleet(tmp_path) as here,
        here.broker() as one,
        here.viewer(one) as ana,
        agent(here.bus.url, POD) as pod,
        AsyncExitStack() as stack,
    ):
        await ana.result("subscribe", topics=["events"])
        silent = [await stack.enter_async_context(here.silent(one, f"s{n}", "events")) for n in range(8)]
        await carried(pod, ana, said(1, 10))
        before = one.memory()
        seq = 1
        while seq < 1000:  # 20 MB for each
            await carried(pod, ana, *(said(seq + n, 20_000) for n in range(1, 33)))
            seq += 32
        assert one.memory() - before < 80 * 2**20
        while await one.figure("sonde_broker_viewers_cut_off_total") < len(silent):
            seq += 1
            await carried(pod, ana, said(seq, 10))
        silent[0].transport.resume_reading()
        with pytest.raises(ConnectionClosed):
            while True:
                await silent[0].recv()
        assert silent[0].close_code == rpc.CLOSE_SLOW_VIEWER
        assert whole_with_gaps(ana, POD) == []
        assert replicas.numbers(items(ana.told, "events")) == list(range(1, seq + 1))


async def test_who_reads_too_slowly_misses_metrics_then_output_then_events_and_is_told_of_each(
    tmp_path: Path,
) -> None:
    async with (
        fleet(tmp_path) as here,
        here.broker() as one,
        here.viewer(one) as ana,
        here.silent(one, "sam", "events", "output", "metrics") as slow,
        agent(here.bus.url, POD) as pod,
    ):
        await ana.result("subscribe", topics=["events", "output"])
        last = 0
        for number in range(100):
            await pod.say(metrics(POD, threads=number + 1))
            told = [(said if n % 2 else printed)(last + n, 1000) for n in range(1, 9)]
            last += len(told)
            await carried(pod, ana, *told)
        slow.transport.resume_reading()
        got = Viewer(slow)
        reading = asyncio.create_task(got.read(), name="it reads at last")
        await got.until(lambda told: any(each.get("method") == "gap" for each in told))
        await carried(pod, ana, said(last + 1, 10))
        await got.until(lambda told: _newest(told) > last)
        reading.cancel()
        gaps = whole_with_gaps(got, POD)
        assert {each["reason"] for each in gaps} == {"slow_viewer"}
        assert replicas.numbers(items(ana.told, "events")) == list(range(1, last + 2))

        threads = [each["threads"] for each in items(got.told, "metrics")]
        assert threads == sorted(set(threads))
        assert threads[-1] == 100  # the newest wins
        first_missed = min(each["first"] for each in gaps)
        assert first_missed % 2 == 0  # what was printed
        seen = replicas.numbers(items(got.told, "events"))
        assert [each for each in seen if first_missed < each <= last]  # and events still came
        assert last in set().union(*map(_numbers, gaps))
        held_from = next(
            number for number, each in enumerate(got.told) if _newest([each]) >= first_missed - 8
        )
        early = [each for each in got.told[:held_from] if each.get("method") == "metrics"]
        assert 0 < len(early) < 100
