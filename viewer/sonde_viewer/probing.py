"""What is asked about probes: the half of `Viewer` that looks without stopping."""

from sonde_viewer import calls
from sonde_viewer.following import Following, Results, of_probe
from sonde_viewer.line import Line
from sonde_wire import Selector, bus, rpc
from sonde_wire.probes import ProbeSpec


class Probing(Line):
    """A probe is desired state: every process that it means gets it, also one that starts later, until it expires or
    is removed. Its words are those of `sonde_wire.probes`.

        spec = ProbeSpec(
            kind=Snapshot(expressions=("len(cart.lines)",)),
            place=LinePlace(path="shop/cart.py", line=42),
            target=Target(selector="prod/shop/*"),
            condition="total < 0",
        )
        added = await viewer.add_probe(spec)
        async with viewer.follow_probe(added.probe.id) as results:
            async for event in results:
                print(event)
    """

    async def add_probe(self, spec: ProbeSpec) -> rpc.ProbeInfo:
        """Sets it. Raises `Refused` when the token's scopes or processes do not reach so far (`probes.scope_for`), when
        an expression is not of the safe language, and when there are too many probes."""
        return await self._call("probe.add", rpc.AddProbe(probe=spec), rpc.ProbeInfo)

    async def probes(self, selector: str = "*", *, ended: bool = False) -> list[rpc.ProbeInfo]:
        """Those that mean some process of the selector; with `ended`, also what was removed or expired of late."""
        params = rpc.ListProbes(selector=str(Selector.parse(selector)), ended=ended)
        return list((await self._call("probe.list", params, rpc.ProbeList)).probes)

    async def probe(self, probe: str) -> rpc.ProbeDetail:
        """One probe by its id, and its state in each process. Raises `Refused` with the reason `unknown_probe`."""
        return await self._call("probe.show", rpc.OfProbe(probe=probe), rpc.ProbeDetail)

    async def remove_probe(self, probe: str) -> None:
        """Takes it away everywhere. What it has brought can still be read for a while."""
        await self._call("probe.remove", rpc.OfProbe(probe=probe), bus.Done)

    async def probe_results(self, probe: str, limit: int = 100) -> Results:
        """What a probe has brought of late, at most the newest `limit` (1 to 1000). What only counts brings nothing:
        its figures are in `probe`."""
        params = rpc.ProbeResultsCall(probe=probe, limit=limit)
        answer = await self._call("probe.results", params, rpc.ProbeResults)
        read = calls.read_events(answer.events)
        found = (of_probe(event, probe) for event in read.items)
        events = tuple(event for event in found if event is not None)
        return Results(events, answer.more)

    def follow_probe(self, probe: str, limit: int = 100) -> Following:
        """What a probe has brought of late, and then what it brings, each once; an async context manager and
        iterator. `limit` is of what was kept: 0 for none. It ends with the probe, or when this has had its hits in all
        processes that have it."""
        return Following(probe, limit, asking=self, subscribe=self._subscribe, unsubscribe=self._unsubscribe)

    async def snapshot(self, snapshot: str) -> bus.SnapshotTaken:
        """One snapshot by its id (`bus.snapshot_id`); it never changes. Raises `Refused` with the reason
        `unknown_snapshot`."""
        return await self._call("snapshot.read", rpc.OfSnapshot(snapshot=snapshot), bus.SnapshotTaken)
