"""Nothing stays frozen, whoever goes, hangs or is lost, and wherever the program stands. How long it stood, the
program says itself."""

import sys
from pathlib import Path

import pytest

from sonde_viewer import Viewer
from sonde_wire import bus
from tests.agent.sidecar.conftest import mqtt_server
from tests.end_to_end.standing import (
    AT_ONCE,
    LEASE,
    LOOP,
    SHORT,
    WITHIN,
    hanging,
    pod,
    stand,
    standing_at,
    stood,
    until,
)
from tests.support import parts
from tests.support.debuggee import Program, running
from tests.support.site import Site, appeared, site

WATCHER = """
    import asyncio
    import sys
    from sonde_viewer import connect

    async def main(process, path, line):
        async with connect() as viewer, viewer.debug(process) as session:
            await session.set_breakpoints(path, [int(line)])
            await session.stopped()
            await session.take_seat()
            print("stands at", (await session.evaluate("count"))["result"], flush=True)
            await asyncio.Event().wait()

    asyncio.run(main(*sys.argv[1:]))
"""
PLACES = """
    import importlib
    import logging
    import sys
    import threading
    import time

    class Handler(logging.Handler):
        def emit(self, record):
            began = time.monotonic()
            began = began  # in a handler
            tell("handler", began)

    class Shown:
        def __str__(self):
            began = time.monotonic()
            began = began  # in print
            tell("print", began)
            return ""

    def plain():
        began = time.monotonic()
        began = began  # in a function
        tell("function", began)

    def tell(where, began):
        sys.stdout.write(f"{where} stood {time.monotonic() - began:.3f}\\n")
        sys.stdout.flush()

    logging.getLogger("app").addHandler(Handler())
    everywhere = [lambda: logging.getLogger("app").warning("here"), lambda: print(Shown(), end=""), plain]
    for line in sys.stdin:
        threads = [threading.Thread(target=each) for each in everywhere]
        for thread in threads:
            thread.start()
        importlib.import_module("imported")
        for thread in threads:
            thread.join()
        tell("nothing", time.monotonic())
"""
IMPORTED = """
    import __main__
    import time

    began = time.monotonic()
    began = began  # in an import
    __main__.tell("import", began)
"""


async def test_of_three_that_stand_only_the_one_whose_driver_is_there_goes_on_standing(
    here: Site, viewer: Viewer, python: str, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, LOOP)
    watcher = Program.write(tmp_path, WATCHER, "watcher.py")
    async with (
        pod(here, "--lease", f"{LEASE:g}") as (_, place),
        here.run(program, service="kept", python=python, **place) as kept,
        here.run(program, service="left", python=python, **place) as left,
        here.run(program, service="hung", python=python, **place) as hung,
    ):
        (at_kept,), (at_left,), (at_hung,) = [
            await appeared(viewer, each) for each in ("kept", "left", "hung")
        ]
        where = (at_hung.process, str(program.path), str(program.line("stop here")))
        async with (
            viewer.debug(at_kept.process) as driving,
            viewer.debug(at_left.process, keep_stopped=False) as absent,
            running(sys.executable, str(watcher.path), *where, env=here.environment) as watching,
        ):
            kept_at = await stand(driving, program)
            await driving.take_seat()
            kept_stop = driving.standing
            left_at = await stand(absent, program)
            hung_at = int((await watching.says("stands at")).split()[-1])
            with hanging(watching.process.pid):
                assert LEASE <= await stood(left, left_at) < WITHIN
                assert LEASE <= await stood(hung, hung_at) < WITHIN

                # past the line that has the breakpoint, again and again, until somebody asks something
                for further in range(1, 4):
                    await left.says(f"did {left_at + further} ")
                await until(absent, lambda its: its.asleep)
                assert not absent.standing
                await absent.threads()
                again_at = await standing_at(absent, program)
                assert not absent.asleep
                await absent.continue_()
                assert await stood(left, again_at) < WITHIN

                assert driving.standing == kept_stop and driving.lease is not None
                await driving.continue_()
                assert await stood(kept, kept_at) > LEASE


async def test_a_sidecar_that_hangs_freezes_nobody_and_is_itself_again_when_it_goes_on(
    here: Site, viewer: Viewer, python: str, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, PLACES)
    imported = Program.write(tmp_path, IMPORTED, "imported.py")
    places = [program.line(f"in {each}") for each in ("a handler", "print", "a function")]
    async with (
        pod(here, "--lease", f"{LEASE:g}") as (sidecar, place),
        here.run(program, service="places", python=python, **place) as started,
    ):
        (presence,) = await appeared(viewer, "places")
        async with viewer.debug(presence.process) as session:
            await session.set_breakpoints(str(program.path), places)
            await session.set_breakpoints(str(imported.path), [imported.line("in an import")])
            await started.hears("go")
            while len(session.standing) < 4:
                await session.stopped(after=session.standing[-1].number if session.standing else 0)
            changes = session.changes()
            with hanging(sidecar.process.pid):
                told = [(await started.says(" stood ")).split() for _ in range(4)]
                assert {where for where, _, _ in told} == {"handler", "print", "function", "import"}
                assert all(float(seconds) < WITHIN for _, _, seconds in told), told
                await started.says("nothing stood")

            # it knows that it lost what it stood by, and debugs on
            async for change in changes:
                if isinstance(change, bus.DebuggerAttached):
                    assert change.again
                    break
            assert session.asleep and not session.standing
            await session.threads()
            await started.hears("go")
            await session.stopped()
        assert (await appeared(viewer, "places"))[0].boot == presence.boot


async def test_a_broker_that_hangs_freezes_nobody_and_its_viewers_go_on_when_it_does(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, LOOP)
    async with here.run(program, service="loop", **SHORT) as started:
        (presence,) = await appeared(viewer, "loop")
        async with viewer.debug(presence.process) as session:
            stopped_at = await stand(session, program)
            await session.take_seat()
            with hanging(here.broker.process.pid):
                assert LEASE <= await stood(started, stopped_at) < WITHIN
            async for change in session.changes():
                if isinstance(change, bus.LeaseChanged) and change.state == "lapsed":
                    break
            assert session.driver is None
            assert await standing_at(session, program) > stopped_at


@pytest.mark.skipif(parts.MOSQUITTO is None, reason="Mosquitto is not installed")
async def test_a_killed_broker_and_a_killed_bus_end_a_stop_at_once(tmp_path: Path) -> None:
    program = Program.write(tmp_path, LOOP)
    async with (
        mqtt_server(tmp_path) as mosquitto,
        site(tmp_path, "--bus", mosquitto.url) as first,
        first.run(program, service="loop") as started,
    ):
        async with first.viewer() as viewer:
            (presence,) = await appeared(viewer, "loop")
            never_closed = viewer.debug(presence.process)
            stopped_at = await stand(await never_closed.__aenter__(), program)
            first.broker.process.kill()
            assert await stood(started, stopped_at) < AT_ONCE
        await first.broker.ended()
        async with site(tmp_path, "--bus", mosquitto.url) as second, second.viewer() as viewer:
            (presence,) = await appeared(viewer, "loop")
            never_closed = viewer.debug(presence.process)
            stopped_at = await stand(await never_closed.__aenter__(), program)
            mosquitto.running.process.kill()
            assert await stood(started, stopped_at) < AT_ONCE
