"""A recorded session for the viewer's tests, and a fake broker that remembers."""

from typing import Any

import msgspec

from sonde_viewer.telling import kind
from sonde_wire import Code, Failure, Reason, bus, codec, rpc
from sonde_wire.history import (
    EventPage,
    FleetReport,
    OperationReport,
    ProcessPeaks,
    SessionDetail,
    SessionPage,
    SessionRecord,
    SessionStatistics,
)
from tests.viewer.fake_broker import BOOT, SHOP, FakeBroker

SESSION = "5e55104e"
OPENED = 1_000.0
NO_HISTORY = Failure(
    code=Code.FAILED_PRECONDITION,
    reason=Reason.NO_HISTORY,
    message="this broker keeps no history; start it with --history to have one",
)


def head(seq: int, time: float | None = None) -> dict[str, Any]:
    """What every event has."""
    return {
        "process": SHOP.process,
        "boot": BOOT,
        "seq": seq,
        "time": OPENED + seq if time is None else time,
    }


def started(seq: int, **changes: Any) -> bus.ProcessStarted:
    fields: dict[str, Any] = head(seq) | {"pid": seq} | changes
    return bus.ProcessStarted(**fields)


def dap(seq: int, event: str, **body: Any) -> bus.DapEvent:
    return bus.DapEvent(**head(seq), message=_message(event, body))


def stopped(seq: int, thread: int = 3, *breakpoints: int) -> bus.DapEvent:
    return dap(seq, "stopped", threadId=thread, reason="breakpoint", hitBreakpointIds=list(breakpoints))


def continued(seq: int, thread: int = 3, *, every: bool = False) -> bus.DapEvent:
    return dap(seq, "continued", threadId=thread, allThreadsContinued=every)


def located(seq: int, line: int, thread: int = 3, path: str | None = "/app/cart.py") -> bus.StopLocated:
    return bus.StopLocated(**head(seq), thread=thread, reason="step", line=line, function="total", path=path)


def printed(seq: int, text: str) -> bus.Output:
    return bus.Output(**head(seq), message=_message("output", {"output": text, "category": "stdout"}))


def breakpoints(
    seq: int, *lines: int, path: str = "/app/shop.py", owner: str = SESSION
) -> bus.BreakpointsChanged:
    """Their ids are ten times their lines."""
    them = tuple(codec.raw({"id": line * 10, "line": line, "verified": True}) for line in lines)
    changed = bus.BreakpointSet(owner=owner, path=path, breakpoints=them)
    return bus.BreakpointsChanged(**head(seq), breakpoints=changed)


def _message(event: str, body: dict[str, Any]) -> msgspec.Raw:
    return codec.raw({"type": "event", "event": event, "body": body})


EVENTS: tuple[bus.AnyEvent, ...] = (
    bus.SessionOpened(**head(1), session=SESSION, viewer="ada", name="cart bug"),
    breakpoints(2, 4),
    stopped(3, 3, 40),
    bus.SeatChanged(**head(4), reason="taken", driver=SESSION, viewer="ada"),
    printed(5, "one\n"),
    continued(6),
    printed(7, "two\n"),
    stopped(8, 5, 40),
    bus.LeaseChanged(**head(9), state="lapsed"),
    bus.SessionClosed(**head(11), session=SESSION, viewer="ada", reason="viewer_left"),
)
"""Number 10 is missing."""
RECORD = SessionRecord(
    session=SESSION,
    process=SHOP.process,
    boot=BOOT,
    viewer="ada",
    opened=OPENED,
    first=1,
    name="cart bug",
    metadata={"ticket": "X-1"},
    closed=OPENED + 11,
    last=11,
    reason="viewer_left",
)
DETAIL = SessionDetail(
    session=RECORD,
    statistics=SessionStatistics(
        events=10,
        kinds={"dap.stopped": 2, "output": 2},
        stops=2,
        duration=11.0,
        stopped=4.0,
        longest_stop=3.0,
        missing=1,
    ),
    breakpoints=(EVENTS[1].breakpoints,),  # type: ignore[union-attr]  # that one
)
REPORT = FleetReport(
    selector="*/*/*",
    time=90_000.0,
    since=3_600.0,
    online=2,
    ended=1,
    unheard=("default/slow/s-1",),
    events={"dap.stopped": 2},
    sessions=3,
    open_sessions=1,
    session_time=90.0,
    snapshots=4,
    operations=(
        OperationReport(
            service="shop",
            name="charge",
            processes=2,
            total=bus.Counts(
                ended=2000,
                errors=1,
                success_rate=0.9999,
                error_rate=0.0001,
                duration=bus.Duration(average=0.1, least=0.01, most=2.5, p50=0.1, p90=0.2, p99=0.3),
            ),
            errors={"ValueError": 1},
        ),
    ),
    success_rate=0.9999,
    error_rate=0.0001,
    errors={"ValueError": 1, "exit by SIGKILL": 1},
    peaks=(
        ProcessPeaks(
            process=SHOP.process,
            peaks=bus.Peaks(cpu_percent=150.0, memory_rss=3 << 30, threads=7, open_fds=9),
        ),
    ),
    history="up",
)


class Archive:
    """What the fake broker remembers. Pages have two events, which are chosen by time and kind only."""

    def __init__(self, broker: FakeBroker, *events: bus.AnyEvent) -> None:
        self.broker = broker
        self.events: list[bus.AnyEvent] = list(events)
        self.withheld = False
        self.report = REPORT
        broker.answers |= {
            "history.events": self._events,
            "history.sessions": lambda _: SessionPage(sessions=(RECORD,)),
            "history.session": lambda _: DETAIL,
            "fleet.report": lambda _: self.report,
            "whoami": lambda _: rpc.Welcome(
                broker="b", version="0", subject="ada", scopes=(), selectors=(), expires=1.0, store="up"
            ),
        }

    @property
    def asked(self) -> list[rpc.HistoryEvents]:
        return [each for each in self.broker.asked("history.events") if isinstance(each, rpc.HistoryEvents)]

    def _events(self, params: rpc.Params) -> EventPage:
        assert isinstance(params, rpc.HistoryEvents)
        found = [
            each
            for each in self.events
            if (params.until is None or each.time < params.until)
            and (not params.kinds or kind(each) in params.kinds or kind(each).split(".")[0] in params.kinds)
        ]
        if params.order == "newest":
            found.reverse()
        begin = int(params.cursor or "0")
        end = begin + min(params.limit, 2)
        return EventPage(
            events=tuple(codec.raw(each) for each in found[begin:end]),
            cursor=str(end) if end < len(found) else None,
            withheld=self.withheld,
        )


def without_history(broker: FakeBroker) -> None:
    for method in ("history.events", "history.sessions", "history.session"):
        broker.answers[method] = lambda _: NO_HISTORY
