"""The line to the debugger is lost under people's hands: they are told, and their breakpoints are hit again."""

import asyncio
from pathlib import Path

import pytest

from sonde_viewer import Refused, Viewer
from sonde_viewer.mailbox import Mailbox
from sonde_wire import Reason, bus
from tests.end_to_end.standing import AT_ONCE, PATIENCE, stand, standing_at, stood
from tests.support.debuggee import Program
from tests.support.site import Site, appeared

WEDGED = 30.0
"""Seconds: ten for the request, two for the question whether anything is answered at all, and a busy machine."""
LOOP = """
    import contextlib
    import os
    import socket
    import sys
    import threading
    import time

    def say(text):
        sys.stdout.write(text + "\\n")  # at once, so that another thread's words do not come between

    def step(count):
        began = time.monotonic()
        count = count  # stop here
        return time.monotonic() - began

    def loop():
        count = 0
        while True:
            count += 1
            stood = step(count)
            say(f"did {count} {stood:.3f}")
            time.sleep(0.01)

    def cut():
        from pydevd import get_global_debugger

        get_global_debugger().writer.sock.shutdown(2)

    def unlink():
        # Sonde's own line to the sidecar, which pydevd's is not
        place = os.environ["SONDE_SIDECAR"].removeprefix("unix:")
        for number in map(int, os.listdir("/proc/self/fd")):
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as line:
                if line.getpeername() == place:
                    line.shutdown(socket.SHUT_RDWR)
                    say("unlinked")

    def wedge():
        from _pydevd_bundle.pydevd_process_net_command_json import PyDevJsonCommandProcessor as Commands

        old = Commands.on_setbreakpoints_request

        def hang(*arguments):
            Commands.on_setbreakpoints_request = old
            say("wedged")
            threading.Event().wait()

        Commands.on_setbreakpoints_request = hang

    threading.Thread(target=loop, daemon=True).start()
    for line in sys.stdin:
        {"cut": cut, "unlink": unlink, "wedge": wedge}[line.strip()]()
        say("done")
"""


async def is_attached_again(changes: Mailbox[bus.AnyEvent], lost: str) -> None:
    told: list[bus.AnyEvent] = []
    async with asyncio.timeout(PATIENCE):
        while len(told) < 2:
            change = await anext(changes)
            if isinstance(change, bus.DebuggerDetached | bus.DebuggerAttached):
                told.append(change)
    detached, attached = told
    assert isinstance(detached, bus.DebuggerDetached) and detached.reason == lost
    assert isinstance(attached, bus.DebuggerAttached) and attached.again


async def test_a_line_that_is_cut_is_made_again_for_all_who_debug(
    here: Site, viewer: Viewer, python: str, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, LOOP)
    async with here.run(program, service="loop", python=python) as started, here.viewer() as colleague:
        (presence,) = await appeared(viewer, "loop")
        async with viewer.debug(presence.process) as session, colleague.debug(presence.process) as watching:
            changes, seen = session.changes(), watching.changes()
            stopped_at = await stand(session, program)
            for line in ("cut", "unlink"):  # pydevd's, and the tap's own
                last = (await watching.stopped()).number
                await started.hears(line)
                assert await stood(started, stopped_at) < AT_ONCE
                await is_attached_again(changes, "connection_lost")
                await is_attached_again(seen, "connection_lost")
                await watching.stopped(after=last, within=PATIENCE)
                stopped_at = await standing_at(session, program)
            (bound,) = await watching.set_breakpoints(str(program.path), [program.line("stop here")])
            assert bound["verified"]
        (after,) = await appeared(viewer, "loop")
        assert after.boot == presence.boot


async def test_a_debugger_that_hangs_is_dropped_and_attached_again(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, LOOP)
    async with here.run(program, service="loop") as started:
        (presence,) = await appeared(viewer, "loop")
        async with viewer.debug(presence.process) as session:
            changes = session.changes()
            stopped_at = await stand(session, program)
            await session.take_seat()
            await started.hears("wedge")
            await started.says("done")
            with pytest.raises(Refused) as refused:
                await session.request(
                    "setBreakpoints", source={"path": "/nowhere.py"}, breakpoints=[{"line": 1}]
                )
            assert refused.value.reason is Reason.NO_ANSWER
            await is_attached_again(changes, "not_answering")
            assert await stood(started, stopped_at) < WEDGED
            assert await standing_at(session, program) > stopped_at
            assert session.drives
