"""The command line as a newcomer uses it, in a second terminal."""

import json
import os
import sys
from pathlib import Path

import pytest

from sonde_viewer import Viewer, connect
from tests.support.debuggee import Program, running
from tests.support.site import Site, appeared

LOOP = """
    import time

    def step(count):
        double = count * 2
        return double  # stop here

    count = 0
    while True:
        count += 1
        step(count)
        print("at", count, flush=True)
        time.sleep(0.01)
"""


async def test_debug_stops_reads_evaluates_and_lets_run_on(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, LOOP)
    where = f"app.py:{program.line('stop here')}"
    async with here.run(program, service="loop") as started:
        await appeared(viewer, "loop")
        script = (f"break {where}", "continue", "where", "print double - count * 2 + 77", "clear", "continue")
        commands = [part for line in script for part in ("-c", line)]
        code, output = await here.sonde("debug", "loop", *commands)
        assert code == 0, output
        assert "step" in output
        assert "77" in output
        for _ in range(3):
            await started.says("at")


async def test_ps_and_stack_print_json(here: Site, viewer: Viewer, tmp_path: Path) -> None:
    program = Program.write(tmp_path, LOOP)
    async with here.run(program, service="loop"):
        (presence,) = await appeared(viewer, "loop")
        code, output = await here.sonde("ps", "--json")
        assert code == 0, output
        assert presence.process in output
        json.loads(output)
        code, output = await here.sonde("stack", "loop", "--json")
        assert code == 0, output
        assert json.loads(output)["threads"]


async def test_an_unknown_process_is_exit_1_and_says_what_to_do(here: Site) -> None:
    code, output = await here.sonde("stack", "nothing")
    assert code == 1
    assert "sonde ps" in output


async def test_a_wrong_option_is_exit_2(here: Site) -> None:
    code, _ = await here.sonde("ps", "--no-such-option")
    assert code == 2


@pytest.mark.timeout(120)
async def test_the_demo_runs_three_processes_that_can_be_debugged(tmp_path: Path) -> None:
    """`make demo` is this command."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SONDE_")}
    environment |= {"SONDE_SITE": str(tmp_path / "site.json"), "PYTHONUNBUFFERED": "1"}
    command = (sys.executable, "-m", "sonde_viewer", "demo", "--listen", "127.0.0.1:0")
    async with running(*command, env=environment) as demo:
        link = (await demo.says("#token=")).split()[-1]
        url, token = link.split("/#token=")
        async with connect(url, token) as viewer:
            await appeared(viewer, "shop", 2)
            (worker,) = await appeared(viewer, "worker")
            sources = await viewer.sources(worker.process)
            path = next(each.path for each in sources.files if each.path.endswith("worker.py"))
            lines = (await viewer.source(worker.process, path)).text.splitlines()
            here = next(number for number, text in enumerate(lines, 1) if text.lstrip().startswith("return "))
            async with viewer.debug(worker.process) as session:
                await session.set_breakpoints(path, [here])
                await session.stopped()
                frames = await session.stack()
                assert frames[0]["line"] == here
                assert (await session.evaluate("6 * 7", frame=frames[0]["id"]))["result"] == "42"
                await session.continue_()
