"""What the relay's core is told (`Happening`) and what it orders its faces to do (`Effect`)."""

from typing import Literal

from msgspec import Struct, structs

from sonde_broker.calls import Call
from sonde_broker.queries import Answer, Query
from sonde_broker.tokens import Claims
from sonde_wire import Address, Failure
from sonde_wire.bus import BrokerPresence, EventBatch, Presence, Reply
from sonde_wire.probes import ProbeMessage, ProbeReport
from sonde_wire.rpc import StoreState, Topic

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


class Header(Struct, frozen=True, gc=False):
    """What the broker reads of an event; its body is copied only."""

    type: str
    process: str
    boot: str
    seq: int
    time: float
    session: str | None = None
    probe: str = ""


class EventsSeen(Struct, frozen=True):
    process: Address
    batch: EventBatch
    headers: tuple[Header, ...] = ()
    """One for each event."""
    closed_sessions: tuple[str, ...] = ()
    """Those that the batch says were closed."""
    outputs: tuple[int, ...] = ()
    """Which of its events, by their index, are what the program printed."""
    brought: tuple[int, ...] = ()
    """And which carry what a probe saw."""

    def after(self, seq: int) -> "EventsSeen":
        """What is later than that event, which is in it."""
        gone = seq - self.batch.first + 1
        return EventsSeen(
            self.process,
            structs.replace(self.batch, first=seq + 1, events=self.batch.events[gone:]),
            self.headers[gone:],
            (),
            tuple(index - gone for index in self.outputs if index >= gone),
            tuple(index - gone for index in self.brought if index >= gone),
        )


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


class StoreChanged(Struct, frozen=True):
    """`problem` is a sentence when it is degraded."""

    state: StoreState
    identity: str | None = None
    problem: str = ""


class Committed(Struct, frozen=True):
    """Process, boot, and the number up to which everything of it is stored or lost for good; told for each batch that was
    to be kept, also where it brought nothing new."""

    streams: tuple[tuple[Address, str, int], ...]


class StoreAnswered(Struct, frozen=True):
    """To the query of that number."""

    number: int
    answer: Answer | Failure


class BrokerSeen(Struct, frozen=True):
    """Another one, or ourselves. None: it took leave."""

    broker: str
    presence: BrokerPresence | None


class Listening(Struct, frozen=True):
    """The bus has confirmed these filters."""

    filters: tuple[str, ...]


class ViewerJoined(Struct, frozen=True):
    viewer: ViewerId
    claims: Claims
    passing: bool = False
    """It asks one thing and goes: its coming and going is no news."""


class ViewerCalled(Struct, frozen=True):
    viewer: ViewerId
    call: Call


class ViewerLeft(Struct, frozen=True):
    viewer: ViewerId


class KeysChanged(Struct, frozen=True):
    """Tokens are taken from now on that these keys have signed, and no others."""

    taken: frozenset[str]
    """Their fingerprints."""


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
    | StoreChanged
    | Committed
    | StoreAnswered
    | BrokerSeen
    | Listening
    | ViewerJoined
    | ViewerCalled
    | ViewerLeft
    | KeysChanged
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
    """Of all but events: name and message, so that the newest can be kept for a viewer that lags."""
    lean: bytes | None = None
    """The payload without what programs printed, where that was in it."""
    thinned: tuple[Span, ...] = ()
    """What is not in `lean`."""
    events: int = 0
    """How many are in it."""


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
    expires: float | None = None
    """Seconds after which nobody needs it any more, for servers that can forget (MQTT 5)."""


class Listen(Struct, frozen=True):
    """Subscribe on the bus; `Listening` follows."""

    filters: tuple[str, ...]


class Unlisten(Struct, frozen=True):
    filters: tuple[str, ...]


class Keep(Struct, frozen=True):
    """For the history. `Committed` follows, unless the store fails or has too much to do: then its sidecar sends it again."""

    process: Address
    batch: EventBatch
    headers: tuple[Header, ...]


class AskStore(Struct, frozen=True):
    """`StoreAnswered` follows, always."""

    number: int
    query: Query


class Announce(Struct, frozen=True):
    """Our presence on the bus has changed: the identity of the history that we write into, if any."""

    store: str | None


class KeepProbes(Struct, frozen=True):
    """For a restart of ours; all that there are now."""

    messages: tuple[ProbeMessage, ...]


Effect = Deliver | Send | CloseViewer | Publish | Listen | Unlisten | Keep | AskStore | Announce | KeepProbes
