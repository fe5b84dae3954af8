"""What viewers and the broker say to each other: JSON-RPC 2.0 over WebSocket, subprotocol `sonde.v1`.

A request names one of `METHODS`; its answer is the method's result or an error made from a `Failure`:
{"code": JSON-RPC's number, "message": a sentence, "data": {"code", "reason"}}. Notifications carry batches.
Batched JSON-RPC calls are not offered: a WebSocket is already a stream.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from sonde_wire import bus, history, looking, probes
from sonde_wire.addresses import END, ProcessName, SelectorText
from sonde_wire.errors import Code, Failure, Reason
from sonde_wire.scopes import Scope

WEBSOCKET_PATH = "/ws"
SUBPROTOCOL = "sonde.v1"
BEARER_SUBPROTOCOL_PREFIX = "sonde.bearer."
"""A browser cannot set headers on a WebSocket: its token travels as one more offered subprotocol, this prefix
and the JWT. The server selects `sonde.v1` and never echoes the token."""

CLOSE_BAD_MESSAGE = 4400
CLOSE_UNAUTHENTICATED = 4401
CLOSE_SLOW_VIEWER = 4440

Topic = Literal["presence", "events", "output", "metrics", "probes"]
StoreState = Literal["up", "degraded", "none"]
MOST_CURSORS = 256
"""Of one `subscribe`; its frame may have 64 KiB."""
RequestId = Annotated[int, Meta(ge=0)] | Annotated[str, Meta(max_length=64)]


class Params(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Root of methods' parameters. A field that a method does not know is refused, not ignored."""


class Nothing(Params, frozen=True, kw_only=True):
    pass


class ListProcesses(Params, frozen=True, kw_only=True):
    selector: SelectorText = "*/*/*"


class Subscribe(Params, frozen=True, kw_only=True):
    """With `cursors` the events that were missed since then are told first, and only then comes the answer. What nobody has
    any more is a `gap`."""

    topics: Annotated[tuple[Topic, ...], Meta(min_length=1, max_length=5)]
    selector: SelectorText = "*/*/*"
    cursors: Annotated[tuple[history.Cursor, ...], Meta(max_length=MOST_CURSORS)] = ()


class Unsubscribe(Params, frozen=True, kw_only=True):
    subscription: int


class OfProcess(Params, frozen=True, kw_only=True):
    process: ProcessName


class BeginSession(Params, frozen=True, kw_only=True):
    """`name` and `metadata` are for people, who find the session by them in the history."""

    process: ProcessName
    name: Annotated[str, Meta(max_length=100)] = ""
    metadata: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=50)], Annotated[str, Meta(max_length=200)]],
        Meta(max_length=16),
    ] = {}


class SourceOfProcess(Params, frozen=True, kw_only=True):
    process: ProcessName
    path: Annotated[str, Meta(min_length=1, max_length=4096)]


class OfSession(Params, frozen=True, kw_only=True):
    session: Annotated[str, Meta(max_length=64)]


class SeatCall(Params, frozen=True, kw_only=True):
    session: Annotated[str, Meta(max_length=64)]
    action: bus.SeatAction
    to: Annotated[str, Meta(max_length=64)] | None = None
    """The session that `grant` gives the seat to; the one that has asked longest when absent."""


class DiagnoseProcess(Params, frozen=True, kw_only=True):
    process: ProcessName
    path: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    line: Annotated[int, Meta(ge=1)] | None = None
    sha256: Annotated[str, Meta(pattern=rf"^[0-9a-f]{{64}}{END}")] | None = None


class DapCall(Params, frozen=True, kw_only=True):
    """`request` is a whole DAP request; the answer is the whole DAP response."""

    session: Annotated[str, Meta(max_length=64)]
    request: Raw


class AddProbe(Params, frozen=True, kw_only=True):
    probe: probes.ProbeSpec


class ListProbes(Params, frozen=True, kw_only=True):
    """Those that mean some process of the selector; with `ended`, also what was removed or expired of late."""

    selector: SelectorText = "*/*/*"
    ended: bool = False


class OfProbe(Params, frozen=True, kw_only=True):
    probe: probes.ProbeId


class ProbeResultsCall(Params, frozen=True, kw_only=True):
    """What a probe has brought of late, newest last."""

    probe: probes.ProbeId
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class OfSnapshot(Params, frozen=True, kw_only=True):
    snapshot: probes.SnapshotId


Limit = Annotated[int, Meta(ge=1, le=1000)]
Moment = Annotated[float, Meta(ge=0)]


class HistoryEvents(Params, frozen=True, kw_only=True):
    """Events that are remembered. `text` is looked for in the event's JSON, whatever the case of ASCII letters. `session`: what that
    session was told, with the events of its process that concern every session."""

    selector: SelectorText = "*/*/*"
    since: Moment | None = None
    until: Moment | None = None
    kinds: Annotated[tuple[Annotated[str, Meta(max_length=40)], ...], Meta(max_length=32)] = ()
    text: Annotated[str, Meta(max_length=200)] = ""
    session: Annotated[str, Meta(max_length=64)] | None = None
    order: Literal["newest", "oldest"] = "newest"
    limit: Limit = 100
    cursor: history.PageCursor | None = None


class HistorySessions(Params, frozen=True, kw_only=True):
    selector: SelectorText = "*/*/*"
    since: Moment | None = None
    until: Moment | None = None
    viewer: Annotated[str, Meta(max_length=256)] | None = None
    """The subject that opened it."""
    limit: Limit = 100
    cursor: history.PageCursor | None = None


class MakeReport(Params, frozen=True, kw_only=True):
    """Takes a second or two: processes are listened to."""

    selector: SelectorText = "*/*/*"
    since: Moment | None = None
    """The last 24 hours when absent."""


class RenewToken(Params, frozen=True, kw_only=True):
    token: Annotated[str, Meta(max_length=8192)]


class Welcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    broker: str
    version: str
    subject: str
    scopes: tuple[str, ...]
    selectors: tuple[str, ...]
    expires: float
    """When the token, and with it the connection, ends (seconds since the epoch)."""
    bus: Literal["up", "down"] = "up"
    store: StoreState = "none"
    """Whether there is a history."""


class ProcessList(Struct, frozen=True, kw_only=True):
    processes: tuple[bus.Presence, ...]


class ProbeTotals(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the processes that it means and that the viewer may see: how many have it in which state."""

    processes: int = 0
    """That it means, of those online."""
    installed: int = 0
    """That have it bound to code: active, hit, throttled, suspended."""
    pending: int = 0
    hit: int = 0
    throttled: int = 0
    suspended: int = 0
    expired: int = 0
    error: int = 0
    unheard: int = 0
    """That have not said anything of it yet."""
    hits: int = 0
    """All together."""


class ProbeInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    probe: probes.Probe
    totals: ProbeTotals
    state: Literal["live", "removed", "expired"] = "live"


class ProbeList(Struct, frozen=True, kw_only=True):
    probes: tuple[ProbeInfo, ...]


class ProbeInProcess(Struct, frozen=True, kw_only=True, omit_defaults=True):
    process: ProcessName
    status: probes.ProbeStatus | None = None
    """None: it has not said anything of it yet."""


class ProbeDetail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    info: ProbeInfo
    processes: tuple[ProbeInProcess, ...]


class ProbeResults(Struct, frozen=True, kw_only=True, omit_defaults=True):
    events: tuple[Raw, ...]
    """`snapshot_taken`, `probe_logged` and `watch_changed`, as they were told."""
    more: bool = False
    """There were more, which are not kept or not asked for."""


class Subscribed(Struct, frozen=True, kw_only=True):
    """Notifications of the current presence follow at once when `presence` was asked for."""

    subscription: int


class Method(Struct, frozen=True):
    params: type[Params]
    result: Any
    scope: Scope | None
    """None: any valid token. `dap` decides by the request inside (see `sonde_wire.dap`); to end a session only
    gives something back, so a token that has lost its scopes must still be able to."""
    summary: str


METHODS: Mapping[str, Method] = {
    "whoami": Method(Nothing, Welcome, None, "Who the token says I am, and which broker this is"),
    "token.renew": Method(RenewToken, Welcome, None, "Go on with a fresh token of the same subject"),
    "process.list": Method(
        ListProcesses, ProcessList, Scope.OBSERVE, "The processes that a selector matches"
    ),
    "subscribe": Method(
        Subscribe,
        Subscribed,
        Scope.OBSERVE,
        "Be told presence, events, output, metrics or probes of a selector",
    ),
    "unsubscribe": Method(Unsubscribe, bus.Done, Scope.OBSERVE, "End a subscription"),
    "process.stacks": Method(
        OfProcess, looking.Stacks, Scope.INSPECT, "All thread stacks, without stopping any"
    ),
    "process.sources": Method(
        OfProcess, looking.Sources, Scope.INSPECT, "The source files that a process imported"
    ),
    "process.source": Method(SourceOfProcess, looking.Source, Scope.INSPECT, "The text of one of them"),
    "process.tasks": Method(
        OfProcess,
        looking.Tasks,
        Scope.INSPECT,
        "All asyncio tasks and what awaits what, without stopping any",
    ),
    "process.modules": Method(
        OfProcess, looking.Modules, Scope.INSPECT, "The modules that a process has loaded"
    ),
    "process.runtime": Method(
        OfProcess, looking.Runtime, Scope.INSPECT, "Interpreter, collector, event loops, redacted environment"
    ),
    "process.diagnose": Method(
        DiagnoseProcess, looking.Diagnosis, Scope.INSPECT, "Why nothing is seen, or a breakpoint is not hit"
    ),
    "session.open": Method(BeginSession, bus.SessionState, Scope.CONTROL, "Begin to debug a process"),
    "session.close": Method(OfSession, bus.Done, None, "End a debug session of mine"),
    "session.renew": Method(
        OfSession, bus.LeaseState, Scope.CONTROL, "I am still here: let what stands go on standing"
    ),
    "session.seat": Method(
        SeatCall, bus.SeatState, Scope.CONTROL, "Take, release, ask for or grant the driver's seat"
    ),
    "probe.add": Method(
        AddProbe, ProbeInfo, Scope.INSPECT, "Set a probe on all processes that it means, now and later"
    ),
    "probe.list": Method(
        ListProbes, ProbeList, Scope.OBSERVE, "The probes, and how many processes have them"
    ),
    "probe.show": Method(OfProbe, ProbeDetail, Scope.OBSERVE, "One probe, and its state in each process"),
    "probe.remove": Method(OfProbe, bus.Done, Scope.INSPECT, "Take a probe away everywhere"),
    "probe.results": Method(
        ProbeResultsCall, ProbeResults, Scope.INSPECT, "What a probe has brought of late"
    ),
    "snapshot.read": Method(OfSnapshot, bus.SnapshotTaken, Scope.INSPECT, "One snapshot, by its id"),
    "history.events": Method(HistoryEvents, history.EventPage, Scope.OBSERVE, "Events that are remembered"),
    "history.sessions": Method(
        HistorySessions, history.SessionPage, Scope.OBSERVE, "Debug sessions that are remembered"
    ),
    "history.session": Method(
        OfSession, history.SessionDetail, Scope.OBSERVE, "One of them, with statistics and breakpoints"
    ),
    "fleet.report": Method(
        MakeReport,
        history.FleetReport,
        Scope.OBSERVE,
        "What happened in a part of the fleet, and how it does",
    ),
    "dap": Method(DapCall, Raw, None, "A DAP request of a session, answered by its DAP response"),
}


class PresenceItems(Struct, frozen=True, kw_only=True):
    presence: tuple[Raw, ...]


class EventItems(Struct, frozen=True, kw_only=True):
    events: tuple[Raw, ...]


class MetricItems(Struct, frozen=True, kw_only=True):
    metrics: tuple[Raw, ...]


class ProbeItems(Struct, frozen=True, kw_only=True):
    probes: tuple[ProbeInfo, ...]


class Gap(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Events `first` to `last` of a process did not reach this viewer. `slow_viewer`: it did not read fast enough.
    `bus`: the broker did not get them, or not yet. `lost`: nobody has them any more. `too_many`: more was missed than is told
    again; `history.events` may have it. A gap may name events that a viewer has by now, for it caught up on them."""

    process: ProcessName
    boot: bus.BootId
    first: int
    last: int
    reason: Literal["slow_viewer", "bus", "lost", "too_many"] = "bus"


class BusStatus(Struct, frozen=True, kw_only=True):
    """Whether the broker reaches the bus. While it is down, what a viewer sees is stale."""

    bus: Literal["up", "down"]


class StoreStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether events are being remembered. While it is `degraded` they are relayed only, and sidecars keep what they can."""

    store: StoreState
    problem: str = ""


NOTIFICATIONS: Mapping[str, tuple[type[Struct], str]] = {
    "presence": (PresenceItems, "Items are Presence messages, newest state of each process"),
    "events": (EventItems, "Items are Event messages in order"),
    "metrics": (MetricItems, "Items are Metrics messages, newest of each process"),
    "probes": (ProbeItems, "Items are probes of which something has changed, newest state of each"),
    "gap": (Gap, "Events that this viewer will not get: it or the bus was too slow for them"),
    "bus": (BusStatus, "The broker lost or regained the bus"),
    "store": (StoreStatus, "The history has failed or works again"),
}


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call as it arrives. Without `id` it would be a notification, which viewers do not send."""

    jsonrpc: Literal["2.0"]
    id: RequestId
    method: Annotated[str, Meta(max_length=64)]
    params: Raw | UnsetType = UNSET
    traceparent: Annotated[str, Meta(max_length=256)] = ""
    """The caller's trace context (W3C), which goes with the command to the process; one that is malformed is ignored."""
    tracestate: Annotated[str, Meta(max_length=512)] = ""


class ErrorData(Struct, frozen=True, kw_only=True):
    code: Code
    reason: Reason


class Error(Struct, frozen=True, kw_only=True):
    code: int
    message: str
    data: ErrorData

    @classmethod
    def of(cls, failure: Failure) -> "Error":
        return cls(
            code=failure.rpc_code,
            message=failure.message,
            data=ErrorData(code=failure.code, reason=failure.reason),
        )

    @property
    def failure(self) -> Failure:
        return Failure(code=self.data.code, reason=self.data.reason, message=self.message)


class Response(Struct, frozen=True, kw_only=True):
    """An answer: `result` or `error`, never both. `id` is null when the request could not be read."""

    id: RequestId | None
    result: Raw | UnsetType = UNSET
    error: Error | UnsetType = UNSET
    jsonrpc: Literal["2.0"] = "2.0"


class Notification(Struct, frozen=True, kw_only=True):
    method: str
    params: Raw
    jsonrpc: Literal["2.0"] = "2.0"
