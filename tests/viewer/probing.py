"""Probes for the viewer's tests: a broker that keeps what is added, and samples of what processes say."""

from typing import Any

from msgspec.structs import replace

from sonde_viewer.following import ProbeEvent
from sonde_wire import Code, Failure, Reason, bus, codec, rpc
from sonde_wire.probes import (
    BoundPlace,
    Captured,
    CapturedException,
    CapturedExpression,
    CapturedFrame,
    CapturedTask,
    CapturedThread,
    LinePlace,
    Measured,
    Probe,
    ProbeSpec,
    ProbeStatus,
    Snapshot,
    Target,
    Value,
)
from tests.viewer.fake_broker import BOOT, SHOP, FakeBroker

ID = "abcdefgh23"
OTHER = "zyxwvuts54"
EVIL = "\x1b[2Jboo"
SPEC = ProbeSpec(
    kind=Snapshot(), place=LinePlace(path="shop/cart.py", line=4), target=Target(selector="*/shop/*")
)
PROBE = Probe(id=ID, spec=SPEC, creator="ada", created=1000.0, expires=4600.0, within=("*/*/*",))
INFO = rpc.ProbeInfo(probe=PROBE, totals=rpc.ProbeTotals(processes=1, installed=1, hits=3))
STATUS = ProbeStatus(id=ID, state="active", places=(BoundPlace(path="/app/shop/cart.py", line=4),))
SPENT = replace(STATUS, state="expired", hits=100, message="it had its 100 hits")
MEASURED = Measured(count=4, total=0.5, last=0.1, least=0.0000042, most=0.25, p50=0.1, p90=0.2, p99=0.25)


def text(value: str) -> Value:
    return Value(type="str", value=repr(value))


def number(value: int) -> Value:
    return Value(type="int", value=str(value))


def captured(**locals_: Value) -> Captured:
    """Two frames; the innermost has these locals."""
    return Captured(
        frames=(
            CapturedFrame(path="/app/shop/cart.py", line=4, function="total", locals=tuple(locals_.items())),
            CapturedFrame(path="/app/main.py", line=9, function="main"),
        ),
        thread=CapturedThread(id=1, name="MainThread"),
        duration=0.00002,
    )


def rich(**locals_: Value) -> Captured:
    """One with everything that a snapshot can have."""
    return replace(
        captured(**locals_),
        expressions=(
            CapturedExpression(text="len(lines)", node=number(2)),
            CapturedExpression(text="lines[9]", error="there is no such item"),
        ),
        task=CapturedTask(name="Task-7", coroutine="handle"),
        exception=CapturedException(type="ValueError", message=EVIL, caught=False),
        context={"request": text("r-1")},
    )


def taken(seq: int = 1, probe: str = ID, **locals_: Value) -> bus.SnapshotTaken:
    return bus.SnapshotTaken(
        process=SHOP.process, boot=BOOT, seq=seq, time=1.0, probe=probe, hit=seq, captured=captured(**locals_)
    )


def logged(seq: int = 1, message: str = "n=1", probe: str = ID) -> bus.ProbeLogged:
    return bus.ProbeLogged(
        process=SHOP.process,
        boot=BOOT,
        seq=seq,
        time=1.0,
        probe=probe,
        hit=seq,
        message=message,
        path="/app/shop/cart.py",
        line=4,
    )


def watched(seq: int = 1) -> bus.WatchChanged:
    return bus.WatchChanged(
        process=SHOP.process,
        boot=BOOT,
        seq=seq,
        time=1.0,
        probe=ID,
        hit=1,
        expression="n",
        now=number(2),
        path="x.py",
        line=4,
    )


def changed(seq: int, status: ProbeStatus) -> bus.ProbeChanged:
    return bus.ProbeChanged(process=SHOP.process, boot=BOOT, seq=seq, time=1.0, status=status)


class Desk:
    """The probes that the fake broker keeps, and what it answers of them."""

    def __init__(self, broker: FakeBroker) -> None:
        self.broker = broker
        self.info = INFO
        self.known: list[rpc.ProbeInfo] = []
        self.statuses: list[rpc.ProbeInProcess] = [rpc.ProbeInProcess(process=SHOP.process, status=STATUS)]
        self.kept: list[bus.AnyEvent] = []
        self.more = False
        broker.answers |= {
            "probe.add": self._add,
            "probe.list": lambda _: rpc.ProbeList(probes=tuple(self.known)),
            "probe.show": self._show,
            "probe.remove": self._remove,
            "probe.results": lambda _: rpc.ProbeResults(
                events=tuple(codec.raw(each) for each in self.kept), more=self.more
            ),
            "snapshot.read": self._snapshot,
        }

    @property
    def added(self) -> ProbeSpec:
        """What was asked for last."""
        asked = self.broker.asked("probe.add")[-1]
        assert isinstance(asked, rpc.AddProbe)
        return asked.probe

    @property
    def removed(self) -> list[str]:
        return [each.probe for each in self.broker.asked("probe.remove") if isinstance(each, rpc.OfProbe)]

    def knows(self, *infos: rpc.ProbeInfo) -> None:
        self.known = list(infos)

    async def tells(self, *events: ProbeEvent) -> None:
        await self.broker.notify("events", rpc.EventItems(events=tuple(codec.raw(each) for each in events)))

    async def counts(self, **totals: int) -> None:
        """The processes have it in these states now."""
        self.info = replace(self.info, totals=rpc.ProbeTotals(**totals))
        await self.broker.notify("probes", rpc.ProbeItems(probes=(self.info,)))

    async def ends(self) -> None:
        self.info = replace(self.info, state="expired")
        await self.broker.notify("probes", rpc.ProbeItems(probes=(self.info,)))

    def _add(self, params: rpc.Params) -> rpc.ProbeInfo:
        assert isinstance(params, rpc.AddProbe)
        self.info = replace(self.info, probe=replace(PROBE, spec=params.probe))
        self.known.append(self.info)
        return self.info

    def _show(self, _: rpc.Params) -> rpc.ProbeDetail:
        return rpc.ProbeDetail(info=self.info, processes=tuple(self.statuses))

    def _remove(self, params: rpc.Params) -> Any:
        assert isinstance(params, rpc.OfProbe)
        if params.probe == OTHER:
            return Failure(
                code=Code.PERMISSION_DENIED, reason=Reason.OUTSIDE_SELECTOR, message="it is not yours"
            )
        return bus.Done()

    def _snapshot(self, params: rpc.Params) -> Any:
        assert isinstance(params, rpc.OfSnapshot)
        for each in self.kept:
            if isinstance(each, bus.SnapshotTaken) and bus.snapshot_id(each) == params.snapshot:
                return each
        return Failure(
            code=Code.NOT_FOUND, reason=Reason.UNKNOWN_SNAPSHOT, message="no snapshot is kept under that id"
        )
