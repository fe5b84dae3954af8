"""What it costs a server to bring events from a publisher to viewers, and how long an event takes.

The same publisher sends the same events into each by MQTT; viewers read by WebSocket. The servers share one core, the
load has another, and what counts is the servers' CPU time: rounds are interleaved, figures are medians. Of the peers, one
message an event is what a plain MQTT program does, and what the goals are measured by; `batched` gives them our sidecars'
batches, which their subscribers would have to take apart.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import msgspec

from bench import servers
from bench.load.fan_out import Kind
from bench.load.line import Load, started
from bench.machine import open_many_files
from bench.report import Figure, Report, median, percentile
from bench.servers import Server

VIEWERS = (1, 10, 100, 500)
SIZES = (256, 4096)
RATE = 1000
ROUNDS = 3
_STEADY_EVENTS = 700
_STEADY_DELIVERIES = 200_000
"""Of one round at most: a server that writes each event to each of 500 viewers is behind anyway."""
_STEADY_BYTES = 410_000_000
"""A second, to all viewers together: what the load can read beside another's work on its core."""
_BURST_SECONDS = 0.35
_BURST_EVENTS = 200
_BURST_BYTES = 192 * 1024
"""Of one batch, and under way to each viewer: less than our broker takes for a viewer that lags."""
_BURST_UNDER_WAY = 100_000
"""Deliveries."""
_PROCESSES = 100
_THOROUGHLY = 100
_LATENCY_VIEWERS = 10
_LATENCY_RATE = 20.0
_LATENCY_EVENTS = 50
_FORGETS = ("--history", "none")
"""As the peers do; what the history costs is a way of its own."""
_PEER_TOPIC, _PEER_SUBJECT = "load/events", "load.events"


@dataclass(frozen=True)
class _Way:
    """One way through one server."""

    name: str
    server: Server
    kind: Kind
    always: bool = True
    """Else only with `_THOROUGHLY` viewers."""


async def measure() -> Report:
    open_many_files()
    async with AsyncExitStack() as stack:
        load = await stack.enter_async_context(started("fan_out"))
        ways = await _ways(stack, load)
        figures: list[Figure] = []
        for viewers in VIEWERS:
            for server in _servers(ways):
                await load.call("join", server=server.name, viewers=viewers)
            chosen = [way for way in ways if way.always or viewers == _THOROUGHLY]
            for size in SIZES:
                figures += await _steady(load, chosen, viewers, size)
                figures += await _burst(load, chosen, viewers, size)
            if viewers == _THOROUGHLY:
                figures += await _spread(load, ways)
            if viewers == _LATENCY_VIEWERS:
                figures += await _latency(load, ways)
    return Report(
        "events from MQTT to WebSocket viewers", "mosquitto and nats-server by themselves", tuple(figures)
    )


async def _ways(stack: AsyncExitStack, load: Load) -> list[_Way]:
    ours = await stack.enter_async_context(servers.sonde("sonde", *_FORGETS))
    ours_over = await stack.enter_async_context(
        servers.sonde("sonde over mosquitto", "--bus", "mosquitto", *_FORGETS)
    )
    remembers = await stack.enter_async_context(servers.sonde("sonde with history"))
    theirs = await stack.enter_async_context(servers.mosquitto())
    ways = [
        _Way("sonde", ours, "batches"),
        _Way("sonde over mosquitto", ours_over, "batches"),
        _Way("sonde with history", remembers, "batches", always=False),
        _Way("mosquitto", theirs, "events"),
        _Way("mosquitto, batched", theirs, "batches", always=False),
    ]
    if servers.nats_is_here() is not None:
        third = await stack.enter_async_context(servers.nats())
        ways += [_Way("nats", third, "events"), _Way("nats, batched", third, "batches", always=False)]
    else:
        servers.note("no figures of NATS: apt-get install nats-server")

    for server in _servers(ways):
        speech = server.gate.speech
        await load.call(
            "open",
            server=server.name,
            door=msgspec.to_builtins(server.door),
            gate=msgspec.to_builtins(server.gate),
            topic="" if speech == "sonde" else _PEER_TOPIC,
            wish={"sonde": "*/*/*", "mqtt": _PEER_TOPIC, "nats": _PEER_SUBJECT}[speech],
            processes=_PROCESSES,
        )
    return ways


def _servers(ways: Sequence[_Way]) -> list[Server]:
    return list({way.server.name: way.server for way in ways}.values())


async def _steady(load: Load, ways: Sequence[_Way], viewers: int, size: int) -> list[Figure]:
    rate = min(RATE, _STEADY_BYTES // (size * viewers))
    events = min(_STEADY_EVENTS, _STEADY_DELIVERIES // viewers, rate)

    async def run(way: _Way) -> Any:
        return await load.call(
            "steady", server=way.server.name, kind=way.kind, size=size, rate=rate, events=events
        )

    costs = await _rounds(ways, run)
    return _figures(
        f"{rate}/s of {_told(size)} to {viewers}", costs, goal=(100, 1.0) if viewers >= 100 else None
    )


async def _spread(load: Load, ways: Sequence[_Way]) -> list[Figure]:
    async def run(way: _Way) -> Any:
        call = "spread" if way.kind == "batches" else "steady"
        extra = {} if way.kind == "batches" else {"kind": way.kind}
        return await load.call(
            call, server=way.server.name, size=256, rate=RATE, events=_STEADY_EVENTS, **extra
        )

    singly = [way for way in ways if way.server.gate.speech == "sonde" or way.kind == "events"]
    costs = await _rounds(singly, run)
    return _figures(f"{RATE}/s of {_told(256)} from {_PROCESSES} processes to 100", costs, goal=(100, 1.0))


async def _burst(load: Load, ways: Sequence[_Way], viewers: int, size: int) -> list[Figure]:
    batch = min(_BURST_EVENTS, _BURST_BYTES // size)
    outstanding = max(0, min(_BURST_BYTES // size, _BURST_UNDER_WAY // viewers) - batch)

    async def run(way: _Way) -> Any:
        return await load.call(
            "burst",
            server=way.server.name,
            kind=way.kind,
            size=size,
            batch=batch,
            outstanding=outstanding,
            seconds=_BURST_SECONDS,
        )

    costs = await _rounds(ways, run)
    return _figures(
        f"burst of {_told(size)} to {viewers}", costs, goal=(100, 20.0) if viewers == 100 else None
    )


async def _rounds(ways: Sequence[_Way], run: Callable[[_Way], Awaitable[Any]]) -> dict[str, float]:
    """Deliveries per CPU second of each way."""
    found: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            before = way.server.busy()
            result = await run(way)
            busy = way.server.busy() - before
            found[way.name].append(result["delivered"] / busy)
            if result["delivered"] != result["expected"]:
                servers.note(f"{way.name}: {result['delivered']:.0f} of {result['expected']:.0f} arrived")
    return {name: median(values) for name, values in found.items()}


def _figures(what: str, costs: dict[str, float], goal: tuple[int, float] | None) -> list[Figure]:
    figures = [Figure(f"{what}: {name}", value, "deliveries/CPU s") for name, value in costs.items()]
    for ours in (name for name in costs if name.startswith("sonde")):
        wanted = f"at least {goal[1]:g}" if goal is not None and ours == "sonde" else ""
        for peer in ("mosquitto", "nats"):
            if peer in costs:
                aim = wanted if peer == "mosquitto" else ""
                figures.append(Figure(f"{what}: {ours} / {peer}", costs[ours] / costs[peer], "ratio", aim))
    return figures


async def _latency(load: Load, ways: Sequence[_Way]) -> list[Figure]:
    singly = [way for way in ways if way.server.gate.speech == "sonde" or way.kind == "events"]
    took: dict[str, list[float]] = {way.name: [] for way in singly}
    for _ in range(ROUNDS):
        for way in singly:
            took[way.name] += await load.call(
                "latency",
                server=way.server.name,
                kind=way.kind,
                size=256,
                rate=_LATENCY_RATE,
                events=_LATENCY_EVENTS,
            )
    figures = []
    for name, each in took.items():
        what = f"{_LATENCY_RATE:g}/s to {_LATENCY_VIEWERS}, publisher to viewer: {name}"
        aim = "under 5" if name == "sonde" else ""
        figures.append(Figure(f"{what}, p50", percentile(each, 0.5) * 1000, "ms", aim))
        figures.append(Figure(f"{what}, p99", percentile(each, 0.99) * 1000, "ms"))
    return figures


def _told(size: int) -> str:
    return f"{size} B" if size < 1024 else f"{size // 1024} KiB"
