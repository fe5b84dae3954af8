"""What a breakpoint costs that does not stop: the other lines of its function, calls of that function, and a condition
that does not hold; beside debugpy's own breakpoints, and the same loops without any.

One process for each way, rounds interleaved. On 3.11 both are the same: lines are gated from 3.12 on.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

from bench.dap import Client
from bench.report import Figure, Report, median
from bench.site import fresh_site, program
from tests.support.debuggee import Running, interpreters, running
from tests.support.site import Site, appeared

_ROUNDS = 7
_NEVER = ("never reached", "never reached either")
_DECIDED = {"condition": "number < 0", "hitCondition": ">1000000000"}


async def measure() -> Report:
    figures: list[Figure] = []
    async with fresh_site() as site:
        for version, python in interpreters().items():
            figures += await _measure_on(site, version, python)
    return Report("breakpoints that do not stop", "debugpy, and no breakpoint", tuple(figures))


async def _measure_on(site: Site, version: str, python: str) -> list[Figure]:
    loops = program("neighbours.py")
    path = str(loops.path)
    service = "neighbours-" + version
    connected: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(
        lambda reader, writer: connected.set_result(Client(reader, writer)), "127.0.0.1", 0, limit=2**24
    )
    port = str(server.sockets[0].getsockname()[1])
    async with AsyncExitStack() as stack:
        viewer = await stack.enter_async_context(site.viewer())
        bare = await stack.enter_async_context(running(python, path, env=site.environment))
        plain = await stack.enter_async_context(running(python, path, port, env=site.environment))
        tapped = await stack.enter_async_context(site.run(loops, service=service, python=python))
        async with asyncio.timeout(30):
            client = await connected
        await client.request("initialize", adapterID="bench", pathFormat="path")
        await client.request("attach", justMyCode=False, stopAllThreadsOnSuspend=False, subProcess=False)
        await client.request("configurationDone")
        for process in (bare, plain, tapped):
            await process.says("ready")
        (presence,) = await appeared(viewer, service)
        session = await stack.enter_async_context(viewer.debug(presence.process))
        ways = {"none": bare, "debugpy": plain, "sonde": tapped}
        figures: list[Figure] = []

        async def breakpoints(points: list[dict[str, object]]) -> None:
            await client.request("setBreakpoints", source={"path": path}, breakpoints=points)
            await session.request("setBreakpoints", source={"path": path}, breakpoints=points)

        await breakpoints([{"line": loops.line(tag)} for tag in _NEVER])
        for name, what in (
            ("loop", "tight loop, breakpoint not reached"),
            ("calls", "calls of such a function"),
        ):
            taken = await _rounds(ways, name)
            for way in ("sonde", "debugpy"):
                ratio = median([a / b for a, b in zip(taken[way], taken["none"], strict=True)])
                figures.append(Figure(f"{version} {what}: {way} / none", ratio, "ratio"))
        for how, text in _DECIDED.items():
            await breakpoints([{"line": loops.line("decide here"), how: text}])
            taken = await _rounds(ways, "decided")
            hit = {way: median(taken[way]) - median(taken["none"]) for way in ("sonde", "debugpy")}
            figures.append(
                Figure(f"{version} {how} false: sonde / debugpy", hit["sonde"] / hit["debugpy"], "ratio")
            )
            figures += [Figure(f"{version} {how} false, {way}", ns / 1000, "us") for way, ns in hit.items()]
        client.close()
        server.close()
        return figures


async def _rounds(ways: Mapping[str, Running], name: str) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(_ROUNDS):
        for way, process in ways.items():
            await process.hears(name)
            assert process.process.stdout is not None
            taken[way].append(float(await process.process.stdout.readline()))
    return taken
