"""What the core asks of the history, and what it is told. Plain values: the store is behind them.

Each question carries the sight of whoever asks, and the store applies it: what a token may not see is not counted
either.
"""

from msgspec import Raw, Struct

from sonde_wire import Address, Selector, history
from sonde_wire.bus import Exit, Metrics
from sonde_wire.rpc import HistoryEvents, HistorySessions


class Sight(Struct, frozen=True):
    selectors: tuple[Selector, ...]
    values: bool
    """Whether events that carry values of programs are for it."""


class FindEvents(Struct, frozen=True):
    """Answered by `history.EventPage`. Fails with `InvalidCursor`."""

    wanted: HistoryEvents
    sight: Sight


class FindSessions(Struct, frozen=True):
    """Answered by `history.SessionPage`. Fails with `InvalidCursor`."""

    wanted: HistorySessions
    sight: Sight


class FindSession(Struct, frozen=True):
    """Answered by `history.SessionDetail`, or None when there is none within sight."""

    session: str
    sight: Sight


class ReadRange(Struct, frozen=True):
    """Events `first` to `last` of one boot, as many as `most_bytes` allow. Answered by `RangeRead`."""

    process: Address
    boot: str
    first: int
    last: int
    most_bytes: int


class StoredEvent(Struct, frozen=True):
    seq: int
    kind: str
    """The event's type."""
    body: bytes


class RangeRead(Struct, frozen=True):
    """In order, holes left out. It covers up to `upto`, which is less than what was asked when there was too much."""

    events: tuple[StoredEvent, ...]
    upto: int


class FindBoots(Struct, frozen=True):
    """The boots of a process that began after that one did, the oldest first. Answered by `BootsFound`."""

    process: Address
    after: str


class StoredBoot(Struct, frozen=True):
    boot: str
    last: int
    """The highest number that is stored."""


class BootsFound(Struct, frozen=True):
    """`last` is of the boot that was named: the highest number stored of it, 0 when it is not known."""

    last: int
    later: tuple[StoredBoot, ...]


class FindSnapshot(Struct, frozen=True):
    """Answered by the event, or None."""

    snapshot: str
    sight: Sight


class FindResults(Struct, frozen=True):
    """What a probe brought: snapshots, log lines, changed values. Answered by `ResultsFound`."""

    probe: str
    limit: int
    sight: Sight


class ResultsFound(Struct, frozen=True):
    """The newest, the newest last."""

    events: tuple[Raw, ...]
    more: bool


class SumUp(Struct, frozen=True):
    """For a report. Answered by `Summary`."""

    selector: Selector
    since: float
    sight: Sight


class EndedProcess(Struct, frozen=True):
    process: Address
    exit: Exit
    metrics: Metrics | None


class Summary(Struct, frozen=True):
    events: dict[str, int]
    """By kind."""
    sessions: int
    open_sessions: int
    session_time: float
    ended: tuple[EndedProcess, ...]
    """Since then; at most some thousands, the newest."""


Query = FindEvents | FindSessions | FindSession | ReadRange | FindBoots | FindSnapshot | FindResults | SumUp
Answer = (
    history.EventPage
    | history.SessionPage
    | history.SessionDetail
    | RangeRead
    | BootsFound
    | ResultsFound
    | Summary
    | Raw
    | None
)
