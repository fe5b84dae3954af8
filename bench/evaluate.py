"""What the whole path adds to an evaluate: viewer, broker, bus, sidecar, pydevd and back, beside a DAP client
that stands on pydevd's own socket. Two processes stopped at the same line, requests interleaved."""

import asyncio
import sys
import time

from bench.dap import Client
from bench.report import Figure, Report, median, percentile
from bench.site import fresh_site, program
from tests.support.debuggee import running
from tests.support.site import appeared

_ROUNDS = 300
_PACE = 0.015
"""Seconds between rounds: a broker takes so many calls a second from one viewer, and this is not about that."""


async def measure() -> Report:
    stops, straight_program = program("stops.py"), program("stops_straight.py")
    connected: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(
        lambda reader, writer: connected.set_result(Client(reader, writer)), "127.0.0.1", 0, limit=2**24
    )
    port = server.sockets[0].getsockname()[1]
    command = (sys.executable, str(straight_program.path), str(port))
    async with (
        fresh_site() as site,
        site.viewer() as viewer,
        site.run(stops, service="stops"),
        running(*command, env=site.environment),
    ):
        async with asyncio.timeout(30):
            straight = await connected
        await straight.request("initialize", adapterID="bench", pathFormat="path")
        await straight.request("attach", justMyCode=False, stopAllThreadsOnSuspend=False, subProcess=False)
        source = {"path": str(stops.path)}
        breakpoints = [{"line": stops.line("stop here")}]
        await straight.request("setBreakpoints", source=source, breakpoints=breakpoints)
        await straight.request("configurationDone")
        stopped = await straight.event("stopped")
        stack = await straight.request("stackTrace", threadId=stopped["threadId"])
        near = stack["body"]["stackFrames"][0]["id"]

        (presence,) = await appeared(viewer, "stops")
        async with viewer.debug(presence.process) as session:
            await session.set_breakpoints(str(stops.path), [stops.line("stop here")])
            await session.stopped()
            far = (await session.stack())[0]["id"]
            taken: dict[str, list[float]] = {"straight": [], "whole path": []}
            for _ in range(_ROUNDS):
                began = time.perf_counter()
                await straight.request("evaluate", expression="count + 1", frameId=near, context="watch")
                between = time.perf_counter()
                await session.evaluate("count + 1", frame=far)
                taken["straight"].append((between - began) * 1000)
                taken["whole path"].append((time.perf_counter() - between) * 1000)
                await asyncio.sleep(_PACE)
        server.close()
    near_ms, far_ms = taken["straight"], taken["whole path"]
    return Report(
        "evaluate in a stopped frame",
        "DAP straight to pydevd, with TCP_NODELAY",
        (
            Figure("whole path / straight, p50", median(far_ms) / median(near_ms), "ratio"),
            Figure("whole path, p50", median(far_ms), "ms"),
            Figure("whole path, p99", percentile(far_ms, 0.99), "ms"),
            Figure("straight, p50", median(near_ms), "ms"),
            Figure("straight, p99", percentile(near_ms, 0.99), "ms"),
            Figure("added, p50", median(far_ms) - median(near_ms), "ms"),
            Figure("added, p99", percentile(far_ms, 0.99) - percentile(near_ms, 0.99), "ms"),
        ),
    )
