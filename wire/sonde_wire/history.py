"""What is remembered of a fleet: events after the fact, debug sessions, and reports.

Times are seconds since the epoch (UTC), durations are seconds. Pages are followed by an opaque cursor, which is good for the
same question only.
"""

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from sonde_wire.addresses import ProcessName
from sonde_wire.bus import BootId, BreakpointSet, Counts, Peaks, SequenceNumber


class Cursor(Struct, frozen=True, kw_only=True):
    """How far a viewer has got with the events of a process: `seq` is the last that it has, 0 for none of that boot."""

    process: ProcessName
    boot: BootId
    seq: Annotated[int, Meta(ge=0)]


PageCursor = Annotated[str, Meta(min_length=1, max_length=256)]


class EventPage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    events: tuple[Raw, ...]
    """As the processes told them."""
    cursor: PageCursor | None = None
    """Where the next page begins; None: there is no more now."""
    withheld: bool = False
    """Events that carry values of programs were left out: the token has no `inspect`."""


class SessionRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One viewer's debug session on one process, from its opening to its close."""

    session: str
    process: ProcessName
    boot: BootId
    viewer: str
    opened: float
    first: SequenceNumber
    """The number of the event that says that it was opened."""
    name: str = ""
    metadata: dict[str, str] = {}
    closed: float | None = None
    """None: it is open, or nobody saw its end."""
    last: SequenceNumber | None = None
    """The number of the event that says that it was closed."""
    reason: str | None = None
    """Why it was closed, as `session_closed` says."""


class SessionPage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    sessions: tuple[SessionRecord, ...]
    """The newest first."""
    cursor: PageCursor | None = None


class SessionStatistics(Struct, frozen=True, kw_only=True, omit_defaults=True):
    events: int
    kinds: dict[str, int]
    """Events by kind: the type of an event, and for `dap` DAP's name behind a dot, such as `dap.stopped`."""
    stops: int = 0
    duration: float | None = None
    """From the opening to the close, or to the last event of one that is not closed."""
    stopped: float = 0.0
    """How long some thread stood, all in all."""
    longest_stop: float = 0.0
    missing: int = 0
    """Events of its time that nobody has."""


class SessionDetail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    session: SessionRecord
    statistics: SessionStatistics
    breakpoints: tuple[BreakpointSet, ...] = ()
    """Each set that it made, in order; the last of a path is what stood at its end."""


class OperationReport(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An operation of a service, over all its processes."""

    service: str
    name: str
    processes: int
    total: Counts
    """`duration` has the average over all, the least and the most; its percentiles are those of the slowest process."""
    errors: dict[str, int] = {}
    """By exception class."""


class ProcessPeaks(Struct, frozen=True, kw_only=True, omit_defaults=True):
    process: ProcessName
    peaks: Peaks


class FleetReport(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened in a part of a fleet, and how it does."""

    selector: str
    time: float
    since: float
    """Of events, sessions and processes that have ended. Operations and peaks are counted since each process began."""
    online: int = 0
    ended: int = 0
    lost: int = 0
    unheard: tuple[ProcessName, ...] = ()
    """Online, and told no metrics in time: they are not in operations and peaks."""
    events: dict[str, int] = {}
    """By kind."""
    sessions: int = 0
    open_sessions: int = 0
    session_time: float = 0.0
    """Of those that are closed, all in all."""
    snapshots: int = 0
    operations: tuple[OperationReport, ...] = ()
    """Those with the longest `most` first."""
    success_rate: float | None = None
    """Of all operations that ended and were not cancelled, 0 to 1."""
    error_rate: float | None = None
    errors: dict[str, int] = {}
    """Of operations, by exception class, and exits by signal or code as `exit ...`."""
    peaks: tuple[ProcessPeaks, ...] = ()
    """Those that used the most memory first, at most 20."""
    history: Literal["up", "degraded", "none"] = "none"
    """Without a history, events, sessions and ended processes are not known."""
