"""What is killed, restarted or fed rubbish while a process stands at a breakpoint. Whatever it is, the process
runs on, and the parts that were not meant work on."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sonde_viewer import DapError, DebugSession, Refused, SessionClosed, Viewer
from sonde_wire import Reason, bus
from tests.support import expect, parts
from tests.support.debuggee import Program, Running
from tests.support.site import Site, appeared, site

LOOP = """
    import os
    import time

    class Broken:
        def __repr__(self):
            raise RuntimeError("no repr")

    def step(count):
        broken = Broken()
        return count + 1  # stop here

    count = 0
    while True:
        count = step(count)
        print("at", count, "pid", os.getpid(), flush=True)
        time.sleep(0.01)
"""


@pytest.fixture
def looping(tmp_path: Path) -> Program:
    return Program.write(tmp_path, LOOP)


@asynccontextmanager
async def standing(viewer: Viewer, looping: Program) -> AsyncIterator[DebugSession]:
    """A session whose process stands at the tagged line."""
    (presence,) = await appeared(viewer, "loop")
    async with viewer.debug(presence.process) as session:
        await session.set_breakpoints(str(looping.path), [looping.line("stop here")])
        await expect.stopped_at(session, looping, "stop here")
        yield session


async def count(session: DebugSession) -> int:
    """Where the program stands."""
    return int((await session.evaluate("count"))["result"])


async def runs_on(program: Running, after: int) -> None:
    """What it said before it stopped does not count."""
    while int((await program.says("at")).split()[1]) < after + 3:
        continue


async def test_the_program_runs_on_when_its_sidecar_is_killed_while_it_is_stopped(
    here: Site, viewer: Viewer, looping: Program, python: str
) -> None:
    async with (
        here.run(looping, service="loop", python=python) as program,
        standing(viewer, looping) as session,
    ):
        stopped = await count(session)
        program.process.kill()
        await runs_on(program, stopped)
        with pytest.raises((SessionClosed, Refused)):
            await session.evaluate("count")


async def test_after_a_restart_of_the_site_its_processes_come_back_and_can_be_debugged(
    tmp_path: Path, looping: Program
) -> None:
    async with site(tmp_path) as first, first.run(looping, service="loop") as program:
        async with first.viewer() as viewer:
            (before,) = await appeared(viewer, "loop")
            never_closed = standing(viewer, looping)
            stopped = await count(await never_closed.__aenter__())
            first.broker.process.terminate()
            await first.broker.process.wait()
            await runs_on(program, stopped)
        async with site(tmp_path) as second, second.viewer() as viewer:
            (after,) = await appeared(viewer, "loop")
            assert (after.process, after.boot) == (before.process, before.boot)
            async with standing(viewer, looping) as session:
                stopped = await count(session)
            await runs_on(program, stopped)


@pytest.mark.skipif(parts.MOSQUITTO is None, reason="Mosquitto is not installed")
async def test_the_whole_path_over_mosquitto(tmp_path: Path, looping: Program) -> None:
    async with (
        site(tmp_path, "--bus", "mosquitto") as over,
        over.run(looping, service="loop") as program,
        over.viewer() as viewer,
    ):
        async with standing(viewer, looping) as session:
            await session.continue_()
            await expect.stopped_at(session, looping, "stop here")
            stopped = await count(session)
        await runs_on(program, stopped)
        (presence,) = await appeared(viewer, "loop")
        os.kill(presence.pid, signal.SIGKILL)
        async for changed in viewer.watch("presence", presence.process):
            assert isinstance(changed, bus.Presence)
            if changed.state == "ended":
                break


async def test_the_application_that_is_killed_while_it_is_stopped_ends_the_sessions_with_that_reason(
    here: Site, viewer: Viewer, looping: Program
) -> None:
    async with here.run(looping, service="loop"), standing(viewer, looping) as session:
        (presence,) = await appeared(viewer, "loop")
        os.kill(presence.pid, signal.SIGKILL)
        with pytest.raises(SessionClosed) as closed:
            while True:
                await session.stopped(after=session.standing[-1].number if session.standing else 0)
        assert closed.value.reason == "process_ended"


async def test_a_killed_viewer_takes_its_stop_with_it(here: Site, viewer: Viewer, looping: Program) -> None:
    async with here.run(looping, service="loop") as program:
        await appeared(viewer, "loop")
        typed = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sonde_viewer", "debug", "loop"),
            env=here.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert typed.stdin is not None
        assert typed.stdout is not None
        typed.stdin.write(f"break app.py:{looping.line('stop here')}\ncontinue\nprint 'at', count\n".encode())
        while not (line := (await typed.stdout.readline()).decode()).startswith("('at', "):
            continue
        typed.kill()
        await typed.wait()
        await runs_on(program, int(line.split()[1].rstrip(")")))


async def test_of_two_viewers_that_continue_at_once_in_a_hot_loop_one_drives_and_the_other_is_told_so(
    here: Site, viewer: Viewer, looping: Program
) -> None:
    async with (
        here.run(looping, service="loop") as program,
        here.viewer() as colleague,
        standing(viewer, looping) as mine,
        colleague.debug(mine.process) as theirs,
    ):
        await theirs.set_breakpoints(str(looping.path), [looping.line("stop here")])
        drivers: set[DebugSession] = set()
        for _ in range(10):
            await asyncio.gather(mine.stopped(), theirs.stopped())
            both = await asyncio.gather(mine.continue_(), theirs.continue_(), return_exceptions=True)
            for session, came in zip((mine, theirs), both, strict=True):
                if came is None:
                    drivers.add(session)
                else:
                    assert isinstance(came, Refused)
                    assert came.failure.reason is Reason.NOT_DRIVER
        (driver,) = drivers
        await asyncio.gather(mine.stopped(), theirs.stopped())
        frames = await theirs.stack()
        assert frames[0]["line"] == looping.line("stop here")
        stopped = await count(mine)
        await theirs.set_breakpoints(str(looping.path), [])
        await mine.set_breakpoints(str(looping.path), [])
        await driver.continue_()
        await runs_on(program, stopped)


async def test_rubbish_at_every_door_is_turned_away_and_the_work_goes_on(
    here: Site, viewer: Viewer, looping: Program
) -> None:
    async with here.run(looping, service="loop") as program, standing(viewer, looping) as session:
        for url in (here.url, here.bus):
            for rubbish in (
                b"\x00" * 4096,
                b"GET /ws HTTP/1.1\r\n\r\n",
                b"\x10\xff\xff\xff\x7f",
                os.urandom(4096),
            ):
                await turned_away(url, rubbish)
        stopped = await count(session)
        await session.set_breakpoints(str(looping.path), [])
        await session.continue_()
        await runs_on(program, stopped)


async def turned_away(url: str, rubbish: bytes) -> None:
    """The other side hangs up."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(rubbish)
    with suppress(ConnectionError):
        writer.write_eof()
        while await reader.read(65536):
            continue
    writer.close()


async def test_what_evaluates_to_too_much_or_to_nothing_that_can_be_shown_hurts_nobody(
    here: Site, viewer: Viewer, looping: Program, python: str
) -> None:
    async with (
        here.run(looping, service="loop", python=python) as program,
        here.viewer() as colleague,
        standing(viewer, looping) as session,
    ):
        async with colleague.debug(session.process) as other:
            copied = await session.evaluate("'x' * 40_000_000", context="clipboard")
            assert len(copied["result"]) < 1_100_000
            with pytest.raises(DapError, match="too large"):
                await session.evaluate("(_ for _ in ()).throw(ValueError('x' * 40_000_000))")
            assert len((await session.evaluate("'x' * 40_000_000"))["result"]) < 100_000
            assert "Broken" in (await session.evaluate("broken"))["result"]
            stopped = await count(other)
            await other.set_breakpoints(str(looping.path), [])
        await session.set_breakpoints(str(looping.path), [])
        await session.continue_()
        await runs_on(program, stopped)
