"""Attaching again and again: how long it takes, and what stays behind in the process.

Each cycle attaches, is stopped once at a breakpoint, continues and detaches. The peer is `debugpy.listen()`, a DAP
client at its adapter's port. Counting begins after the warm-up, in which debugpy is imported and arenas are filled.
Whoever does not come to the end of a cycle in time is counted up to there: see "cycles done".

debugpy's adapter stops accepting clients for ever when one dials while the session before is not quite over (seen
after 2 to 11 cycles; most likely telling that one of its sockets fails and ends the thread that accepts,
`sessions.report_sockets`). A client cannot see when it is over; so the peer is given a pause after it closed, which is
not part of any figure.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import psutil

from bench.dap import Client
from bench.report import Figure, Report, median
from bench.site import fresh_site, program
from bench.stopping import attach
from sonde_viewer import Viewer
from sonde_viewer.errors import ViewerError
from sonde_wire import bus
from tests.support.debuggee import Running, interpreters, running
from tests.support.site import Site, appeared

_WARM = 30
_CYCLES = 200
_CYCLE_SECONDS = 15.0
_PAUSE_SECONDS = 0.05
_SETTLE_SECONDS = 1.0
"""Both detach in threads of the process, which go on for a moment after they have told."""
_KIB = 1024


async def measure() -> Report:
    figures: list[Figure] = []
    async with fresh_site() as site:
        for version, python in interpreters().items():
            figures += await _measure_on(site, version, python)
    return Report(
        f"{_CYCLES} times attached and detached", "debugpy.listen() with its adapter", tuple(figures)
    )


async def _measure_on(site: Site, version: str, python: str) -> list[Figure]:
    passes = program("passes.py")
    path, line, service = str(passes.path), passes.line("stop here"), "cycles-" + version
    async with AsyncExitStack() as stack:
        viewer = await stack.enter_async_context(site.viewer())
        tapped = await stack.enter_async_context(site.run(passes, service=service, python=python))
        listening = await stack.enter_async_context(
            running(python, "-Xfrozen_modules=off", path, "listen", env=site.environment)
        )
        async with asyncio.timeout(_CYCLE_SECONDS):
            port = int((await listening.says("port")).split()[1])
            for process in (tapped, listening):
                await process.says("ready")
            (presence,) = await appeared(viewer, service)
        ours = await _cycles(presence.pid, lambda: _cycle(viewer, presence.process, tapped, path, line))
        theirs = await _cycles(listening.process.pid, lambda: _plain_cycle(port, listening, path, line))
    figures = [*ours.figures(f"{version} Sonde"), *theirs.figures(f"{version} debugpy")]
    if ours.attach and theirs.attach:
        ratio = median(theirs.attach) / median(ours.attach)
        figures.insert(0, Figure(f"{version} debugpy / Sonde, attach", ratio, "ratio"))
    return figures


@dataclass(frozen=True)
class _Left:
    attach: list[float]
    """Milliseconds, one for each cycle that came to its end after the warm-up."""
    memory: int
    threads: int
    descriptors: int

    def figures(self, who: str) -> list[Figure]:
        done = len(self.attach)
        if not done:
            return [Figure(f"{who}, cycles done", 0, "cycles")]
        return [
            Figure(f"{who}, cycles done", done, "cycles"),
            Figure(f"{who}, attach p50", median(self.attach), "ms"),
            Figure(f"{who}, memory left by a cycle", self.memory / _KIB / done, "KiB"),
            Figure(f"{who}, threads left by all", self.threads, "threads"),
            Figure(f"{who}, descriptors left by all", self.descriptors, "descriptors"),
        ]


async def _cycles(pid: int, cycle: Callable[[], Awaitable[float]]) -> _Left:
    process = psutil.Process(pid)
    attach: list[float] = []
    before = _held(process)
    try:
        for number in range(_WARM + _CYCLES):
            if number == _WARM:
                await asyncio.sleep(_SETTLE_SECONDS)
                before = _held(process)
            async with asyncio.timeout(_CYCLE_SECONDS):
                taken = await cycle()
            if number >= _WARM:
                attach.append(taken)
    except (TimeoutError, OSError, asyncio.IncompleteReadError, ViewerError):
        pass  # "cycles done" tells
    await asyncio.sleep(_SETTLE_SECONDS)
    memory, threads, descriptors = (now - then for now, then in zip(_held(process), before, strict=True))
    return _Left(attach, memory, threads, descriptors)


def _held(process: psutil.Process) -> tuple[int, int, int]:
    return process.memory_info().rss, process.num_threads(), process.num_fds()


async def _cycle(viewer: Viewer, process: str, running: Running, path: str, line: int) -> float:
    began = time.perf_counter()
    async with viewer.debug(process) as session:
        await session.set_breakpoints(path, [line])
        attached = (time.perf_counter() - began) * 1000
        await running.hears("")
        await session.stopped()
        await session.continue_()
        await _line_of(running)
    async with viewer.watch("presence", process) as presences:
        async for changed in presences:
            if isinstance(changed, bus.Presence) and changed.debugger == "detached":
                break
    return attached


async def _plain_cycle(port: int, running: Running, path: str, line: int) -> float:
    began = time.perf_counter()
    client = await Client.dial(port)
    try:
        await attach(client, path, line)
        attached = (time.perf_counter() - began) * 1000
        await running.hears("")
        stopped = await client.event("stopped")
        await client.request("continue", threadId=stopped["threadId"])
        await _line_of(running)
        await client.request("disconnect", terminateDebuggee=False)
        await client.closed()
    finally:
        client.close()
    await asyncio.sleep(_PAUSE_SECONDS)
    return attached


async def _line_of(running: Running) -> None:
    assert running.process.stdout is not None
    await running.process.stdout.readline()
