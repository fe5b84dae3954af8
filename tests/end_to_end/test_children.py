"""A process that is forked while its parent is debugged is a process of its own, for others to debug."""

from pathlib import Path

from sonde_viewer import Viewer
from tests.support import expect
from tests.support.debuggee import Program
from tests.support.site import Site, appeared

FAMILY = """
    import os
    import sys
    import time

    def of_parent(count):
        return count + 1  # in the parent

    def of_child(count):
        return count + 1  # in the child

    sys.stdin.readline()
    child = os.fork()
    name, step = ("parent", of_parent) if child else ("child", of_child)
    count = 0
    while True:
        count = step(count)
        sys.stdout.write(f"{name} {count}\\n")  # at once, so that the other's words do not come between
        time.sleep(0.01)
"""


async def test_a_forked_child_is_named_with_its_parent_and_debugged_beside_it(
    here: Site, viewer: Viewer, python: str, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, FAMILY)
    everywhere = [program.line("in the parent"), program.line("in the child")]
    async with here.run(program, service="family", python=python) as started, here.viewer() as colleague:
        (parent,) = await appeared(viewer, "family")
        async with viewer.debug(parent.process) as with_parent:
            await with_parent.set_breakpoints(str(program.path), everywhere)
            await started.hears("fork")
            await expect.stopped_at(with_parent, program, "in the parent")
            await started.says("child 2")  # its parent's breakpoints are not its own

            both = await appeared(viewer, "family", 2)
            (child,) = [each for each in both if each.process != parent.process]
            assert (child.parent, child.parent_pid) == (parent.process, parent.pid)
            async with colleague.debug(child.process) as with_child:
                await with_child.set_breakpoints(str(program.path), everywhere)
                await expect.stopped_at(with_child, program, "in the child")
                assert (await with_child.evaluate("os.getpid()"))["result"] == str(child.pid)
                assert (await with_parent.evaluate("os.getpid()"))["result"] == str(parent.pid)
                count = int((await with_child.evaluate("count"))["result"])
            await started.says(f"child {count + 2}")
            await expect.stopped_at(with_parent, program, "in the parent")
        await started.says("parent 3")
