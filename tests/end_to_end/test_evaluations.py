"""What people type at a stopped process and should not have: it ends, they are told, and the thread still stands."""

from pathlib import Path
from typing import Any

import pytest

from sonde_viewer import DapError, DebugSession, Refused, Viewer
from sonde_wire import Reason
from tests.end_to_end.standing import LOOP, stand, standing_at, stood
from tests.support.debuggee import Program
from tests.support.site import Site, appeared

LIMIT = {"SONDE_EVALUATION_LIMIT": "2"}
SLOW = """
    class Slow:
        def __repr__(self):
            while True:
                pass

    def step(count):
        slow = Slow()
"""


async def interrupted(session: DebugSession, expression: str, **where: Any) -> None:
    with pytest.raises(Refused) as refused:
        await session.request("evaluate", expression=expression, **where)
    assert refused.value.reason is Reason.INTERRUPTED


async def test_an_evaluation_that_does_not_end_is_ended_and_the_session_goes_on(
    here: Site, viewer: Viewer, python: str, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, LOOP.replace("    def step(count):\n", SLOW.lstrip("\n")))
    async with here.run(program, service="loop", python=python, **LIMIT) as started:
        (presence,) = await appeared(viewer, "loop")
        async with viewer.debug(presence.process) as session:
            stopped_at = await stand(session, program)
            standing = session.standing
            frame = (await session.stack(levels=1))[0]["id"]

            await interrupted(session, "while True: pass", frameId=frame, context="repl")
            assert (await session.evaluate("count"))["result"] == str(stopped_at)
            await interrupted(session, "while True: pass", context="repl")
            await interrupted(session, "slow", frameId=frame, context="watch")
            scopes = await session.scopes(frame)
            with pytest.raises(Refused) as refused:
                await session.variables(scopes[0]["variablesReference"])
            assert refused.value.reason is Reason.INTERRUPTED
            for leaves in ("raise SystemExit", "exit()", "raise KeyboardInterrupt"):
                with pytest.raises(DapError, match=r"SystemExit|KeyboardInterrupt"):
                    await session.evaluate(leaves, context="repl")
            large = await session.evaluate("'x' * 60_000_000", context="clipboard")
            assert len(large["result"]) < 1_100_000

            assert session.standing == standing
            assert (await session.evaluate("count"))["result"] == str(stopped_at)
            await session.continue_()
            await stood(started, stopped_at)
            assert await standing_at(session, program) > stopped_at
