"""What a fleet costs a broker: agents with metrics each second, watched by nobody, by one viewer in part, and in whole.

The peer is a plain Mosquitto that takes the same agents, its viewer an MQTT subscriber by WebSocket. CPU is that of the
server's core; rounds are interleaved, figures are medians. Memory is RSS.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import msgspec

from bench import servers
from bench.load.line import Load, started
from bench.load.messages import METRICS_MARK, SERVICES, agent_address
from bench.machine import open_many_files
from bench.report import Figure, Report, median
from bench.servers import Server
from sonde_wire import topics

SOME, MANY = 1000, 5000
VIEWERS = 500
ROUNDS = 3
_SECONDS = 2.0
_SETTLES = 0.5
_FORGOTTEN = 11.0
"""Seconds after which a broker of ours has left the topics that nobody watches any more."""
_KIB = 1024
_PART = f"*/{agent_address(7).service}/*"
_WATCHED = (("none", None), (f"{100 // SERVICES} %", _PART), ("all", "*/*/*"))


async def measure() -> Report:
    open_many_files()
    async with AsyncExitStack() as stack:
        load = await stack.enter_async_context(started("fleet"))
        ours = await stack.enter_async_context(servers.sonde("sonde"))
        both = (ours, await stack.enter_async_context(servers.mosquitto()))
        memory = {(server.name, 0): server.memory() for server in both}
        figures: list[Figure] = []
        for agents, before in ((SOME, 0), (MANY, SOME)):
            if before:
                await asyncio.sleep(_FORGOTTEN)
            for server in both:
                figures.append(await _take_in(load, server, agents, agents - before))
            for watched, selector in _WATCHED:
                figures += await _rounds(load, both, agents, watched, selector)
                if selector is None:
                    memory |= {(server.name, agents): server.memory() for server in both}
        for server in both:
            figures += await _memory(load, server, memory)
    return Report(f"{MANY} agents with metrics each second", "mosquitto by itself", tuple(figures))


async def _take_in(load: Load, server: Server, agents: int, news: int) -> Figure:
    before, began = server.busy(), time.perf_counter()
    await load.call("agents", server=server.name, door=msgspec.to_builtins(server.door), count=agents)
    servers.note(f"{server.name} has {agents} agents after {time.perf_counter() - began:.1f} s")
    each = (server.busy() - before) / news
    return Figure(f"{server.name}: to take in {news} at once, CPU of each", each * 1e6, "us")


async def _rounds(
    load: Load, both: Sequence[Server], agents: int, watched: str, selector: str | None
) -> list[Figure]:
    busy: dict[str, list[float]] = {server.name: [] for server in both}
    arrived: dict[str, list[float]] = {server.name: [] for server in both}
    if selector is not None:
        for server in both:
            await _watch(load, server, 1, selector)
    for _ in range(ROUNDS):
        for server in both:
            await load.call("tell", server=server.name)
            await asyncio.sleep(_SETTLES)
            spent, share = await _round(load, server, agents, selector)
            busy[server.name].append(spent)
            arrived[server.name].append(share)
            await load.call("quiet", server=server.name)
    for server in both:
        await load.call("unwatch", server=server.name)
    figures = []
    for name, spent_each in busy.items():
        what = f"{name}: {agents} agents, {watched} watched"
        figures.append(Figure(f"{what}, CPU for an agent's second", median(spent_each) * 1e6, "us"))
        figures.append(Figure(f"{what}, CPU", median(spent_each) * agents * 100, "percent"))
        if selector is not None:
            figures.append(Figure(f"{what}, told of what is watched", median(arrived[name]) * 100, "percent"))
    ours, theirs = (median(busy[server.name]) for server in both)
    figures.append(
        Figure(f"{agents} agents, {watched} watched: CPU, sonde / mosquitto", ours / theirs, "ratio")
    )
    return figures


async def _round(load: Load, server: Server, agents: int, selector: str | None) -> tuple[float, float]:
    """CPU seconds for each agent and second, and the share that arrived of the metrics that are watched."""
    before, counted, began = server.busy(), await load.call("counts", server=server.name), time.perf_counter()
    await asyncio.sleep(_SECONDS)
    wall, busy = time.perf_counter() - began, server.busy() - before
    now = await load.call("counts", server=server.name)
    told, heard = now["told"] - counted["told"], now["heard"] - counted["heard"]
    loaded = (now["busy"] - counted["busy"]) / wall
    if told < 0.95 * agents * wall:
        servers.note(
            f"{server.name}: {told / wall:.0f} metrics/s are all that the load brought, {loaded:.0%} busy"
        )
    return busy / told, heard / told * (SERVICES if selector == _PART else 1)


async def _memory(load: Load, server: Server, memory: dict[tuple[str, int], float]) -> list[Figure]:
    name = server.name
    agent = (memory[name, MANY] - memory[name, SOME]) / (MANY - SOME)
    before = server.memory()
    await _watch(load, server, VIEWERS, _PART)
    await asyncio.sleep(_SETTLES)
    viewer = (server.memory() - before) / VIEWERS
    await load.call("unwatch", server=name)
    return [
        Figure(f"{name}: empty, RSS", memory[name, 0], "MiB"),
        Figure(f"{name}: {MANY} agents, RSS", memory[name, MANY], "MiB"),
        Figure(f"{name}: an agent, RSS", agent * _KIB, "KiB"),
        Figure(f"{name}: a viewer, RSS", viewer * _KIB, "KiB"),
    ]


async def _watch(load: Load, server: Server, count: int, selector: str) -> None:
    wishes = [selector] if server.gate.speech == "sonde" else list(_filters(selector))
    await load.call(
        "watch",
        server=server.name,
        gate=msgspec.to_builtins(server.gate),
        count=count,
        wishes=wishes,
        wanted=["presence", "metrics"],
        mark=METRICS_MARK.decode(),
    )


def _filters(selector: str) -> tuple[str, ...]:
    """The same in MQTT's words: presence and metrics of all, or of a service."""
    levels = topics.of_process(agent_address(7), topics.Channel.METRICS).split("/")
    levels[-2] = levels[-4] = "+"
    before_namespace = range(3, len(levels) - 4)
    for level in before_namespace:
        levels[level] = "+"
    if selector != _PART:
        levels[-3] = "+"
    return tuple("/".join([*levels[:-1], channel]) for channel in ("presence", "metrics"))
