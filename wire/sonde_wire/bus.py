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
    labels: dict[str, str] = {}
    debugger: Literal["detached", "attached"] = "detached"
    stopped_threads: int = 0
    sessions: tuple[SessionInfo, ...] = ()
    agent_version: str = ""
    exit: Exit | None = None


class BrokerPresence(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="broker_presence", omit_defaults=True
):
    """That a broker is there. When it is lost, sidecars close the sessions that came through it."""

    broker: str
    state: Literal["online", "lost"]
    time: float
    cause: str | None = None


# Events ---------------------------------------------------------------------------------------------------


class Event(BusMessage, frozen=True, kw_only=True):
    """Root of what a process tells. `seq` starts at 1 for each boot and grows by one."""

    boot: BootId
    seq: SequenceNumber
    time: float
    session: str | None = None
    """The session that it concerns; None: every session of the process."""


class ProcessStarted(Event, frozen=True, kw_only=True, tag="process_started"):
    pid: int


class ProcessEnded(Event, frozen=True, kw_only=True, tag="process_ended"):
    exit: Exit


class SessionOpened(Event, frozen=True, kw_only=True, tag="session_opened"):
    viewer: str


class SessionClosed(Event, frozen=True, kw_only=True, tag="session_closed"):
    viewer: str
    reason: Literal["viewer_left", "broker_lost", "bus_lost", "process_ended", "debugger_lost"]


class DebuggerAttached(Event, frozen=True, kw_only=True, tag="debugger_attached"):
    debugpy: str


class DebuggerDetached(Event, frozen=True, kw_only=True, tag="debugger_detached"):
    reason: Literal["last_session_closed", "connection_lost", "process_ended"]


class DapEvent(Event, frozen=True, kw_only=True, tag="dap"):
    """An event of the Debug Adapter Protocol, in DAP's own shape: {"type": "event", "event", "body"}."""

    message: Raw


AnyEvent = (
    ProcessStarted
    | ProcessEnded
    | SessionOpened
    | SessionClosed
    | DebuggerAttached
    | DebuggerDetached
    | DapEvent
)


class EventBatch(BusMessage, frozen=True, kw_only=True, tag="events"):
    """The events of a few milliseconds, each already in its final JSON, so that a relay copies bytes only."""

    boot: BootId
    first: SequenceNumber
    last: SequenceNumber
    events: tuple[Raw, ...]


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
    unavailable: dict[str, str] = {}


# Commands and replies -------------------------------------------------------------------------------------


class Operation(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """Root of what a viewer can ask of one process."""


class OpenSession(Operation, frozen=True, kw_only=True, tag="session.open"):
    session: str


class CloseSession(Operation, frozen=True, kw_only=True, tag="session.close"):
    session: str


class Dap(Operation, frozen=True, kw_only=True, tag="dap"):
    """A DAP request of a session: {"seq", "type": "request", "command", "arguments"}."""

    session: str
    request: Raw


class ReadStacks(Operation, frozen=True, kw_only=True, tag="process.stacks"):
    """The stacks of all threads, without stopping any."""


class ReadSource(Operation, frozen=True, kw_only=True, tag="process.source"):
    path: str


class ListSources(Operation, frozen=True, kw_only=True, tag="process.sources"):
    """The source files that the process has imported."""


AnyOperation = OpenSession | CloseSession | Dap | ReadStacks | ReadSource | ListSources


class ViewerIdentity(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who asked, as the broker verified it."""

    subject: str
    connection: str
    scopes: tuple[str, ...]


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


class StackFrame(Struct, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    line: int
    function: str
    text: str = ""
    """The source line, where it is known."""


class ThreadStack(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Frames with the innermost first."""

    id: int
    name: str
    frames: tuple[StackFrame, ...]
    daemon: bool = False
    truncated: bool = False


class Stacks(Struct, frozen=True, kw_only=True, omit_defaults=True):
    threads: tuple[ThreadStack, ...]
    time: float


class Source(Struct, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    text: str
    sha256: str
    """Of the file's bytes as they are on the process's disk."""


class SourceFile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    module: str
    application: bool = False
    """True for the application's own files, False for the standard library and site-packages."""


class Sources(Struct, frozen=True, kw_only=True, omit_defaults=True):
    files: tuple[SourceFile, ...]
