"""Attaching again and again: how long it takes, and what stays behind in the process.

Each cycle attaches, is stopped once at a breakpoint, continues and detaches. The peer is `debugpy.listen()`, a DAP
client at its adapter's port. Memory is counted from the tenth cycle on: the first ones import debugpy.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import psutil

from bench.dap import Client
from bench.report import Figure, Report, median
from bench.site import fresh_site, program
from bench.stopping import attach
from sonde_viewer import Viewer
from sonde_wire import bus
from tests.support.debuggee import Running, interpreters, running
from tests.support.site import Site, appeared

_WARM = 10
_CYCLES = 200
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
        port = int((await listening.says("port")).split()[1])
        for process in (tapped, listening):
            await process.says("ready")
        (presence,) = await appeared(viewer, service)
        ours = await _cycles(presence.pid, lambda: _cycle(viewer, presence.process, tapped, path, line))
        theirs = await _cycles(listening.process.pid, lambda: _plain_cycle(port, listening, path, line))
        return [
            Figure(f"{version} debugpy / Sonde, attach", theirs.attach / ours.attach, "ratio"),
            Figure(f"{version} Sonde, attach p50", ours.attach, "ms"),
            Figure(f"{version} debugpy, attach p50", theirs.attach, "ms"),
            Figure(f"{version} Sonde, memory left by a cycle", ours.memory, "KiB"),
            Figure(f"{version} debugpy, memory left by a cycle", theirs.memory, "KiB"),
            Figure(f"{version} Sonde, threads and descriptors left by all", ours.left, "more"),
            Figure(f"{version} debugpy, threads and descriptors left by all", theirs.left, "more"),
        ]


class _Growth:
    def __init__(self, attach: float, memory: float, left: int) -> None:
        self.attach, self.memory, self.left = attach, memory, left


async def _cycles(pid: int, cycle: Callable[[], Awaitable[float]]) -> _Growth:
    process = psutil.Process(pid)
    for _ in range(_WARM):
        await cycle()
    memory, held = process.memory_info().rss, process.num_threads() + process.num_fds()
    attach = [await cycle() for _ in range(_CYCLES)]
    grown = (process.memory_info().rss - memory) / _KIB / _CYCLES
    return _Growth(median(attach), grown, process.num_threads() + process.num_fds() - held)


async def _cycle(viewer: Viewer, process: str, running: Running, path: str, line: int) -> float:
    began = time.perf_counter()
    async with viewer.debug(process) as session:
        attached = (time.perf_counter() - began) * 1000
        await session.set_breakpoints(path, [line])
        await running.hears("")
        await session.stopped()
        await session.continue_()
        await _line_of(running)
    async for changed in viewer.watch("presence", process):
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
    finally:
        client.close()
    return attached


async def _line_of(running: Running) -> None:
    assert running.process.stdout is not None
    await running.process.stdout.readline()
