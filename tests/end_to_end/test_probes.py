"""Probes across a fleet: wherever they are meant, whenever that starts, and nowhere once they are removed or over."""

import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import sonde_agent
import sonde_expressions
from sonde_viewer import Viewer
from sonde_wire import bus, codec, rpc
from sonde_wire.probes import LinePlace, Log, ProbeSpec, Snapshot, Target
from tests.broker import viewer as by_hand
from tests.broker.viewer import items
from tests.support.debuggee import Program, Running, interpreters, running
from tests.support.site import Site, appeared, site

SELLS = """
    import sys
    import time
    import sonde_agent

    def sell(count):
        price = count * 2
        return price  # sold

    sonde_agent.start(service="shop")
    count = 0
    while True:
        count += 1
        sell(count)
        print("sold", count, flush=True)
        time.sleep(0.05)
"""
FORKS = """
    import os
    import sys
    import threading
    import time

    def sell(count):
        return count  # sold

    def sells():
        for count in range(10**9):
            sell(count)
            time.sleep(0.05)

    threading.Thread(target=sells, daemon=True).start()
    sys.stdin.readline()
    if os.fork() == 0:
        sells()
    else:
        time.sleep(10**6)
"""
FLEET = 20
PACKAGES = os.pathsep.join(
    str(Path(str(each.__file__)).parents[1]) for each in (sonde_agent, sonde_expressions)
)
"""Where a program on another interpreter finds its tap."""


def newest() -> str:
    """Most processes of these tests run on it."""
    return interpreters()[max(interpreters())]


class Hand:
    """A viewer by hand: it keeps everything that it is told."""

    def __init__(self, viewer: by_hand.Viewer) -> None:
        self._viewer = viewer

    async def add(self, program: Program, kind: Any = None, **more: Any) -> str:
        place = LinePlace(path=program.path.name, line=program.line("sold"))
        spec = ProbeSpec(kind=kind or Log(template="count {count}"), place=place, **more)
        added = await self._viewer.result("probe.add", probe=codec.decode_any(codec.encode(spec)))
        return str(added["probe"]["id"])

    async def remove(self, probe: str) -> None:
        await self._viewer.result("probe.remove", probe=probe)

    async def subscribe(self, *topics: str) -> None:
        await self._viewer.result("subscribe", topics=list(topics))

    async def info(self, probe: str, wanted: Callable[[rpc.ProbeInfo], bool]) -> rpc.ProbeInfo:
        """The newest state of a probe, as soon as it is as wanted."""

        def look(told: list[by_hand.Message]) -> rpc.ProbeInfo | None:
            found = [each for each in items(told, "probes") if each["probe"]["id"] == probe]
            info = codec.decode(codec.encode(found[-1]), rpc.ProbeInfo) if found else None
            return info if info is not None and wanted(info) else None

        return await self._viewer.until(look)  # type: ignore[no-any-return] # as above

    async def installed(self, probe: str, count: int) -> rpc.ProbeInfo:
        """On so many of so many."""
        return await self.info(
            probe, lambda info: (info.totals.installed, info.totals.processes) == (count, count)
        )

    def events(self, probe: str | None = None) -> list[by_hand.Message]:
        told = items(self._viewer.told, "events")
        return [each for each in told if probe is None or each.get("probe") == probe]

    async def heard(self, probe: str, count: int, after: float = 0.0) -> list[by_hand.Message]:
        """What a probe brought, as soon as it is from so many processes; only what happened `after`."""

        def look(_: list[by_hand.Message]) -> list[by_hand.Message] | None:
            found = [each for each in self.events(probe) if each["time"] > after]
            return found if len({each["process"] for each in found}) >= count else None

        return await self._viewer.until(look)  # type: ignore[no-any-return] # as above

    async def brought(self, probe: str, count: int) -> list[by_hand.Message]:
        """What a probe brought, as soon as it is so much."""
        return await self._viewer.until(  # type: ignore[no-any-return] # as above
            lambda _: found if len(found := self.events(probe)) >= count else None
        )

    def gaps(self) -> list[by_hand.Message]:
        return [each for each in self._viewer.told if each.get("method") == "gap"]


@asynccontextmanager
async def hand(site: Site, token: str | None = None) -> AsyncIterator[Hand]:
    async with by_hand.viewer(site.url, token or site.token) as viewer:
        yield Hand(viewer)


@asynccontextmanager
async def sidecar(site: Site, directory: Path) -> AsyncIterator[Running]:
    """One for all processes, as in a pod; they find it by `joins`."""
    command = (sys.executable, "-m", "sonde_agent.sidecar", "--listen", f"unix:{directory}/s")
    async with running(*command, "--token-file", f"{directory}/token", env=site.environment) as started:
        await started.says('"sidecar"')
        yield started


@asynccontextmanager
async def joins(site: Site, directory: Path, program: Program, name: str) -> AsyncIterator[Running]:
    environment = site.environment | {
        "SONDE_SIDECAR": f"unix:{directory}/s",
        "SONDE_SIDECAR_TOKEN_FILE": f"{directory}/token",
        "SONDE_INSTANCE": name,
        "PYTHONPATH": PACKAGES,
    }
    async with running(newest(), "-Xfrozen_modules=off", str(program.path), env=environment) as started:
        yield started


async def test_a_probe_is_set_on_a_process_brings_what_it_sees_and_is_taken_away(
    here: Site, viewer: Viewer, tmp_path: Path, python: str
) -> None:
    program = Program.write(tmp_path, SELLS)
    async with here.run(program, service="shop", python=python) as running, hand(here) as ada:
        await appeared(viewer, "shop")
        await ada.subscribe("probes", "events")
        probe = await ada.add(program, Snapshot(expressions=("price + 1",)), max_hits=2, rate=1000, burst=2)
        info = await ada.info(probe, lambda info: info.totals.expired == 1)
        assert info.totals.hits == 2
        brought = await ada.brought(probe, 2)
        first, second = (codec.decode(codec.encode(each), bus.SnapshotTaken) for each in brought)
        frame = first.captured.frames[0]
        assert (frame.function, frame.line) == ("sell", program.line("sold"))
        values = {name: value.value for name, value in frame.locals or ()}
        assert int(values["price"] or 0) == 2 * int(values["count"] or 0)
        assert second.hit == 2
        read = await ada._viewer.result("snapshot.read", snapshot=bus.snapshot_id(first))
        assert codec.decode(codec.encode(read), bus.SnapshotTaken) == first
        results = await ada._viewer.result("probe.results", probe=probe)
        assert [each["hit"] for each in results["events"]] == [1, 2]
        await ada.remove(probe)
        await ada.info(probe, lambda info: info.state == "removed")
        await running.says("sold")


async def test_a_child_that_is_forked_while_a_probe_is_set_has_it_too(
    here: Site, viewer: Viewer, tmp_path: Path, python: str
) -> None:
    program = Program.write(tmp_path, FORKS)
    async with here.run(program, service="shop", python=python) as running, hand(here) as ada:
        await appeared(viewer, "shop")
        await ada.subscribe("probes", "events")
        probe = await ada.add(program, max_hits=1_000_000, rate=20)
        await ada.heard(probe, 1)
        await running.hears("fork")
        await appeared(viewer, "shop", 2)
        await ada.installed(probe, 2)
        await ada.heard(probe, 2)


async def test_a_fleet_has_the_probe_everywhere_its_canaries_and_who_comes_later(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, SELLS)
    async with AsyncExitStack() as stack, hand(here) as ada:
        await stack.enter_async_context(sidecar(here, tmp_path))
        fleet = {
            f"default/shop/pod-{number}": await stack.enter_async_context(
                joins(here, tmp_path, program, f"pod-{number}")
            )
            for number in range(FLEET)
        }
        await ada.subscribe("probes", "events")
        await appeared(viewer, "shop", FLEET)
        everywhere = await ada.add(program, max_hits=1)
        few = await ada.add(program, target=Target(selector="*/shop/*", canaries=3), max_hits=1000)

        await ada.info(everywhere, lambda info: info.totals.expired == FLEET)
        assert {each["process"] for each in await ada.heard(everywhere, FLEET)} == fleet.keys()
        before = set((await ada.installed(few, 3)).probe.chosen or ())
        assert {each["process"] for each in await ada.heard(few, 3)} == before

        late = await ada.add(program, max_hits=1_000_000, rate=1)
        await ada.installed(late, FLEET)
        await stack.enter_async_context(joins(here, tmp_path, program, "late"))
        await ada.installed(late, FLEET + 1)
        assert "default/shop/late" in {each["process"] for each in await ada.heard(late, FLEET + 1)}

        victim = min(before)
        os.kill(fleet[victim].process.pid, signal.SIGKILL)
        after = await ada.info(
            few, lambda info: victim not in (info.probe.chosen or ()) and info.totals.installed == 3
        )
        assert before - {victim} < set(after.probe.chosen or ())
        assert after.totals.processes == 3
        await ada.heard(few, 4)


async def test_a_probe_that_is_removed_while_a_sidecar_is_away_is_dropped_when_it_is_back(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, SELLS)
    async with AsyncExitStack() as stack, hand(here) as ada:
        first = await stack.enter_async_context(sidecar(here, tmp_path))
        await stack.enter_async_context(joins(here, tmp_path, program, "pod"))
        await appeared(viewer, "shop")
        await ada.subscribe("probes", "events", "presence")
        gone = await ada.add(program, max_hits=100_000)
        await ada.heard(gone, 1)
        first.process.kill()
        await first.process.wait()
        await ada.remove(gone)
        await stack.enter_async_context(sidecar(here, tmp_path))
        stays = await ada.add(program, max_hits=100_000)
        came = (await ada.heard(stays, 1))[0]["time"]
        await ada.heard(stays, 1, after=came + 0.5)
        assert not [each for each in ada.events(gone) if each["time"] > came + 0.25]


async def test_without_a_broker_probes_end_in_time_and_live_on_and_it_knows_them_when_it_is_back(
    tmp_path: Path,
) -> None:
    program = Program.write(tmp_path, SELLS)
    async with AsyncExitStack() as stack:
        async with site(tmp_path) as first, first.viewer() as viewer, hand(first) as ada:
            await stack.enter_async_context(sidecar(first, tmp_path))
            sold = await stack.enter_async_context(joins(first, tmp_path, program, "pod"))
            await appeared(viewer, "shop")
            await ada.subscribe("probes", "events")
            stays = await ada.add(program, max_hits=100_000)
            short = await ada.add(program, max_hits=100_000, ttl=2)
            await ada.installed(stays, 1)
            expires = (await ada.installed(short, 1)).probe.expires
            first.broker.process.terminate()
            await first.broker.process.wait()
        while time.time() < expires + 0.5:
            await sold.says("sold")
        async with site(tmp_path) as second, hand(second) as ada:
            await ada.subscribe("probes", "events")
            info = await ada.installed(stays, 1)
            assert info.totals.hits > 0
            listed = await ada._viewer.result("probe.list")
            assert [each["probe"]["id"] for each in listed["probes"]] == [stays]
            await ada.heard(stays, 1, after=expires + 0.5)
            assert not [each for each in ada.events(short) if each["time"] > expires + 0.5]


async def test_who_may_only_observe_is_told_that_there_are_probes_and_no_values(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, SELLS)
    observer = here.issue("--sub", "eve", "--scope", "observe", "--processes", "*")
    async with (
        here.run(program, service="shop", python=newest()) as started,
        hand(here) as ada,
        hand(here, observer) as eve,
    ):
        (process,) = await appeared(viewer, "shop")
        for each in (ada, eve):
            await each.subscribe("probes", "events")
        probe = await ada.add(program, max_hits=3)
        await ada.info(probe, lambda info: info.totals.expired == 1)
        assert (await eve.info(probe, lambda info: info.totals.expired == 1)).totals.hits == 3
        assert [each["type"] for each in await ada.brought(probe, 3)] == ["probe_logged"] * 3
        os.kill(process.pid, signal.SIGKILL)
        await started.ended()
        ended = await eve._viewer.until(
            lambda told: [each for each in items(told, "events") if each["type"] == "process_ended"]
        )
        assert ended[0]["seq"] > 3
        assert {each["type"] for each in eve.events()} <= {"process_started", "process_ended"}
        assert eve.gaps() == []
        assert await eve._viewer.reason("probe.results", probe=probe) == "missing_scope"
