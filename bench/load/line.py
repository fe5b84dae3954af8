"""The line between a comparison and its load: a JSON line for each call, one for its answer.

in the comparison                          in the load's process
async with started("fan_out") as load:     serve(FanOut())
    await load.call("join", count=100) ->      async def join(self, count) -> answer
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench.machine import LOAD_CPU, on_cpu

_LONGEST_LINE = 16 * 1024 * 1024
_LONGEST_CALL = 120.0


class Load:
    """The comparison's end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, name: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, arguments]).encode() + b"\n")
        async with asyncio.timeout(_LONGEST_CALL):
            answer = await self._process.stdout.readline()
        assert answer, f"the load ended in the middle of {name}; it says why above"
        return json.loads(answer)


@asynccontextmanager
async def started(name: str) -> AsyncIterator[Load]:
    """The program `bench/load/NAME.py`, on a core of its own where there are two."""
    with on_cpu(LOAD_CPU):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"bench.load.{name}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
    try:
        yield Load(process)
    finally:
        if process.returncode is None:
            process.kill()  # it keeps nothing
        await process.wait()


async def serve(load: object) -> None:
    """The load's end: until its standard input ends."""
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        name, arguments = json.loads(line)
        answer = await getattr(load, name)(**arguments)
        print(json.dumps(answer), flush=True)
