"""What a call-heavy loop pays for the tap: idle, attached without a breakpoint, and detached again.

One process for each mode, rounds interleaved; the peers are the same loop without anything, and under
`debugpy.listen()` with nobody attached.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from bench.report import Figure, Report, median
from bench.site import fresh_site, program
from tests.support.debuggee import Running, interpreters, running
from tests.support.site import Site, appeared

_ROUNDS = 9


async def _round(process: Running) -> float:
    assert process.process.stdin is not None
    assert process.process.stdout is not None
    process.process.stdin.write(b"\n")
    return float(await process.process.stdout.readline())


async def measure() -> Report:
    figures: list[Figure] = []
    async with fresh_site() as site:
        for version, python in interpreters().items():
            figures += await _measure_on(site, version, python)
    return Report("slowdown of a call-heavy loop", "no debugger, and debugpy.listen()", tuple(figures))


async def _measure_on(site: Site, version: str, python: str) -> list[Figure]:
    calls = str(program("calls.py").path)
    service = "calls-" + version
    run = (sys.executable, "-m", "sonde_agent", "run", "--service", service, "--python", python, "--", calls)
    async with AsyncExitStack() as stack:
        viewer = await stack.enter_async_context(site.viewer())
        bare = await stack.enter_async_context(running(python, calls, env=site.environment))
        listening = await stack.enter_async_context(running(python, calls, "listen", env=site.environment))
        tapped = await stack.enter_async_context(running(*run, env=site.environment))
        for process in (bare, listening, tapped):
            await process.says("ready")
        (presence,) = await appeared(viewer, service)

        ratios: dict[str, list[float]] = {
            "tap idle": [],
            "attached": [],
            "detached": [],
            "debugpy.listen": [],
        }

        async def beside(mode: str, measured: Callable[[], Awaitable[float]]) -> None:
            for _ in range(_ROUNDS):
                base = await _round(bare)
                ratios[mode].append(await measured() / base)

        await beside("tap idle", lambda: _round(tapped))
        await beside("debugpy.listen", lambda: _round(listening))
        async with viewer.debug(presence.process):
            await beside("attached", lambda: _round(tapped))
        async for changed in viewer.watch("presence", presence.process):
            if getattr(changed, "debugger", "") == "detached":
                break
        await asyncio.sleep(0.5)  # the tap takes tracing off after the line to pydevd is closed
        await beside("detached", lambda: _round(tapped))
        return [Figure(f"{version} {mode} / none", median(taken), "ratio") for mode, taken in ratios.items()]
