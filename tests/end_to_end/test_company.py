"""Several people on one process: one of them drives, and all see the same."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sonde_viewer import DebugSession, Viewer
from sonde_viewer.errors import NotDriver
from sonde_wire import codec
from tests.end_to_end.standing import LOOP, person, stand, stood, until
from tests.support.debuggee import Program
from tests.support.site import Site, appeared

ROUNDS = 50
STEPS = 2000
WORK = f"""
    import sys
    import threading

    done = {{"ana": 0, "ben": 0}}

    def step(who, count):
        return count + 1  # stop here

    def work(who):
        while done[who] < {STEPS}:
            done[who] = step(who, done[who])

    sys.stdin.readline()
    threads = [threading.Thread(target=work, args=(who,), name=who) for who in done]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done", sum(done.values()), flush=True)
"""


async def test_the_seat_goes_from_hand_to_hand_and_who_comes_late_sees_everything(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, LOOP)
    async with (
        here.run(program, service="loop") as started,
        person(here, "ana") as ana,
        person(here, "ben") as ben,
        person(here, "cleo") as cleo,
    ):
        (presence,) = await appeared(viewer, "loop")
        async with ben.debug(presence.process) as bens:
            async with ana.debug(presence.process) as anas:
                stopped_at = await stand(anas, program)
                await bens.stopped()
                assert anas.driver is None
                last = anas.standing[-1].number
                await anas.next()
                assert anas.drives
                await anas.stopped(after=last)
                await until(bens, lambda its: its.driver_name == "ana")
                for refused in (bens.continue_, bens.next, bens.take_seat):
                    with pytest.raises(NotDriver, match="ana drives"):
                        await refused()
                assert (await bens.evaluate("count"))["result"] == str(stopped_at)

                async with cleo.debug(presence.process) as late:
                    await sees_everything(late, anas, program)
                    await bens.ask_for_seat()
                    await late.ask_for_seat()
                    await until(anas, lambda its: its.asking == (bens.id, late.id))
                    await anas.grant_seat(late.id)
                    await late.ask_for_seat(within=20)
                    with pytest.raises(NotDriver, match="cleo drives"):
                        await anas.continue_()
                    await late.grant_seat()  # to who has asked longest
                    await until(bens, lambda its: its.drives)
                    await anas.ask_for_seat()
                    await bens.release_seat()
                    await until(anas, lambda its: its.drives)
                await bens.ask_for_seat()
            # she left: it is his, and her breakpoint is gone with her
            await until(bens, lambda its: its.drives)
            await until(bens, lambda its: not its.others_breakpoints)
            await bens.continue_()
            await stood(started, stopped_at)
            for further in range(1, 4):
                await started.says(f"did {stopped_at + further} ")


async def sees_everything(late: DebugSession, driver: DebugSession, program: Program) -> None:
    state = late.joined
    assert state is not None
    assert (late.driver, late.driver_name, late.asleep) == (driver.id, "ana", False)
    assert late.lease is not None and 0 < late.lease.left(time.monotonic()) <= late.lease.length == 60
    assert [stop.thread for stop in late.standing] == [stop.thread for stop in driver.standing]
    assert "MainThread" in [codec.decode_any(each)["name"] for each in state.threads]
    (theirs,) = late.others_breakpoints
    (bound,) = [codec.decode_any(each) for each in theirs.breakpoints]
    assert (late.viewer_of(theirs.owner), theirs.path) == ("ana", str(program.path))
    assert (bound["verified"], bound["line"]) == (True, program.line("stop here"))
    assert {each.viewer for each in state.sessions} == {"ana", "ben", "cleo"}


async def test_two_who_race_for_continue_at_a_hot_line_in_two_threads_are_never_confused(
    here: Site, viewer: Viewer, python: str, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, WORK)
    async with here.run(program, service="work", python=python) as started, person(here, "ben") as ben:
        (presence,) = await appeared(viewer, "work")
        async with viewer.debug(presence.process) as mine, ben.debug(presence.process) as theirs:
            both = (mine, theirs)
            told = [session.events() for session in both]
            for session in both:
                await session.set_breakpoints(str(program.path), [program.line("stop here")])
            await started.hears("go")
            for _ in range(ROUNDS):
                await asyncio.gather(*map(stand_in_two_threads, both))
                outcomes = await asyncio.gather(
                    *(session.continue_() for session in both), return_exceptions=True
                )
                assert None in outcomes
                assert all(isinstance(each, NotDriver) for each in outcomes if each is not None), outcomes
                await asyncio.gather(*(until(each, lambda its: its.driver is not None) for each in both))
                assert mine.driver == theirs.driver
                await (mine if mine.drives else theirs).release_seat()
                await asyncio.gather(*(until(each, lambda its: its.driver is None) for each in both))
            await asyncio.gather(*map(stand_in_two_threads, both))
            names = {each["id"]: each["name"] for each in await mine.threads()}
            done = (await mine.evaluate("[done['ana'], done['ben']]"))["result"]
        assert await started.says("done") == f"done {2 * STEPS}"
        assert await started.ended() == 0

    seen = [[each async for each in events] for events in told]
    for events in seen:
        stops = Counter(names[each["body"]["threadId"]] for each in events if each["event"] == "stopped")
        # each has passed the line so often, and stands at it once more
        assert f"[{stops['ana'] - 1}, {stops['ben'] - 1}]" == done


async def stand_in_two_threads(session: DebugSession) -> None:
    while len(session.standing) < 2:
        await session.stopped(after=session.standing[-1].number if session.standing else 0)


async def test_the_seat_from_the_command_line(here: Site, viewer: Viewer, tmp_path: Path) -> None:
    program = Program.write(tmp_path, LOOP)
    where = f"break app.py:{program.line('stop here')}"
    async with here.run(program, service="loop") as started, person(here, "ana") as ana:
        (presence,) = await appeared(viewer, "loop")
        code, told = await script(here, where, "seat", "take", "seat", "continue", "release", "seat")
        assert code == 0, told
        before, taken, _, stopped, _, after = [each for each in told if "command" in each][1:]
        assert (before["driver"], before["drives"]) == (None, False)
        assert taken["drives"] and stopped["lease"]["length"] == 60
        assert (after["driver"], after["lease"]["kept"]) == (None, True)
        async with ana.debug(presence.process) as session:
            await session.take_seat()
            code, told = await script(here, "seat", "ask", "take")
            assert code == 1
            shown, asked, refused = [each for each in told if "line" in each]
            assert (shown["viewer"], shown["drives"]) == ("ana", False)
            assert len(asked["asking"]) == 1
            assert "ana" in refused["error"]
        await started.says("did")


async def script(here: Site, *lines: str) -> tuple[int, list[dict[str, Any]]]:
    """`sonde debug --json` with these commands: its exit code, and what it printed."""
    commands = [part for line in lines for part in ("-c", line)]
    code, output = await here.sonde("debug", "loop", "--json", *commands)
    return code, [json.loads(line) for line in output.splitlines() if line.startswith("{")]
