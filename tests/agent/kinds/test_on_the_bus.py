"""Families as people see them: through a real sidecar and a bus."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sonde_agent.sidecar import Sidecar, SidecarSettings, serve
from sonde_broker.bus import EmbeddedBus
from tests.agent.kinds.family import SONDE_RUN
from tests.agent.sidecar.conftest import Broker, broker_on, environment
from tests.support.debuggee import Program, running


@pytest.fixture
async def place() -> AsyncIterator[tuple[Broker, Sidecar]]:
    async with (
        EmbeddedBus() as server,
        serve(SidecarSettings(bus=server.url)) as sidecar,
        broker_on(server.url) as broker,
    ):
        yield broker, sidecar


async def test_a_worker_is_named_beside_its_parent_and_debugged(
    place: tuple[Broker, Sidecar], tmp_path: Path
) -> None:
    broker, sidecar = place
    source = """
        import os
        import sys

        def price(count):
            return count * 3  # stop here

        if os.fork() == 0:
            for line in sys.stdin:
                print("worker", price(int(line)), flush=True)
            os._exit(0)
        os.wait()
        """
    program = Program.write(tmp_path, source)
    command = (*SONDE_RUN, "--service", "shop", "--instance", "one", str(program.path))
    async with running(*command, env={**environment(sidecar), "PYTHONWARNINGS": "ignore"}) as started:
        worker = await broker.presence(lambda each: each.state == "online" and each.parent is not None)
        assert worker.parent == "default/shop/one"
        assert worker.process == f"default/shop/one-{worker.pid}"
        await broker.open(worker, "s1")
        lines = [{"line": program.line("stop here")}]
        await broker.dap(
            worker, "s1", "setBreakpoints", source={"path": str(program.path)}, breakpoints=lines
        )
        await started.hears("5")
        stopped = await broker.dap_event("stopped", reason="breakpoint")
        await broker.dap(worker, "s1", "continue", threadId=stopped["threadId"])
        assert await started.says("worker") == "worker 15"


async def test_a_program_that_becomes_another_is_the_same_process_anew(
    place: tuple[Broker, Sidecar], tmp_path: Path
) -> None:
    broker, sidecar = place
    source = """
        import os
        import sys
        sys.stdin.readline()
        os.execv(sys.executable, [sys.executable, *sys.argv])
        """
    program = Program.write(tmp_path, source)
    command = (*SONDE_RUN, "--service", "shop", str(program.path))
    async with running(*command, env=environment(sidecar)) as started:
        first = await broker.presence(lambda each: each.state == "online")
        await started.hears("")
        second = await broker.presence(lambda each: each.state == "online" and each.boot != first.boot)
        assert (second.process, second.pid) == (first.process, first.pid)
        ended = next(each for each in broker.presences if each.state == "ended")
        assert (ended.boot, ended.exit and ended.exit.reason) == (first.boot, "unknown")
