"""What an idle process pays: memory and CPU of the tap inside it and of the sidecar beside it.

The peers are the same program without anything, and under `debugpy.listen()` with its adapter process.
"""

import asyncio
import sys
from contextlib import AsyncExitStack

import psutil

from bench.report import Figure, Report
from bench.site import fresh_site, program
from tests.support.debuggee import running
from tests.support.site import appeared

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
    waits = str(program("waits.py").path)
    run = (sys.executable, "-m", "sonde_agent", "run", "--service", "waits", "--", waits)
    async with fresh_site() as site, AsyncExitStack() as stack:
        viewer = await stack.enter_async_context(site.viewer())
        env = site.environment
        bare = await stack.enter_async_context(running(sys.executable, waits, env=env))
        listening = await stack.enter_async_context(running(sys.executable, waits, "listen", env=env))
        tapped = await stack.enter_async_context(running(*run, env=env))
        for process in (bare, listening, tapped):
            await process.says("ready")
        (presence,) = await appeared(viewer, "waits")

        plain = psutil.Process(bare.process.pid)
        application = psutil.Process(presence.pid)
        sidecar = psutil.Process(tapped.process.pid)
        peer = psutil.Process(listening.process.pid)
        adapter = _adapter_of(peer)
        watched = {"tap": application, "sidecar": sidecar, "debugpy": peer, "adapter": adapter}
        before = {name: _busy(process) for name, process in watched.items()}
        await asyncio.sleep(_SECONDS)
        cpu = {name: (_busy(process) - before[name]) / _SECONDS * 100 for name, process in watched.items()}
        base = plain.memory_info().rss
        rss = {name: process.memory_info().rss / _MIB for name, process in watched.items()}
        base_mib = base / _MIB
        return Report(
            "an idle process",
            "debugpy.listen() with its adapter",
            (
                Figure(
                    "tap / debugpy, memory added to the process",
                    (rss["tap"] - base_mib) / (rss["debugpy"] - base_mib),
                    "ratio",
                ),
                Figure("process alone, RSS", base_mib, "MiB"),
                Figure("tap adds, RSS", rss["tap"] - base_mib, "MiB"),
                Figure("sidecar, RSS", rss["sidecar"], "MiB"),
                Figure("debugpy.listen() adds, RSS", rss["debugpy"] - base_mib, "MiB"),
                Figure("its adapter, RSS", rss["adapter"], "MiB"),
                Figure("process with tap, CPU", cpu["tap"], "percent"),
                Figure("sidecar, CPU", cpu["sidecar"], "percent"),
                Figure("process under debugpy.listen(), CPU", cpu["debugpy"], "percent"),
                Figure("its adapter, CPU", cpu["adapter"], "percent"),
            ),
        )
