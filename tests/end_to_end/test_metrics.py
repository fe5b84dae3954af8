"""What a program measures of its own work, seen from a second terminal."""

import json
from pathlib import Path

from sonde_viewer import Viewer
from tests.support.debuggee import Program
from tests.support.site import Site, appeared

MANY = """
    import sys
    from sonde_agent import operation

    for number in range(250):
        try:
            with operation(f"operation number {number}"):
                if number % 10 == 0:
                    raise LookupError(number)
        except LookupError:
            pass
    print("measured", flush=True)
    sys.stdin.readline()
"""


async def test_two_hundred_operations_come_through_the_whole_path(
    here: Site, viewer: Viewer, python: str, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, MANY)
    async with here.run(program, service="shop", python=python) as started:
        await started.says("measured")
        (presence,) = await appeared(viewer, "shop")
        samples = viewer.watch("metrics", presence.process)
        # a sample may have been taken while the program was at it
        while (sample := await anext(samples)).operations_dropped < 50:
            pass
        assert len(sample.operations) == 200
        assert sample.operations_dropped == 50
        assert sample.operations[10].error_types == {"LookupError": 1}
        code, output = await here.sonde("metrics", "shop")
        assert code == 0, output
        assert "50 operations were not counted" in output
        (row,) = [line for line in output.splitlines() if line.startswith("operation number 10 ")]
        assert "100.0" in row and "1 LookupError" in row
        code, output = await here.sonde("metrics", "shop", "--json")
        assert (code, json.loads(output)["operations_dropped"]) == (0, 50)
