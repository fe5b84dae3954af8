"""What an idle process pays: memory and CPU of the tap inside it and of the sidecar beside it.

The peers are the same program without anything, and under `debugpy.listen()` with its adapter process. The program is
a bare interpreter, and one that has imported what most services have (asyncio, json, logging, ssl): much of what the
tap needs is there already.
"""

import asyncio
import sys
from contextlib import AsyncExitStack

import psutil

from bench.report import Figure, Report
from bench.site import fresh_site, program
from tests.support.debuggee import interpreters, running
from tests.support.site import Site, appeared

_SECONDS = 10.0
_MIB = 1024 * 1024


def _busy(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _adapter_of(debuggee: psutil.Process) -> psutil.Process:
    """debugpy's adapter makes itself nobody's child; it is at the other end of the debuggee's connection."""
    ports = {each.raddr.port for each in debuggee.net_connections() if each.raddr}
    for process in psutil.process_iter(["cmdline"]):
        if not any("debugpy" in word for word in process.info["cmdline"] or ()):
            continue
        if ports & {each.laddr.port for each in process.net_connections() if each.laddr}:
            return process
    raise AssertionError("debugpy's adapter was not found")


async def measure() -> Report:
    figures: list[Figure] = []
    async with fresh_site() as site:
        for version, python in interpreters().items():
            for kind in ("bare", "service"):
                figures += await _measure_on(site, version, python, kind)
    return Report("an idle process", "debugpy.listen() with its adapter", tuple(figures))


async def _measure_on(site: Site, version: str, python: str, kind: str) -> list[Figure]:
    waits = str(program("waits.py").path)
    service = f"waits-{kind}-{version}"
    run = (sys.executable, "-m", "sonde_agent", "run", "--service", service, "--python", python, "--", waits)
    async with AsyncExitStack() as stack:
        viewer = await stack.enter_async_context(site.viewer())
        env = site.environment
        bare = await stack.enter_async_context(running(python, waits, kind, env=env))
        listening = await stack.enter_async_context(running(python, waits, kind, "listen", env=env))
        tapped = await stack.enter_async_context(running(*run, kind, env=env))
        for process in (bare, listening, tapped):
            await process.says("ready")
        (presence,) = await appeared(viewer, service)

        plain = psutil.Process(bare.process.pid)
        peer = psutil.Process(listening.process.pid)
        watched = {
            "tap": psutil.Process(presence.pid),
            "sidecar": psutil.Process(tapped.process.pid),
            "debugpy": peer,
            "adapter": _adapter_of(peer),
        }
        before = {name: _busy(process) for name, process in watched.items()}
        await asyncio.sleep(_SECONDS)
        cpu = {name: (_busy(process) - before[name]) / _SECONDS * 100 for name, process in watched.items()}
        rss = {name: process.memory_info().rss / _MIB for name, process in watched.items()}
        base = plain.memory_info().rss / _MIB
        adds, theirs = rss["tap"] - base, rss["debugpy"] - base
        name = f"{version} {kind}:"
        figures = [
            Figure(f"{name} tap / debugpy, memory added", adds / theirs, "ratio"),
            Figure(f"{name} process alone, RSS", base, "MiB"),
            Figure(f"{name} tap adds, RSS", adds, "MiB"),
            Figure(f"{name} debugpy.listen() adds, RSS", theirs, "MiB"),
            Figure(f"{name} process with tap, CPU", cpu["tap"], "percent"),
        ]
        if kind == "bare":
            figures += [
                Figure(f"{name} sidecar, RSS", rss["sidecar"], "MiB"),
                Figure(f"{name} debugpy's adapter, RSS", rss["adapter"], "MiB"),
                Figure(f"{name} sidecar, CPU", cpu["sidecar"], "percent"),
                Figure(f"{name} process under debugpy.listen(), CPU", cpu["debugpy"], "percent"),
            ]
        return figures
