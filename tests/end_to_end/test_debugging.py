"""One event out and one command in, with nothing pretended: real processes on every interpreter, real debugpy,
a real bus, a real broker, and viewers that hold tokens."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from sonde_viewer import Viewer
from sonde_wire import bus
from tests.support import expect
from tests.support.debuggee import Program
from tests.support.site import Site, appeared

LOOP = """
    import time

    def step(count):
        double = count * 2
        names = {"ana": count}
        return double  # stop here

    def main():
        count = 1
        while True:
            count = step(count) - count + 1  # next line
            print("at", count, flush=True)
            time.sleep(0.01)

    main()
"""


@pytest.fixture
def looping(tmp_path: Path) -> Program:
    return Program.write(tmp_path, LOOP)


async def test_a_breakpoint_in_a_running_script_is_hit_and_the_process_runs_on(
    here: Site, viewer: Viewer, looping: Program, python: str
) -> None:
    async with here.run(looping, service="loop", python=python) as program:
        (presence,) = await appeared(viewer, "loop")
        await program.says("at")
        async with viewer.debug(presence.process) as session:
            (bound,) = await session.set_breakpoints(str(looping.path), [looping.line("stop here")])
            assert bound["verified"] is True

            frames = await expect.stopped_at(session, looping, "stop here")
            assert [frame["name"] for frame in frames[:3]] == ["step", "main", "<module>"]
            shown = await expect.local_variables(session, frames[0]["id"])
            count = int(shown["count"])
            assert shown["double"] == str(count * 2)
            assert shown["names"] == f"{{'ana': {count}}}"
            assert (await session.evaluate("double + 1", frame=frames[0]["id"]))["result"] == str(
                count * 2 + 1
            )

            await session.set_breakpoints(str(looping.path), [])
            await session.step_out()
            await expect.stopped_at(session, looping, "next line")
            await session.continue_()
            await program.says("at")
        assert program.process.returncode is None


async def test_a_second_viewer_sees_the_stop_and_its_own_requests_work(
    here: Site, viewer: Viewer, looping: Program
) -> None:
    async with here.run(looping, service="loop"), here.viewer() as colleague:
        (presence,) = await appeared(viewer, "loop")
        async with viewer.debug(presence.process) as first, colleague.debug(presence.process) as second:
            await first.set_breakpoints(str(looping.path), [looping.line("stop here")])
            mine = await expect.stopped_at(first, looping, "stop here")
            theirs = await expect.stopped_at(second, looping, "stop here")
            assert [frame["line"] for frame in mine] == [frame["line"] for frame in theirs]
            assert (await second.evaluate("count * 0 + 7", frame=theirs[0]["id"]))["result"] == "7"
            assert (await first.evaluate("count * 0 + 8", frame=mine[0]["id"]))["result"] == "8"


async def test_a_late_joiner_is_told_of_the_stop(here: Site, viewer: Viewer, looping: Program) -> None:
    async with here.run(looping, service="loop"), here.viewer() as colleague:
        (presence,) = await appeared(viewer, "loop")
        async with viewer.debug(presence.process) as first:
            await first.set_breakpoints(str(looping.path), [looping.line("stop here")])
            await first.stopped()
            async with colleague.debug(presence.process) as late:
                await expect.stopped_at(late, looping, "stop here")


async def test_a_leaving_viewer_takes_only_its_own_breakpoints(
    here: Site, viewer: Viewer, looping: Program
) -> None:
    async with here.run(looping, service="loop"), here.viewer() as colleague:
        (presence,) = await appeared(viewer, "loop")
        async with viewer.debug(presence.process) as first:
            async with colleague.debug(presence.process) as second:
                await second.set_breakpoints(str(looping.path), [looping.line("next line")])
                await second.stopped()
                await first.set_breakpoints(str(looping.path), [looping.line("stop here")])
            await first.continue_()
            await expect.stopped_at(first, looping, "stop here")
            await first.continue_()
            await expect.stopped_at(first, looping, "stop here")


async def test_the_process_runs_on_when_the_viewer_leaves_while_it_is_stopped(
    here: Site, viewer: Viewer, looping: Program, python: str
) -> None:
    async with here.run(looping, service="loop", python=python) as program:
        (presence,) = await appeared(viewer, "loop")
        async with here.viewer() as leaving:
            never_closed = leaving.debug(presence.process)
            session = await never_closed.__aenter__()
            await session.set_breakpoints(str(looping.path), [looping.line("stop here")])
            await session.stopped()
        async for changed in viewer.watch("presence", presence.process):
            assert isinstance(changed, bus.Presence)
            if changed.debugger == "detached" and not changed.stopped_threads:
                break
        for _ in range(3):
            await program.says("at")


async def test_the_process_runs_on_when_the_broker_is_killed_while_it_is_stopped(
    here: Site, viewer: Viewer, looping: Program
) -> None:
    async with here.run(looping, service="loop") as program:
        (presence,) = await appeared(viewer, "loop")
        never_closed = viewer.debug(presence.process)
        session = await never_closed.__aenter__()
        await session.set_breakpoints(str(looping.path), [looping.line("stop here")])
        await session.stopped()
        here.broker.process.kill()
        seen: set[str] = set()
        while len(seen) < 3:
            seen.add(await program.says("at"))


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
async def test_the_end_of_a_killed_process_is_reported(
    here: Site, viewer: Viewer, looping: Program, python: str, name: str
) -> None:
    async with here.run(looping, service="loop", python=python):
        (presence,) = await appeared(viewer, "loop")
        os.kill(presence.pid, getattr(signal, name))
        ended = await _end(viewer, presence.process)
        assert ended.exit is not None
        assert (ended.exit.reason, ended.exit.signal) == ("signalled", name)


async def test_the_exit_code_is_reported(here: Site, viewer: Viewer, tmp_path: Path) -> None:
    program = Program.write(tmp_path, "import sys; sys.stdin.readline(); sys.exit(3)")
    async with here.run(program, service="short") as started:
        (presence,) = await appeared(viewer, "short")
        await started.hears("go on")
        ended = await _end(viewer, presence.process)
        assert ended.exit is not None
        assert (ended.exit.reason, ended.exit.code) == ("exited", 3)
        assert await started.ended() == 3


async def _end(viewer: Viewer, selector: str) -> bus.Presence:
    async for changed in viewer.watch("presence", selector):
        assert isinstance(changed, bus.Presence)
        if changed.state == "ended":
            return changed
    raise AssertionError("the viewer was disconnected")


async def test_metrics_arrive_each_second(here: Site, viewer: Viewer, looping: Program) -> None:
    async with here.run(looping, service="loop"):
        (presence,) = await appeared(viewer, "loop")
        seen: list[bus.Metrics] = []
        async for metrics in viewer.watch("metrics", presence.process):
            assert isinstance(metrics, bus.Metrics)
            seen.append(metrics)
            if len(seen) == 2:
                break
        assert seen[0].time < seen[1].time
        assert (seen[1].memory_rss or 0) > 1024 * 1024
        assert (seen[1].threads or 0) >= 1


async def test_events_are_numbered_without_a_hole(here: Site, viewer: Viewer, looping: Program) -> None:
    async with here.run(looping, service="loop"):
        (presence,) = await appeared(viewer, "loop")
        numbers: list[int] = []

        async def collect() -> None:
            async for event in viewer.watch("events", presence.process):
                numbers.append(event.seq)
                if len(numbers) >= 12:
                    return

        async with asyncio.TaskGroup() as group:
            group.create_task(collect(), name="collect events")
            async with viewer.debug(presence.process) as session:
                await session.set_breakpoints(str(looping.path), [looping.line("stop here")])
                for _ in range(6):
                    await session.stopped()
                    await session.continue_()
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_stacks_and_source_are_shown_without_stopping(
    here: Site, viewer: Viewer, looping: Program, python: str
) -> None:
    async with here.run(looping, service="loop", python=python):
        (presence,) = await appeared(viewer, "loop")
        stacks = await viewer.stacks(presence.process)
        assert "main" in {frame.function for thread in stacks.threads for frame in thread.frames}
        sources = await viewer.sources(presence.process)
        assert str(looping.path) in {file.path for file in sources.files if file.application}
        source = await viewer.source(presence.process, str(looping.path))
        assert source.text == looping.path.read_text()
