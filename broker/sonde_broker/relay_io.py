"""What the relay's core is told (`Happening`) and what it orders its faces to do (`Effect`)."""

from typing import Literal

from msgspec import Struct

from sonde_broker.calls import Call
from sonde_broker.tokens import Claims
from sonde_wire import Address
from sonde_wire.bus import EventBatch, Presence, Reply
from sonde_wire.probes import ProbeMessage, ProbeReport
from sonde_wire.rpc import Topic

ViewerId = str


class Instant(Struct, frozen=True):
    """Both clocks, in seconds: `steady` for deadlines, `wall` (since the epoch) for what tokens and messages say."""

    steady: float
    wall: float


# What the relay is told -----------------------------------------------------------------------------------


class BusUp(Struct, frozen=True):
    pass


class BusDown(Struct, frozen=True):
    pass


class PresenceSeen(Struct, frozen=True):
    process: Address
    presence: Presence
    encoded: bytes


class PresenceCleared(Struct, frozen=True):
    process: Address


class Brought(Struct, frozen=True):
    """An event that carries what a probe saw: values of the program."""

    index: int
    """In its batch."""
    type: str
    probe: str = ""


class EventsSeen(Struct, frozen=True):
    process: Address
    batch: EventBatch
    closed_sessions: tuple[str, ...] = ()
    """Those that the batch says were closed."""
    brought: tuple[Brought, ...] = ()


class MetricsSeen(Struct, frozen=True):
    process: Address
    encoded: bytes


class ProbeSeen(Struct, frozen=True):
    """What is on a probe's topic now; None: nothing."""

    probe: str
    message: ProbeMessage | None


class ProbesReported(Struct, frozen=True):
    """None: it has none any more, or is gone."""

    process: Address
    report: ProbeReport | None


class ProbesRestored(Struct, frozen=True):
    """What was kept over a restart of ours; told before `BusUp`."""

    messages: tuple[ProbeMessage, ...]


class ReplySeen(Struct, frozen=True):
    reply: Reply


class ViewerJoined(Struct, frozen=True):
    viewer: ViewerId
    claims: Claims


class ViewerCalled(Struct, frozen=True):
    viewer: ViewerId
    call: Call


class ViewerLeft(Struct, frozen=True):
    viewer: ViewerId


class TimePassed(Struct, frozen=True):
    """`Relay.deadline` was reached."""


Happening = (
    BusUp
    | BusDown
    | PresenceSeen
    | PresenceCleared
    | EventsSeen
    | MetricsSeen
    | ProbeSeen
    | ProbesReported
    | ProbesRestored
    | ReplySeen
    | ViewerJoined
    | ViewerCalled
    | ViewerLeft
    | TimePassed
)


# What it orders -------------------------------------------------------------------------------------------


class Span(Struct, frozen=True):
    """Events of one boot of one process that a frame carries."""

    process: str
    boot: str
    first: int
    last: int


class Frame(Struct, frozen=True):
    """One notification, ready to be written, and what a viewer misses that does not get it."""

    topic: Topic | Literal["gap"]
    payload: bytes
    spans: tuple[Span, ...] = ()
    """Of events, or the gap itself."""
    items: tuple[tuple[str, bytes], ...] = ()
    """Of presence and probes: name and message, so that the newest can be kept for a viewer that lags."""


class Deliver(Struct, frozen=True):
    """The same frames to all of a group. A viewer that lags gets them later, conflated, or a gap."""

    viewers: tuple[ViewerId, ...]
    frames: tuple[Frame, ...]


class Send(Struct, frozen=True):
    """An answer or a change of state to one viewer: at once, never dropped."""

    viewer: ViewerId
    payload: bytes


class CloseViewer(Struct, frozen=True):
    viewer: ViewerId
    code: int
    reason: str


class Publish(Struct, frozen=True):
    topic: str
    payload: bytes
    retain: bool = False


class KeepProbes(Struct, frozen=True):
    """For a restart of ours; all that there are now."""

    messages: tuple[ProbeMessage, ...]


Effect = Deliver | Send | CloseViewer | Publish | KeepProbes
