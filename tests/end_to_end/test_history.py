"""What is remembered: sessions, events over a broker that dies, and reports. A real broker with its history."""

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sonde_viewer import Refused, Viewer, follow
from sonde_wire import Reason, bus
from sonde_wire.history import FleetReport, SessionDetail
from tests.support import expect
from tests.support.debuggee import Program, Running, running
from tests.support.site import Site, appeared, site

LOOP = """
    import sys
    import time

    def step(count):
        double = count * 2  # log here
        return double  # stop here

    count = 0
    while True:
        count += 1
        step(count)
        time.sleep(0.01)
"""
SHOP = """
    import sys
    from sonde_agent import operation

    for number in range(10):
        with operation("charge"):
            pass
    try:
        with operation("refund"):
            raise LookupError("no such cart")
    except LookupError:
        pass
    print("measured", flush=True)
    sys.stdin.readline()
"""


async def recorded(viewer: Viewer, name: str) -> SessionDetail:
    """Waits until the history has the session's end."""
    async with asyncio.timeout(30):
        while True:
            for record in await viewer.sessions():
                if record.name == name and record.closed is not None:
                    return await viewer.session(record.session)


async def test_a_session_is_listed_shown_replayed_and_exported_when_it_is_over(
    here: Site, viewer: Viewer, tmp_path: Path, python: str
) -> None:
    program = Program.write(tmp_path, LOOP)
    stop, log = program.line("stop here"), program.line("log here")
    async with here.run(program, service="loop", python=python):
        (process,) = await appeared(viewer, "loop")
        async with viewer.debug(process, name="cart bug", metadata={"ticket": "X-1"}) as session:
            logs = {"line": log, "logMessage": "count is {count}"}
            output = session.events()
            await session.request(
                "setBreakpoints", source={"path": str(program.path)}, breakpoints=[{"line": stop}, logs]
            )
            await expect.stopped_at(session, program, "stop here")
            first = session.standing[0].number
            await session.continue_()
            await session.stopped(after=first)
            async for event in output:
                if event["event"] == "output":
                    break
            await session.set_breakpoints(str(program.path), [])
            before = (await session.stopped()).number
            await session.next()
            await session.stopped(after=before)
            stepped = (await session.stack())[0]["line"]
            await session.continue_()
        detail = await recorded(viewer, "cart bug")

    record, figures = detail.session, detail.statistics
    assert (record.process, record.metadata, record.reason) == (
        process.process,
        {"ticket": "X-1"},
        "viewer_left",
    )
    assert figures.kinds["dap.stopped"] == figures.stops >= 2
    assert figures.kinds["output"] >= 1
    assert (figures.missing, figures.stopped > 0) == (0, True)

    code, output_ = await here.sonde("sessions", "ls")
    assert code == 0, output_
    assert record.session in output_ and "cart bug" in output_
    code, output_ = await here.sonde("sessions", "show", "cart bug")
    assert code == 0, output_
    assert "X-1" in output_ and f"{program.path}: {stop}, {log}" in output_
    code, output_ = await here.sonde("sessions", "replay", record.session[:8])
    assert code == 0, output_
    assert f"stopped: breakpoint at app.py:{stop}" in output_
    assert "output: count is" in output_

    file = tmp_path / "session.json"
    code, output_ = await here.sonde("sessions", "export", "cart bug", "-o", str(file))
    assert code == 0, output_
    document = json.loads(file.read_text())
    assert (document["session"]["session"], document["gaps"]) == (record.session, [])
    assert len(document["events"]) == figures.events
    assert document["statistics"]["kinds"] == figures.kinds

    replay = await viewer.replay(record.session)
    assert (state := replay.next_stop()) is not None
    assert (place := state.place(state.standing[0])) is not None
    assert (place.path, place.line) == (str(program.path), stop)
    while (state := replay.next_stop()) is not None:
        if state.standing[-1].reason == "step":
            break
    assert state is not None and (place := state.place(state.standing[-1])) is not None
    assert (place.path, place.line) == (str(program.path), stepped)
    assert "count is" in replay.output(replay.goto(len(replay)))


async def start_again(dead: Site, stack: AsyncExitStack) -> Site:
    """A broker where the one that was killed was, with what that left."""
    url, server = urlsplit(dead.url), urlsplit(dead.bus)
    return await stack.enter_async_context(
        site(
            dead.directory,
            *("--listen", f"{url.hostname}:{url.port}", "--bus-listen", f"{server.hostname}:{server.port}"),
        )
    )


async def logged(followed: Running) -> dict[str, Any]:
    line = await followed.says("probe_logged")
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.timeout(120)
async def test_following_misses_nothing_when_the_broker_is_killed_and_started_again(tmp_path: Path) -> None:
    program = Program.write(tmp_path, LOOP)
    command = (
        sys.executable,
        "-m",
        "sonde_viewer",
        "events",
        "loop",
        "-f",
        "--kind",
        "probe_logged",
        "--json",
    )
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(site(tmp_path))
        await stack.enter_async_context(first.run(program, service="loop"))
        async with first.viewer() as viewer:
            await appeared(viewer, "loop")
        where = f"app.py:{program.line('log here')}"
        followed = await stack.enter_async_context(running(*command, env=first.environment))
        limits = ("--rate", "1000/s", "--burst", "1000", "--hits", "100000")
        code, output = await first.sonde("log", "add", where, "count={count}", *limits)
        assert code == 0, output
        told = [await logged(followed) for _ in range(20)]

        first.broker.process.send_signal(signal.SIGKILL)
        await first.broker.ended()
        again = await start_again(first, stack)
        async with again.viewer() as viewer:
            (process,) = await appeared(viewer, "loop")
            async with viewer.events("loop") as live:
                while not isinstance(event := await anext(live), bus.ProbeLogged):
                    pass
        while told[-1]["seq"] <= event.seq + 20:
            told.append(await logged(followed))

        hits = [each["hit"] for each in told]
        assert hits == list(range(hits[0], hits[0] + len(hits)))
        assert {each["boot"] for each in told} == {process.boot}
        async with again.viewer() as viewer:
            await remembers_all(viewer, told[-1]["hit"])


async def remembers_all(viewer: Viewer, last: int) -> None:
    """What the dead broker had not written is sent again."""
    hits: list[int] = []
    async with asyncio.timeout(30):
        while hits != list(range(1, last + 1)):
            remembered = viewer.history("loop", kinds=["probe_logged"], order="oldest", limit=last)
            hits = [each.hit async for each in remembered if isinstance(each, bus.ProbeLogged)]


@pytest.mark.timeout(120)
async def test_a_report_has_operations_errors_a_killed_process_and_what_was_debugged(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, SHOP)
    async with AsyncExitStack() as stack:
        fleet = [await stack.enter_async_context(here.run(program, service="shop")) for _ in range(3)]
        for each in fleet:
            await each.says("measured")
        present = await appeared(viewer, "shop", 3)
        async with asyncio.timeout(30):
            samples: set[str] = set()
            async for sample in viewer.watch("metrics", "shop"):
                samples |= {sample.process} if sample.operations else set()
                if len(samples) == 3:
                    break
        ends = viewer.events("shop")
        async with ends:
            os.kill(present[0].pid, signal.SIGKILL)
            async for event in ends:
                if isinstance(event, bus.ProcessEnded):
                    break
        report = await remembers_the_end(viewer)
        assert (report.online, report.ended, report.unheard) == (2, 1, ())
        operations = {each.name: each for each in report.operations}
        assert (operations["charge"].total.ended, operations["charge"].processes) == (30, 3)
        assert operations["refund"].errors == {"LookupError": 3}
        assert report.errors == {"LookupError": 3, "exit by SIGKILL": 1}
        assert report.error_rate == pytest.approx(3 / 33)
        assert all(each.peaks.memory_rss for each in report.peaks)

        file = tmp_path / "report.json"
        code, output = await here.sonde("report", "shop", "--since", "1h", "-o", str(file))
        assert code == 0, output
        assert "2 online, 1 ended, 0 lost" in output
        assert "33 ended: 90.9 % well, 9.1 % in error" in output
        assert "exit by SIGKILL" in output
        assert json.loads(file.read_text())["errors"] == report.errors


async def remembers_the_end(viewer: Viewer) -> FleetReport:
    async with asyncio.timeout(30):
        while True:
            report = await viewer.report("shop")
            if "exit by SIGKILL" in report.errors:
                return report


async def test_a_snapshot_is_found_when_its_process_is_gone(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, LOOP)
    where = f"app.py:{program.line('stop here')}"
    async with here.run(program, service="loop"):
        await appeared(viewer, "loop")
        code, output = await here.sonde("snap", "add", where, "--count", "1", "--rm", "--json")
        assert code == 0, output
        taken = json.loads(output.splitlines()[-1])
    code, output = await here.sonde("snap", "show", taken["id"])
    assert code == 0, output
    assert "double" in output


async def test_without_a_history_the_past_is_refused_and_the_present_is_reported(tmp_path: Path) -> None:
    program = Program.write(tmp_path, SHOP)
    async with site(tmp_path, "--history", "none") as plain, plain.viewer() as viewer:
        with pytest.raises(Refused, match="--history") as caught:
            await viewer.sessions()
        assert caught.value.reason is Reason.NO_HISTORY
        async with plain.run(program, service="shop") as started:
            await started.says("measured")
            await appeared(viewer, "shop")
            code, output = await plain.sonde("report")
            assert code == 0, output
            assert "1 online" in output and "there is no history" in output
            async with follow("shop", url=plain.url, token=plain.token) as events:
                await started.hears("")
                async for event in events:
                    if isinstance(event, bus.ProcessEnded):
                        break
        code, output = await plain.sonde("sessions", "ls")
        assert code == 1
        assert "--history" in output
