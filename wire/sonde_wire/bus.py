"""What travels on the bus, between sidecars and brokers.

Every message carries the process it is about and the id of what caused it (`cause`, None when nothing did).
Events carry the boot and a sequence number, so that a hole is always noticed. Times are seconds since the
epoch (UTC); sizes are bytes; durations are seconds. Unknown fields are ignored, so that a newer peer can
add some.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from sonde_wire.addresses import END, ProcessName
from sonde_wire.errors import Failure
from sonde_wire.probes import Captured, ProbeId, ProbeStatus, Value

BootId = Annotated[
    str, Meta(pattern=rf"^[0-9a-f]{{32}}{END}", description="128 random bits, new each time a process starts")
]
SequenceNumber = Annotated[int, Meta(ge=1)]


class BusMessage(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """Root of what is published; `type` tells which."""

    process: ProcessName
    cause: str | None = None


# Presence -------------------------------------------------------------------------------------------------


class Exit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a process ended. `code` and `signal` are absent when nobody who may know them saw the end."""

    reason: Literal["exited", "signalled", "unknown"]
    message: str
    code: int | None = None
    signal: str | None = None
    """Name of the signal, such as SIGKILL."""


class SessionInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One viewer's debug session, as everybody may see it."""

    session: str
    viewer: str
    """The viewer's subject, from its token."""
    opened: float
    name: str = ""
    """What the viewer calls it."""


class Presence(BusMessage, frozen=True, kw_only=True, tag="presence"):
    """That a process is there, and what it is. Retained; the last will carries it with state `lost`."""

    boot: BootId
    state: Literal["online", "ended", "lost"]
    time: float
    started: float
    pid: int
    host: str
    python: str
    """Version of the interpreter, such as 3.12.1."""
    implementation: str = "cpython"
    executable: str = ""
    argv: tuple[str, ...] = ()
    main: str | None = None
    """Path of the main script, where there is one."""
    directory: str = ""
    parent_pid: int | None = None
    parent: ProcessName | None = None
    """The process of Sonde's that made this one, by fork or by starting it."""
    labels: dict[str, str] = {}
    debugger: Literal["detached", "attached"] = "detached"
    stopped_threads: int = 0
    sessions: tuple[SessionInfo, ...] = ()
    driver: str | None = None
    """The session that has the driver's seat."""
    agent_version: str = ""
    exit: Exit | None = None


class BrokerPresence(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="broker_presence", omit_defaults=True
):
    """That a broker is there. When it is lost, sidecars close the sessions that came through it."""

    broker: str
    state: Literal["online", "lost"]
    time: float
    store: str | None = None
    """The identity of the history that it writes into. Brokers that share one divide the shards among them; sidecars
    keep what is not acknowledged while some broker has one."""
    cause: str | None = None


# Metrics ----------------------------------------------------------------------------------------------------


class Duration(Struct, frozen=True, kw_only=True):
    """Seconds. The percentiles are estimates within 5 %."""

    average: float
    least: float
    most: float
    p50: float
    p90: float
    p99: float


class Counts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of operations that have ended. An operation that was cancelled is no error."""

    ended: int = 0
    errors: int = 0
    cancelled: int = 0
    scope_errors: int = 0
    """Operations that swallowed a cancellation: they ended well although they had been cancelled."""
    success_rate: float | None = None
    """Of those not cancelled, 0 to 1; absent when there are none."""
    error_rate: float | None = None
    duration: Duration | None = None


class OperationMetrics(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the program measures by `sonde_agent.operation(name)`."""

    name: str
    active: int = 0
    """Begun and not ended."""
    total: Counts
    """Since the process started."""
    last_minute: Counts
    error_types: dict[str, int] = {}
    """Errors by exception class since the start; the rarest are counted under `_OTHER`."""


class Peaks(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The highest of each that was sampled of a boot."""

    cpu_percent: float | None = None
    memory_rss: int | None = None
    threads: int | None = None
    open_fds: int | None = None
    event_loop_lag: float | None = None


class Metrics(BusMessage, frozen=True, kw_only=True, tag="metrics"):
    """What the process used, sampled each second. A field that could not be read is absent, and
    `unavailable` says why; it is never a wrong number."""

    boot: BootId
    time: float
    cpu_percent: float | None = None
    """Of one core: 200.0 is two cores busy."""
    memory_rss: int | None = None
    threads: int | None = None
    open_fds: int | None = None
    context_switches_voluntary: int | None = None
    context_switches_involuntary: int | None = None
    children: int | None = None
    gc_collections: int | None = None
    """Since the start, of all generations; also the next two."""
    gc_collected: int | None = None
    gc_uncollectable: int | None = None
    event_loop_lag: float | None = None
    """Seconds that the slowest running asyncio loop took to get to something that was due; absent without one."""
    operations: tuple[OperationMetrics, ...] = ()
    peaks: Peaks | None = None
    operations_dropped: int = 0
    """Operations that were not counted because there were too many names."""
    unavailable: dict[str, str] = {}


# Events ---------------------------------------------------------------------------------------------------


class Event(BusMessage, frozen=True, kw_only=True):
    """Root of what a process tells. `seq` starts at 1 for each boot and grows by one; where a sidecar was killed
    and another took its place, some numbers are left out."""

    boot: BootId
    seq: SequenceNumber
    time: float
    session: str | None = None
    """The session that it concerns; None: every session of the process."""


class ProcessStarted(Event, frozen=True, kw_only=True, tag="process_started"):
    pid: int


class ProcessEnded(Event, frozen=True, kw_only=True, tag="process_ended", omit_defaults=True):
    exit: Exit
    metrics: Metrics | None = None
    """Its last sample, with the peaks: what is left to be read of it in a report."""


class SessionOpened(Event, frozen=True, kw_only=True, tag="session_opened", omit_defaults=True):
    viewer: str
    name: str = ""
    metadata: dict[str, str] = {}


class SessionClosed(Event, frozen=True, kw_only=True, tag="session_closed"):
    viewer: str
    reason: Literal["viewer_left", "broker_lost", "bus_lost", "process_ended", "debugger_lost"]


class DebuggerAttached(Event, frozen=True, kw_only=True, tag="debugger_attached"):
    debugpy: str
    again: bool = False
    """True when sessions were kept over the loss of another debugger: their breakpoints are set again."""


class DebuggerDetached(Event, frozen=True, kw_only=True, tag="debugger_detached"):
    reason: Literal["last_session_closed", "connection_lost", "not_answering", "process_ended"]
    """After `connection_lost` and `not_answering` all threads run, and it is attached again at once."""


class SeatChanged(Event, frozen=True, kw_only=True, tag="seat_changed"):
    """Who drives: steps, continues, pauses, changes values. One session at a time; None: the seat is free."""

    reason: Literal["taken", "released", "asked", "granted", "left", "lapsed"]
    driver: str | None = None
    viewer: str | None = None
    """The driver's subject."""
    asking: tuple[str, ...] = ()
    """Sessions that asked for the seat and wait, the longest first."""


class Lease(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long what stands may go on standing. `left` is counted from the message's time."""

    left: float
    length: float


class LeaseChanged(Event, frozen=True, kw_only=True, tag="lease_changed"):
    """`begun`: something stands now. `renewed`: somebody is still there. `ended`: nothing stands any more.
    `lapsed`: nobody renewed it, so everything runs on, and breakpoints sleep until a session asks anything."""

    state: Literal["begun", "renewed", "ended", "lapsed"]
    lease: Lease | None = None
    """None unless it is `begun` or `renewed`."""
    message: str = ""


class BreakpointSet(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The breakpoints of one session in one file, or on functions when `path` is None."""

    owner: str
    breakpoints: tuple[Raw, ...]
    """DAP Breakpoints, as their owner was answered: id, verified, line, message."""
    path: str | None = None


class BreakpointsChanged(Event, frozen=True, kw_only=True, tag="breakpoints_changed"):
    """A session set its breakpoints in one place anew, or they were taken away with it."""

    breakpoints: BreakpointSet


class DapEvent(Event, frozen=True, kw_only=True, tag="dap"):
    """An event of the Debug Adapter Protocol, in DAP's own shape: {"type": "event", "event", "body"}."""

    message: Raw


class StopLocated(Event, frozen=True, kw_only=True, tag="stop_located"):
    """Where a thread stands, which DAP's `stopped` before it does not say; not told when the thread ran on before that
    was known. A session that is opened while a thread stands is told once more, it alone."""

    thread: int
    reason: str
    """DAP's, of `stopped`: breakpoint, step, exception, pause, goto, ..."""
    line: int
    function: str
    path: str | None = None
    """None where there is no source."""


class Output(Event, frozen=True, kw_only=True, tag="output"):
    """DAP's `output` event, in its own shape: what evaluations and log messages of breakpoints print, and what the
    debugger has to say. What the program itself writes to stdout and stderr is not in it: the debugger leaves both
    where they are. It is a topic of its own for viewers, because it can be much and carries values."""

    message: Raw


class ProbeChanged(Event, frozen=True, kw_only=True, tag="probe_changed"):
    """A probe has another state in this process than before."""

    status: ProbeStatus


class SnapshotTaken(Event, frozen=True, kw_only=True, tag="snapshot_taken"):
    """It never changes, and is found again by `snapshot_id`."""

    probe: ProbeId
    hit: int
    """Its number among the hits of the probe in this process."""
    captured: Captured


class ProbeLogged(Event, frozen=True, kw_only=True, tag="probe_logged"):
    probe: ProbeId
    hit: int
    message: str
    path: str
    line: int
    thread: str = ""


class WatchChanged(Event, frozen=True, kw_only=True, tag="watch_changed"):
    probe: ProbeId
    hit: int
    expression: str
    now: Value
    path: str
    line: int
    before: Value | None = None
    """None at the first hit."""
    thread: str = ""


def snapshot_id(event: SnapshotTaken) -> str:
    return f"{event.boot[:12]}-{event.seq}"


AnyEvent = (
    ProcessStarted
    | ProcessEnded
    | SessionOpened
    | SessionClosed
    | DebuggerAttached
    | DebuggerDetached
    | SeatChanged
    | LeaseChanged
    | BreakpointsChanged
    | DapEvent
    | StopLocated
    | Output
    | ProbeChanged
    | SnapshotTaken
    | ProbeLogged
    | WatchChanged
)


WITH_VALUES = frozenset({"output", "snapshot_taken", "probe_logged", "watch_changed", "probe_changed"})
"""The kinds of events that carry values of programs, a probe's state too, of a gauge or a failure: they need `inspect`."""


class EventBatch(BusMessage, frozen=True, kw_only=True, tag="events"):
    """The events of a few milliseconds, each already in its final JSON, so that a relay copies bytes only."""

    boot: BootId
    first: SequenceNumber
    last: SequenceNumber
    events: tuple[Raw, ...]
    oldest: SequenceNumber = 1
    """The oldest that the sidecar still has; what is older, and stored nowhere, is lost."""


class EventsStored(BusMessage, frozen=True, kw_only=True, tag="stored"):
    """What the history has of a boot: each event up to `upto` is in it, or lost for good. To a sidecar that has sent more
    it says where to begin again."""

    boot: BootId
    upto: Annotated[int, Meta(ge=0)]


# Commands and replies -------------------------------------------------------------------------------------


class Operation(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """Root of what a viewer can ask of one process."""


class OpenSession(Operation, frozen=True, kw_only=True, tag="session.open"):
    session: str
    name: str = ""
    metadata: dict[str, str] = {}


class CloseSession(Operation, frozen=True, kw_only=True, tag="session.close"):
    session: str


class Dap(Operation, frozen=True, kw_only=True, tag="dap"):
    """A DAP request of a session: {"seq", "type": "request", "command", "arguments"}."""

    session: str
    request: Raw


class RenewLease(Operation, frozen=True, kw_only=True, tag="session.renew"):
    """Whoever debugs is still there: what stands may go on standing."""

    session: str


SeatAction = Literal["take", "release", "ask", "grant"]


class TakeSeat(Operation, frozen=True, kw_only=True, tag="session.seat"):
    session: str
    action: SeatAction
    to: str | None = None
    """The session that `grant` gives the seat to; the one that has asked longest when absent."""


class ReadStacks(Operation, frozen=True, kw_only=True, tag="process.stacks"):
    """The stacks of all threads, without stopping any."""


class ReadSource(Operation, frozen=True, kw_only=True, tag="process.source"):
    path: str


class ListSources(Operation, frozen=True, kw_only=True, tag="process.sources"):
    """The source files that the process has imported."""


class ReadTasks(Operation, frozen=True, kw_only=True, tag="process.tasks"):
    """The asyncio tasks of all loops and what awaits what, without stopping anything."""


class ListModules(Operation, frozen=True, kw_only=True, tag="process.modules"):
    """The modules that the process has loaded."""


class ReadRuntime(Operation, frozen=True, kw_only=True, tag="process.runtime"):
    """The interpreter, its garbage collector and event loops, the command line and the redacted environment."""


class Diagnose(Operation, frozen=True, kw_only=True, tag="process.diagnose"):
    """Why is nothing seen, or why is a breakpoint in this file (at this line) not hit?"""

    path: str | None = None
    line: int | None = None
    sha256: str | None = None
    """Of the file as the asker has it."""


class ReadEvents(Operation, frozen=True, kw_only=True, tag="process.events"):
    """The events after `after` up to `upto` that the sidecar still has of this boot, as many as one answer may carry."""

    after: Annotated[int, Meta(ge=0)]
    upto: SequenceNumber


AnyOperation = (
    OpenSession
    | CloseSession
    | RenewLease
    | TakeSeat
    | Dap
    | ReadStacks
    | ReadSource
    | ListSources
    | ReadTasks
    | ListModules
    | ReadRuntime
    | Diagnose
    | ReadEvents
)


class ViewerIdentity(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who asked, as the broker verified it."""

    subject: str
    connection: str
    scopes: tuple[str, ...]


class TraceContext(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the caller, as it sent it (W3C Trace Context, https://www.w3.org/TR/trace-context/)."""

    traceparent: Annotated[
        str, Meta(pattern=rf"^[0-9a-f]{{2}}-[0-9a-f]{{32}}-[0-9a-f]{{16}}-[0-9a-f]{{2}}{END}")
    ]
    tracestate: Annotated[str, Meta(max_length=512)] = ""


class Command(BusMessage, frozen=True, kw_only=True, tag="command"):
    """One thing that a viewer asks of one process. Executed at most once for each `id`."""

    id: str
    broker: str
    """Whose reply topic gets the answer."""
    viewer: ViewerIdentity
    timeout: Annotated[float, Meta(gt=0, le=300)]
    """Seconds left when it was sent; after that nobody waits for the answer."""
    operation: AnyOperation
    boot: BootId | None = None
    """When present, only this boot of the process may execute it."""
    trace: TraceContext | None = None
    authorization: str | None = None
    """Place of the broker's signature over this command (a compact JWS, RFC 7515)."""


class Reply(BusMessage, frozen=True, kw_only=True, tag="reply"):
    """The answer to the command named by `cause`: a result, or why there is none."""

    boot: BootId
    result: Raw | UnsetType = UNSET
    failure: Failure | None = None


# Results --------------------------------------------------------------------------------------------------


class Done(Struct, frozen=True, kw_only=True):
    """Nothing to tell but that it was done."""


class EventsRead(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`events` are in order and without a hole. They begin after the asked number, or with `oldest` when that is later; there
    are more up to `last` when the answer was full."""

    boot: BootId
    oldest: SequenceNumber
    """The oldest that the sidecar still has."""
    last: Annotated[int, Meta(ge=0)]
    """Its newest; 0 before the first."""
    events: tuple[Raw, ...] = ()


class SessionState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a viewer that opens a session must know: also a late joiner gets the whole state."""

    session: str
    process: ProcessName
    boot: BootId
    capabilities: Raw
    """DAP's Capabilities, as pydevd reported them, less what Sonde does not pass on."""
    stops: tuple[Raw, ...] = ()
    """Bodies of the DAP `stopped` events in force, one a stopped thread."""
    sessions: tuple[SessionInfo, ...] = ()
    threads: tuple[Raw, ...] = ()
    """DAP Threads."""
    breakpoints: tuple[BreakpointSet, ...] = ()
    """Of all sessions."""
    driver: str | None = None
    asking: tuple[str, ...] = ()
    lease: Lease | None = None
    """While something stands."""
    asleep: bool = False
    """The lease lapsed: no breakpoint is armed until a session asks anything."""


class LeaseState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`lease` is None while nothing stands. `renewed` is False when it is somebody else's to renew: the
    driver's, while there is one."""

    lease: Lease | None = None
    renewed: bool = False


class SeatState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    driver: str | None = None
    viewer: str | None = None
    asking: tuple[str, ...] = ()
