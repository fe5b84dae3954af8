"""What can be seen of a process without stopping it, from its tap to a second terminal."""

import json
from pathlib import Path

from sonde_viewer import Viewer
from tests.support.debuggee import Program
from tests.support.site import Site, appeared

SHOP = """
    import asyncio

    async def fetch(number):
        await asyncio.sleep(1000)  # fetching
        return number

    async def handle():
        return await asyncio.gather(fetch(1), fetch(2))

    async def main():
        order = asyncio.create_task(handle(), name="order")
        print("ready", flush=True)
        await order

    asyncio.run(main())
"""


async def test_tasks_source_and_doctor_tell_what_a_process_does(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, SHOP)
    async with here.run(program, "--api-key", "hunter2", service="shop") as started:
        (presence,) = await appeared(viewer, "shop")
        await started.says("ready")
        assert "hunter2" not in presence.argv

        code, output = await here.sonde("tasks", "shop", "--json")
        assert code == 0, output
        tasks = {task["name"]: task for task in json.loads(output)["tasks"]}
        assert tasks["order"]["waits_for"] == "gather of 2"
        assert tasks["order"]["awaited_by"] == [tasks["Task-1"]["id"]]

        code, output = await here.sonde("source", "shop", program.path.name)
        assert (code, output) == (0, program.path.read_text())

        code, output = await here.sonde("doctor", "shop", f"{program.path}:{program.line('fetching')}")
        assert code == 0, output
        code, output = await here.sonde("doctor", "shop", f"{program.path}:1")
        assert code == 1, output
        assert "line.code" in output

        runtime = await viewer.runtime(presence)
        assert runtime.argv[-2:] == ("--api-key", "***")
        assert runtime.loops[0].lag is not None
        assert "__main__" in {module.name for module in (await viewer.modules(presence)).modules}
