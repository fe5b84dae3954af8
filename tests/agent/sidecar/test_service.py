"""One sidecar for all processes of a pod: started before or after them, killed, started again, with one at fault."""

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from sonde_agent import link
from sonde_agent.sidecar import Sidecar, SidecarSettings, serve
from sonde_agent.sidecar.journal import BLOCK
from sonde_agent.sidecar.process import Process
from sonde_wire import bus
from tests.agent.sidecar.conftest import Broker, environment
from tests.agent.sidecar.test_taps import hello, tap
from tests.support.debuggee import Program, Running, running

COMMAND = (sys.executable, "-m", "sonde_agent.sidecar")
WAITS = """
    import sys
    import sonde_agent

    sonde_agent.start(service="shop")
    print("started")
    sys.stdin.readline()
    """
STOPS = """
    import sys
    import sonde_agent

    def step(line):
        return line  # stop here

    sonde_agent.start(service="shop")
    print("started")
    for line in sys.stdin:
        print("did", step(line))
    """


@asynccontextmanager
async def pods_sidecar(directory: Path, url: str, *options: str) -> AsyncIterator[Running]:
    """Listens, on a socket in the directory unless the options say otherwise."""
    listen = () if "--listen" in options else ("--listen", f"unix:{directory}/s")
    everything = (*COMMAND, *listen, "--token-file", f"{directory}/token", "--bus", url, *options)
    async with running(*everything, env=environment()) as started:
        await started.says('"sidecar"')
        yield started


@asynccontextmanager
async def program(directory: Path, source: str = WAITS, **variables: str) -> AsyncIterator[Running]:
    """Knows the sidecar's place from its environment, whether a sidecar is there or not."""
    place = {"SONDE_SIDECAR": f"unix:{directory}/s", "SONDE_SIDECAR_TOKEN_FILE": f"{directory}/token"}
    path = directory / "app.py"
    if not path.exists():
        Program.write(directory, source)
    async with running(sys.executable, str(path), env=environment() | place | variables) as started:
        await started.says("started")
        yield started


async def until_online(broker: Broker, count: int) -> dict[str, bus.Presence]:
    """By name, the newest presence of each process, when so many are online."""

    def look() -> dict[str, bus.Presence] | None:
        newest = {each.process: each for each in broker.presences}
        online = {name: each for name, each in newest.items() if each.state == "online"}
        return online if len(online) >= count else None

    return await broker.until(look)


async def test_processes_may_be_there_before_their_sidecar(
    mqtt_url: str, broker: Broker, tmp_path: Path
) -> None:
    async with program(tmp_path), program(tmp_path):
        assert not (tmp_path / "s").exists()
        async with pods_sidecar(tmp_path, mqtt_url):
            online = await until_online(broker, 2)
            for process in online.values():
                assert (await broker.ask(process, bus.ReadStacks())).failure is None


async def test_a_killed_sidecar_has_a_successor_that_goes_on_where_it_was(
    mqtt_url: str, broker: Broker, tmp_path: Path
) -> None:
    async with program(tmp_path, STOPS) as debuggee:
        async with pods_sidecar(tmp_path, mqtt_url) as first:
            process = await broker.presence(lambda each: each.state == "online")
            await stop(broker, process, debuggee, tmp_path)
            first.process.kill()
            await first.ended()
        assert "did one" in await debuggee.says("did")  # nobody holds it any more
        assert (tmp_path / "s").is_socket()
        last = max(each.seq for each in broker.events)
        del broker.events[:]
        async with pods_sidecar(tmp_path, mqtt_url):
            again = await broker.presence(lambda each: each.state == "online")
            assert (again.process, again.boot) == (process.process, process.boot)
            await stop(broker, again, debuggee, tmp_path)
            assert min(each.seq for each in broker.events) == BLOCK + 1 > last
            assert not any(isinstance(each, bus.ProcessStarted) for each in broker.events)


async def stop(broker: Broker, process: bus.Presence, debuggee: Running, directory: Path) -> None:
    """In a new session, at the line that is tagged."""
    line = Program(directory / "app.py").line("stop here")
    await broker.open(process, "s1")
    await broker.dap(
        process,
        "s1",
        "setBreakpoints",
        source={"path": str(directory / "app.py")},
        breakpoints=[{"line": line}],
    )
    await debuggee.hears("one")
    await broker.dap_event("stopped", reason="breakpoint")


async def test_a_sidecar_that_left_orderly_leaves_no_gap(
    mqtt_url: str, broker: Broker, tmp_path: Path
) -> None:
    async with program(tmp_path):
        async with pods_sidecar(tmp_path, mqtt_url) as first:
            process = await broker.presence(lambda each: each.state == "online")
            await broker.event(bus.ProcessStarted)
            first.process.terminate()
            assert await first.ended() == 0
            await broker.presence(lambda each: each.state == "lost")
        last = max(each.seq for each in broker.events)
        async with pods_sidecar(tmp_path, mqtt_url):
            again = await broker.presence(lambda each: each.state == "online")
            assert again.process == process.process
            await broker.open(again, "s1")
            opened = await broker.event(bus.SessionOpened)
            assert min(each.seq for each in broker.events if each.seq > last) == last + 1 <= opened.seq


async def test_names_are_kept_whoever_comes_first_after_a_restart(mqtt_url: str, tmp_path: Path) -> None:
    async with (
        serve(SidecarSettings(bus=mqtt_url, listen="tcp:127.0.0.1:0")) as sidecar,
        tap(sidecar) as ours,
    ):
        ours.say(hello(sidecar, boot="b" * 32, process="prod/shop/shop-1-77", numbered=300))
        told = await ours.hear()
        assert isinstance(told, link.Welcome)
        assert (told.process, told.numbered) == ("prod/shop/shop-1-77", 300 + BLOCK)
        async with tap(sidecar) as other, tap(sidecar) as liar:
            other.say(hello(sidecar, boot="c" * 32, process="prod/shop/shop-1-77"))  # it is taken
            told = await other.hear()
            assert isinstance(told, link.Welcome) and told.process == "prod/shop/shop-1"
            liar.say(hello(sidecar, boot="d" * 32, pid=5, process="prod/till/1"))
            told = await liar.hear()
            assert isinstance(told, link.Welcome) and told.process == "prod/shop/shop-1-5"


async def test_twenty_processes_with_one_name_share_a_sidecar(
    mqtt_url: str, broker: Broker, tmp_path: Path
) -> None:
    async with pods_sidecar(tmp_path, mqtt_url), AsyncExitStack() as programs:
        each = [program(tmp_path, SONDE_INSTANCE="web") for _ in range(20)]
        await asyncio.gather(*(programs.enter_async_context(one) for one in each))
        online = await until_online(broker, 20)
        assert len({process.boot for process in online.values()}) == 20
        assert all(name.startswith("default/shop/web") for name in online)
        asked = [broker.ask(process, bus.ReadStacks()) for process in online.values()]
        assert all(reply.failure is None for reply in await asyncio.gather(*asked))


async def test_processes_of_two_pods_are_told_apart_by_their_hosts(
    mqtt_url: str, broker: Broker, tmp_path: Path
) -> None:
    settings = SidecarSettings(bus=mqtt_url, listen="tcp:127.0.0.1:0")
    async with serve(settings) as one, serve(settings) as other, tap(one) as first, tap(other) as second:
        first.say(hello(one, boot="a" * 32, host="shop-6d4f-x", pid=1, instance=""))
        second.say(hello(other, boot="b" * 32, host="shop-6d4f-y", pid=1, instance=""))
        online = await until_online(broker, 2)
    assert sorted(online) == ["prod/shop/shop-6d4f-x-1", "prod/shop/shop-6d4f-y-1"]


async def test_a_sidecar_on_a_port_can_be_killed_and_started_again(
    mqtt_url: str, broker: Broker, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = f"tcp:127.0.0.1:{port}"
    async with program(tmp_path, SONDE_SIDECAR=place):
        boots = []
        for _ in range(2):
            async with pods_sidecar(tmp_path, mqtt_url, "--listen", place) as sidecar:
                process = await broker.presence(lambda each: each.state == "online")
                assert (await broker.ask(process, bus.ReadStacks())).failure is None
                boots.append(process.boot)
                sidecar.process.kill()
                await broker.presence(lambda each: each.state == "lost")
        assert boots[0] == boots[1]


async def test_a_fault_in_one_process_costs_the_others_nothing(
    mqtt_url: str, broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    faulty = asyncio.Event()

    def presence(self: Process) -> bus.Presence:
        if faulty.is_set() and self.address.service == "till":
            faulty.clear()
            raise RuntimeError("a bug")
        return real(self)

    real = Process.presence
    monkeypatch.setattr(Process, "presence", presence)
    settings = SidecarSettings(bus=mqtt_url, listen="tcp:127.0.0.1:0")
    async with serve(settings) as sidecar, tap(sidecar) as good, tap(sidecar) as bad:
        good.say(hello(sidecar, boot="a" * 32))
        bad.say(hello(sidecar, boot="b" * 32, service="till"))
        online = await until_online(broker, 2)
        faulty.set()
        await broker.send(online["prod/till/shop-1"], bus.OpenSession(session="s1"))
        await broker.presence(lambda each: each.state == "lost" and each.boot == "b" * 32)
        while await bad.hear():  # its calls, then the end of the line
            pass
        assert isinstance(await good.hear(), link.Welcome)
        command = await broker.send(online["prod/shop/shop-1"], bus.ReadStacks())
        call = await good.hear()
        assert isinstance(call, link.Call)
        good.say(link.Result(id=call.id, value={"threads": [], "time": 1.5}))
        assert (await broker.until(lambda: broker.replies.get(command))).failure is None
        async with tap(sidecar) as back:  # as the real tap does
            back.say(hello(sidecar, boot="b" * 32, service="till"))
            assert isinstance(await back.hear(), link.Welcome)
            await broker.presence(lambda each: each.state == "online" and each.boot == "b" * 32)
    errors = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert ["process prod/till/shop-1 failed" in each.getMessage() for each in errors] == [True]


async def test_a_child_is_told_with_its_parents_name_whichever_came_first(
    mqtt_url: str, broker: Broker
) -> None:
    settings = SidecarSettings(bus=mqtt_url, listen="tcp:127.0.0.1:0")
    parent, early, late = "a" * 32, "b" * 32, "c" * 32
    async with serve(settings) as sidecar, tap(sidecar) as first:
        first.say(hello(sidecar, boot=early, instance="early", parent_boot=parent))
        await broker.presence(lambda each: each.boot == early and each.parent is None)
        async with tap(sidecar) as second:
            second.say(hello(sidecar, boot=parent))
            await broker.presence(lambda each: each.boot == early and each.parent == "prod/shop/shop-1")
            second.say(link.Ending(code=0))
        await broker.presence(lambda each: each.boot == parent and each.state == "ended")
        async with tap(sidecar) as third:
            third.say(hello(sidecar, boot=late, instance="late", parent_boot=parent))
            process = await broker.presence(lambda each: each.boot == late)
            assert process.parent == "prod/shop/shop-1"


async def test_one_process_too_many_is_refused(mqtt_url: str) -> None:
    settings = SidecarSettings(bus=mqtt_url, listen="tcp:127.0.0.1:0", max_processes=1)
    async with serve(settings) as sidecar, tap(sidecar) as one, tap(sidecar) as other:
        one.say(hello(sidecar))
        assert isinstance(await one.hear(), link.Welcome)
        other.say(hello(sidecar, boot="b" * 32))
        refusal = await other.hear()
        assert isinstance(refusal, link.Refusal) and "max_processes" in refusal.message


async def deserted(sidecar: Sidecar) -> None:
    async with asyncio.timeout(10):
        await sidecar.deserted(0.05)


async def test_a_sidecar_is_deserted_when_nobody_has_come_for_a_while(mqtt_url: str) -> None:
    settings = SidecarSettings(bus=mqtt_url, listen="tcp:127.0.0.1:0")
    async with serve(settings) as sidecar:
        await deserted(sidecar)
        async with tap(sidecar) as ours:
            ours.say(hello(sidecar))
            await ours.hear()
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(deserted(sidecar))
                assert not await sidecar.drained(0.2)
                assert not waiting.done()
                ours.say(link.Ending(code=0))
                ours.writer.close()
