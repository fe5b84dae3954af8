"""Agents by the thousand and viewers that read: what `fleet` and `reconnect` have their servers carry.

An agent does on the bus what a sidecar does: a last will, its subscriptions, presence retained once it is there, metrics
each second, and after a loss it comes back with full jitter. A viewer asks for presence and metrics, or for presence only.
"""

import asyncio
import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from bench.load.line import serve
from bench.load.messages import agent_address, boot_of, metrics, presence
from bench.load.mqtt import Client, Door, login
from bench.load.websocket import Gate, Tally, Viewer
from bench.machine import open_many_files
from sonde_broker.bus.packets import Will
from sonde_wire import topics
from sonde_wire.topics import Channel

AT_ONCE = 64
_HEARD = (Channel.COMMANDS, *(each for each in Channel if each.value == "stored"))
_TICK = 0.005
_PATIENCE = 30.0
_COMPLETE_WITHIN = 120.0
_BACKOFF_FIRST, _BACKOFF_MOST = 0.1, 10.0
"""As `sonde_wire.mqtt` waits between attempts."""


class Agent:
    """One process's line to the bus, for as long as the load lives."""

    def __init__(self, number: int, door: Door) -> None:
        self.address = agent_address(number)
        self.back = 0.0
        """When its presence was on the bus for the last time (wall time)."""
        self._changed = asyncio.Event()
        self._door = door
        self._client: Client | None = None
        self._metrics = topics.of_process(self.address, Channel.METRICS)

    async def come(self) -> None:
        client = Client()
        place = topics.of_process(self.address, Channel.PRESENCE)
        will = Will(topic=place, payload=presence(self.address, "lost"), qos=1, retain=True)
        await client.come(self._door, login(self._door, f"sonde-{boot_of(self.address)[:16]}", will))
        heard = (topics.of_process(self.address, channel) for channel in _HEARD)
        await client.subscribe(*heard, topics.all_brokers())
        await client.publish_retained(place, presence(self.address))
        await client.subscribe(topics.all_probes(), qos=1)
        self._client = client
        self.back = time.time()
        self._changed.set()

    async def stay(self) -> None:
        """Until cancelled: whenever the line is lost, it is made again."""
        while True:
            if self._client is not None:
                await asyncio.shield(self._client.lost)
                self._client = None
            await _with_jitter(self.come)

    async def is_back(self, since: float) -> None:
        while self.back < since:
            self._changed.clear()
            await self._changed.wait()

    def tell_metrics(self) -> bool:
        if self._client is None or self._client.lost.done():
            return False
        self._client.publish(self._metrics, metrics(self.address))
        return True


class Watcher:
    """A viewer, for as long as the load lives."""

    def __init__(self, gate: Gate, mark: bytes, wishes: tuple[str, ...], wanted: tuple[str, ...]) -> None:
        self.back = 0.0
        """When it had heard of all processes for the last time (wall time)."""
        self._changed = asyncio.Event()
        self._gate = gate
        self._mark = mark
        self._wishes = wishes
        self._wanted = wanted
        self.tally = Tally()
        self.viewer: Viewer | None = None

    async def come(self) -> None:
        self.tally = Tally()
        viewer = Viewer(self._gate, self._mark, self.tally)
        await viewer.come()
        await viewer.want(*self._wishes, topics=self._wanted)
        self.viewer = viewer

    async def stay(self, processes: int) -> None:
        """Until cancelled: whenever the line is lost, it is made again, and `processes` are waited for."""
        while True:
            if self.viewer is not None:
                await asyncio.shield(self.viewer.lost)
                self.viewer = None
            await _with_jitter(self.come)
            if await self.tally.reach(processes, _COMPLETE_WITHIN):
                self.back = time.time()
                self._changed.set()

    async def is_back(self, since: float) -> None:
        while self.back < since:
            self._changed.clear()
            await self._changed.wait()

    def leave(self) -> None:
        if self.viewer is not None:
            self.viewer.leave()


async def _with_jitter(come: Callable[[], Awaitable[None]]) -> None:
    """Until it has come."""
    ceiling = _BACKOFF_FIRST
    while True:
        await asyncio.sleep(random.uniform(0, ceiling))  # noqa: S311 - jitter, no secret
        ceiling = min(_BACKOFF_MOST, ceiling * 2)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await come()
            return


class Fleet:
    """All by the server's name."""

    def __init__(self) -> None:
        self._agents: dict[str, list[Agent]] = defaultdict(list)
        self._watchers: dict[str, list[Watcher]] = defaultdict(list)
        self._told: dict[str, int] = defaultdict(int)
        self._tasks: dict[str, list[asyncio.Task[None]]] = defaultdict(list)

    async def agents(self, server: str, door: dict[str, Any], count: int) -> None:
        """Makes it so many, and returns when the presence of each is on the bus."""
        there = self._agents[server]
        while len(there) < count:
            news = [
                Agent(len(there) + number, msgspec.convert(door, Door))
                for number in range(min(AT_ONCE, count - len(there)))
            ]
            await asyncio.gather(*(each.come() for each in news))
            there += news

    async def watch(
        self, server: str, gate: dict[str, Any], count: int, wishes: list[str], wanted: list[str], mark: str
    ) -> None:
        """So many viewers more, which count what has `mark`."""
        where = msgspec.convert(gate, Gate)
        news = [Watcher(where, mark.encode(), tuple(wishes), tuple(wanted)) for _ in range(count)]
        for start in range(0, count, AT_ONCE):
            await asyncio.gather(*(each.come() for each in news[start : start + AT_ONCE]))
        self._watchers[server] += news

    async def unwatch(self, server: str) -> None:
        for watcher in self._watchers.pop(server, []):
            watcher.leave()

    async def tell(self, server: str) -> None:
        """Every agent tells its metrics, each second from now on, evenly over the second."""
        self._tasks[server].append(asyncio.create_task(self._tell(server), name=f"metrics {server}"))

    async def quiet(self, server: str) -> None:
        tasks = self._tasks.pop(server, [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def counts(self, server: str) -> dict[str, float]:
        return {
            "told": self._told[server],
            "heard": sum(each.tally.total for each in self._watchers[server]),
            "busy": time.process_time(),
        }

    async def stay(self, server: str) -> None:
        """From now on agents and viewers come back when they are cut off, and it is noted when."""
        processes = len(self._agents[server])
        staying: list[Coroutine[Any, Any, None]] = [each.stay() for each in self._agents[server]]
        staying += [each.stay(processes) for each in self._watchers[server]]
        self._tasks[server] += [asyncio.create_task(each, name=f"stays at {server}") for each in staying]

    async def back(self, server: str, since: float, within: float) -> dict[str, Any]:
        """Seconds after `since` (wall time) at which each was back, those who were within `within` from now; and how
        busy the load was meanwhile."""
        began, busy = time.time(), time.process_time()
        agents, viewers = self._agents[server], self._watchers[server]
        everybody: list[Agent | Watcher] = [*agents, *viewers]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                for each in everybody:
                    await each.is_back(since)
        return {
            "load": (time.process_time() - busy) / (time.time() - began),
            "agents": [each.back - since for each in agents if each.back > since],
            "viewers": [each.back - since for each in viewers if each.back > since],
        }

    async def _tell(self, server: str) -> None:
        there = self._agents[server]
        loop = asyncio.get_running_loop()
        began, told = loop.time(), 0
        while True:
            due = int((loop.time() - began) * len(there))
            while told < due:
                self._told[server] += there[told % len(there)].tell_metrics()
                told += 1
            await asyncio.sleep(_TICK)


async def _main() -> None:
    open_many_files()
    await serve(Fleet())


if __name__ == "__main__":
    asyncio.run(_main())
