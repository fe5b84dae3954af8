"""What busy loops pay for the tap: idle, attached, with a breakpoint elsewhere, and detached again.

Three loops: calls, asyncio tasks, threads with a queue. One process for each mode, rounds interleaved; the peers are
the same loops without anything, and under `debugpy.listen()` with nobody attached.
"""

import asyncio
from contextlib import AsyncExitStack

from bench.report import Figure, Report, median
from bench.site import fresh_site, program
from sonde_wire import bus
from tests.support.debuggee import Running, interpreters, running
from tests.support.site import Site, appeared

_ROUNDS = 7
_LOOPS = ("calls", "tasks", "threads")


async def _round(process: Running, loop: str) -> float:
    await process.hears(loop)
    assert process.process.stdout is not None
    return float(await process.process.stdout.readline())


async def measure() -> Report:
    figures: list[Figure] = []
    async with fresh_site() as site:
        for version, python in interpreters().items():
            figures += await _measure_on(site, version, python)
    return Report("slowdown of busy loops", "no debugger, and debugpy.listen()", tuple(figures))


async def _measure_on(site: Site, version: str, python: str) -> list[Figure]:
    loops = program("loops.py")
    path = str(loops.path)
    service = "loops-" + version
    async with AsyncExitStack() as stack:
        viewer = await stack.enter_async_context(site.viewer())
        bare = await stack.enter_async_context(running(python, path, env=site.environment))
        listening = await stack.enter_async_context(running(python, path, "listen", env=site.environment))
        tapped = await stack.enter_async_context(site.run(loops, service=service, python=python))
        for process in (bare, listening, tapped):
            await process.says("ready")
        (presence,) = await appeared(viewer, service)

        figures: list[Figure] = []

        async def beside(mode: str, process: Running) -> None:
            for loop in _LOOPS:
                ratios = []
                for _ in range(_ROUNDS):
                    base = await _round(bare, loop)
                    ratios.append(await _round(process, loop) / base)
                figures.append(Figure(f"{version} {loop}: {mode} / none", median(ratios), "ratio"))

        await beside("tap idle", tapped)
        await beside("debugpy.listen", listening)
        async with viewer.debug(presence.process) as session:
            await beside("attached", tapped)
            await session.set_breakpoints(path, [loops.line("stop elsewhere")])
            await beside("breakpoint elsewhere", tapped)
        async for changed in viewer.watch("presence", presence.process):
            if isinstance(changed, bus.Presence) and changed.debugger == "detached":
                break
        await asyncio.sleep(0.5)  # the tap takes tracing off after the line to pydevd is closed
        await beside("detached", tapped)
        return sorted(figures, key=lambda each: each.name)
