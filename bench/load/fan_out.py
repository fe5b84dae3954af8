"""One publisher and many viewers: what the `relay` comparison has its servers carry."""

import asyncio
import random
import time
from typing import Any, Literal

import msgspec

from bench.load.line import serve
from bench.load.messages import MARK, Source, agent_address, presence
from bench.load.mqtt import Client, Door, login, packet
from bench.load.websocket import Gate, Tally, Viewer
from bench.machine import open_many_files
from sonde_wire import topics

SOURCE_WINDOW = 0.005
"""Seconds that a sidecar collects events for one message."""
AT_ONCE = 64
_PATIENCE = 1.0
_NUDGE_EVERY = 0.005
_NUDGES = "load/nudges"
"""Nobody subscribes to it. Mosquitto 2.0's WebSocket listener can sit on what it has until something else happens to it."""
Kind = Literal["batches", "events"]
"""How events are published: as sidecars batch them, or one message an event."""


class _Line:
    """The way into one server and out of it."""

    def __init__(self, topic: str, publisher: Client, sources: list[Source], gate: Gate, wish: str) -> None:
        self.publisher = publisher
        self.topic = topic
        self.sources = sources
        self.gate = gate
        self.wish = wish
        self.tally = Tally()
        self.viewers: list[Viewer] = []


class FanOut:
    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    async def open(
        self, server: str, door: dict[str, Any], gate: dict[str, Any], topic: str, wish: str, processes: int
    ) -> None:
        """A publisher for a server. An empty `topic`: that of Sonde's process; else all is published on it."""
        publisher = Client()
        where = msgspec.convert(door, Door)
        await publisher.come(where, login(where, f"publisher-{server.replace(' ', '-')}"))
        addresses = [agent_address(number) for number in range(processes)]
        sources = [Source(address, 256) for address in addresses]
        line = self._lines[server] = _Line(topic, publisher, sources, msgspec.convert(gate, Gate), wish)
        if not topic:
            line.topic = topics.of_process(addresses[0], topics.Channel.EVENTS)
            await publisher.publish_retained(
                topics.of_process(addresses[0], topics.Channel.PRESENCE), presence(addresses[0])
            )

    async def join(self, server: str, viewers: int) -> None:
        """Makes it so many viewers."""
        line = self._lines[server]
        while len(line.viewers) < viewers:
            count = min(AT_ONCE, viewers - len(line.viewers))
            line.viewers += await asyncio.gather(*(self._viewer(line) for _ in range(count)))

    async def leave(self, server: str) -> None:
        line = self._lines[server]
        for viewer in line.viewers:
            viewer.leave()
        await asyncio.gather(*(viewer.lost for viewer in line.viewers))
        line.viewers.clear()

    async def _viewer(self, line: _Line) -> Viewer:
        viewer = Viewer(line.gate, MARK, line.tally)
        await viewer.come()
        await viewer.want(line.wish)
        return viewer

    async def steady(self, server: str, kind: Kind, size: int, rate: int, events: int) -> dict[str, float]:
        """So many events, `rate` a second: singly as they come, or together what `SOURCE_WINDOW` brings."""
        line = self._lines[server]
        source = line.sources[0]
        source.resize(size)
        step = SOURCE_WINDOW if kind == "batches" else 1 / rate
        loop = asyncio.get_running_loop()
        told = _Told(line)
        began, steps = loop.time(), 0
        while told.events < events:
            due = min(events, int((loop.time() - began) * rate) + 1)
            if due > told.events:
                told.publish(source, kind, due - told.events)
            steps += 1
            await asyncio.sleep(max(0.0, began + steps * step - loop.time()))
        return await told.arrived()

    async def spread(self, server: str, size: int, rate: int, events: int) -> dict[str, float]:
        """As `steady`, but each event comes from another process, so that no source has anything to batch."""
        line = self._lines[server]
        for source in line.sources:
            source.resize(size)
        loop = asyncio.get_running_loop()
        told = _Told(line)
        began = loop.time()
        while told.events < events:
            due = min(events, int((loop.time() - began) * rate) + 1)
            while told.events < due:
                number = told.events % len(line.sources)
                topic = topics.of_process(agent_address(number), topics.Channel.EVENTS)
                told.publish_to(topic, line.sources[number].batch(1), 1)
            await asyncio.sleep(max(0.0, began + told.events / rate - loop.time()))
        return await told.arrived()

    async def burst(
        self, server: str, kind: Kind, size: int, batch: int, outstanding: int, seconds: float
    ) -> dict[str, float]:
        """As many events as the server takes, with at most `outstanding` under way to each viewer."""
        line = self._lines[server]
        source = line.sources[0]
        source.resize(size)
        told = _Told(line)
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            told.publish(source, kind, batch)
            if not await told.under_way_below(outstanding):
                break
        return await told.arrived()

    async def latency(self, server: str, kind: Kind, size: int, rate: float, events: int) -> list[float]:
        """Seconds from publishing to the arrival at each viewer, one event under way at a time."""
        line = self._lines[server]
        source = line.sources[0]
        source.resize(size)
        tally = line.tally
        tally.took = []
        told = _Told(line)
        for _ in range(events):
            tally.sent = time.perf_counter()
            told.publish(source, kind, 1)
            await told.under_way_below(0)
            # around the rate, so that no timer of the server keeps step with it
            await asyncio.sleep(random.uniform(0.5, 1.5) / rate)  # noqa: S311 - no secret
        tally.sent = None
        return tally.took


class _Told:
    """What one run has published, and how much of it has arrived."""

    def __init__(self, line: _Line) -> None:
        self.events = 0
        self._line = line
        self._before = line.tally.total
        self._began = time.perf_counter()
        self._busy = time.process_time()

    def publish(self, source: Source, kind: Kind, count: int) -> None:
        if kind == "batches":
            self.publish_to(self._line.topic, source.batch(count), count)
            return
        topic = self._line.topic
        self._line.publisher.publish_packets(b"".join(packet(topic, each) for each in source.events(count)))
        self.events += count

    def publish_to(self, topic: str, payload: bytes, count: int) -> None:
        self._line.publisher.publish(topic, payload)
        self.events += count

    async def under_way_below(self, outstanding: int) -> bool:
        """False: nothing arrives any more, so something was lost."""
        tally = self._line.tally
        wanted = self._before + (self.events - outstanding) * len(self._line.viewers)
        seen, since = tally.total, time.perf_counter()
        while not await tally.reach(wanted, _NUDGE_EVERY):
            if tally.total != seen:
                seen, since = tally.total, time.perf_counter()
            elif time.perf_counter() - since > _PATIENCE:
                return False
            if self._line.gate.speech == "mqtt":
                self._line.publisher.publish(_NUDGES, b"")
        return True

    async def arrived(self) -> dict[str, float]:
        await self.under_way_below(0)
        wall = time.perf_counter() - self._began
        return {
            "published": self.events,
            "delivered": self._line.tally.total - self._before,
            "expected": self.events * len(self._line.viewers),
            "wall": wall,
            "load": (time.process_time() - self._busy) / wall,
        }


async def _main() -> None:
    open_many_files()
    await serve(FanOut())


if __name__ == "__main__":
    asyncio.run(_main())
