"""Everybody is cut off at once: the server is killed and started again, and all agents and viewers come back.

An agent is back when its presence is on the bus again, a viewer when it has been told of every process. The peer is
Mosquitto with the same agents, and as many subscribers to their presence by WebSocket. Nothing is kept over the kill by
either: the agents bring it back.
"""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import msgspec

from bench import servers
from bench.load.line import Load, started
from bench.load.messages import PRESENCE_MARK
from bench.machine import open_many_files
from bench.report import Figure, Report, percentile
from bench.servers import Server, sonde
from sonde_viewer import ConnectionLost, connect

AGENTS, VIEWERS = 1000, 1000
_WITHIN = 60.0
_LEFT_WITHIN, _LOOK_AGAIN = 10.0, 0.1

Start = Callable[[str], AbstractAsyncContextManager[Server]]
"""With the token of the viewers that there are already."""


async def measure() -> Report:
    open_many_files()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as directory:
        web, mqtt = servers.free_ports()
        listen = ("--listen", f"127.0.0.1:{web}", "--bus-listen", f"127.0.0.1:{mqtt}")
        place = Path(directory)
        figures += await _measure(
            "sonde", lambda token: sonde("sonde", *listen, directory=place, token=token)
        )
    ports = servers.free_ports()
    figures += await _measure("mosquitto", lambda _: servers.mosquitto(ports=ports))
    title = f"{AGENTS} agents and {VIEWERS} viewers cut off at once"
    return Report(title, "mosquitto with as many subscribers", tuple(figures))


async def _measure(name: str, start: Start) -> list[Figure]:
    async with AsyncExitStack() as stack:
        load = await stack.enter_async_context(started("fleet"))
        async with start("") as first:
            await load.call("agents", server=name, door=msgspec.to_builtins(first.door), count=AGENTS)
            await _watch(load, first)
            await load.call("stay", server=name)
            killed = time.time()
            for pid in first.pids:
                os.kill(pid, signal.SIGKILL)
        second = await stack.enter_async_context(start(first.gate.token))
        ready, begun = time.time() - killed, second.busy()
        back = await load.call("back", server=name, since=killed, within=_WITHIN)
        busy = second.busy()
        servers.note(f"{name}: the load's core {back['load']:.0%} busy meanwhile")
        figures = [
            Figure(f"{name}: ready again after the kill", ready, "s"),
            Figure(f"{name}: CPU from ready until all are back", busy - begun, "CPU s"),
            Figure(f"{name}: CPU from the start until all are back", busy, "CPU s"),
        ]
        for who, expected in (("agents", AGENTS), ("viewers", VIEWERS)):
            took = back[who]
            figures.append(Figure(f"{name}: {who} back", len(took) / expected * 100, "percent"))
            if took:
                figures += [
                    Figure(f"{name}: {who} back, p50", percentile(took, 0.5), "s"),
                    Figure(f"{name}: {who} back, p99", percentile(took, 0.99), "s"),
                    Figure(f"{name}: {who} back, all", max(took), "s"),
                ]
        await load.call("quiet", server=name)
        await load.call("unwatch", server=name)
        if second.gate.speech == "sonde":
            listed = await _listed(second)
            figures.append(Figure(f"{name}: processes online in process.list", listed, "of them"))
        return figures


async def _watch(load: Load, server: Server) -> None:
    await load.call(
        "watch",
        server=server.name,
        gate=msgspec.to_builtins(server.gate),
        count=VIEWERS,
        wishes=["*/*/*"] if server.gate.speech == "sonde" else ["sonde/v1/process/#"],
        wanted=["presence"],
        mark=PRESENCE_MARK.decode(),
    )


async def _listed(server: Server) -> int:
    """By a viewer more than the broker takes: once it has noticed that the others are gone."""
    async with asyncio.timeout(_LEFT_WITHIN):
        while True:
            try:
                async with connect(
                    f"http://{server.gate.host}:{server.gate.port}", server.gate.token
                ) as viewer:
                    return sum(each.state == "online" for each in await viewer.processes())
            except ConnectionLost:
                await asyncio.sleep(_LOOK_AGAIN)
