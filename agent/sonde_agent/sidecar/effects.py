"""What goes into the multiplexer and what comes out: the vocabulary of `mux`, and nothing else.

Commands are named by their id; whoever performs an `Answer` knows where the asker waits. Effects are performed in
their order.
"""

from typing import Any

from msgspec import Raw, Struct

from sonde_agent.sidecar.dap.channel import Incoming
from sonde_wire import Failure, bus

# Events in ------------------------------------------------------------------------------------------------


class OpenAsked(Struct, frozen=True, kw_only=True):
    command: str
    session: str
    viewer: str
    broker: str
    time: float
    """Seconds since the epoch, for people."""
    name: str = ""
    metadata: dict[str, str] = {}


class CloseAsked(Struct, frozen=True, kw_only=True):
    command: str
    session: str
    viewer: str


class DapAsked(Struct, frozen=True, kw_only=True):
    command: str
    session: str
    viewer: str
    seq: int
    """The session's own number of the request."""
    request: str
    arguments: dict[str, Any]
    timeout: float


class RenewAsked(Struct, frozen=True, kw_only=True):
    """A heartbeat of whoever debugs."""

    command: str
    session: str
    viewer: str


class SeatAsked(Struct, frozen=True, kw_only=True):
    command: str
    session: str
    viewer: str
    action: bus.SeatAction
    to: str | None = None


class BrokerGone(Struct, frozen=True):
    broker: str


class BusGone(Struct, frozen=True):
    pass


class ProcessGone(Struct, frozen=True):
    pass


class SidecarLeaves(Struct, frozen=True):
    pass


class DebuggerConnected(Struct, frozen=True, kw_only=True):
    debugpy: str
    capabilities: dict[str, Any]
    early: tuple[Incoming, ...] = ()
    """What pydevd said during the handshake."""


class DebuggerFailed(Struct, frozen=True):
    failure: Failure


class DebuggerSaid(Struct, frozen=True):
    message: Incoming


class LineLost(Struct, frozen=True):
    """The line to pydevd ended, and not by `Disconnect`. DebuggerGone follows."""


class DebuggerGone(Struct, frozen=True):
    """The line to pydevd ended, and the tap has cleaned up: also the answer to `Disconnect`."""


class TimePassed(Struct, frozen=True):
    pass


Input = (
    OpenAsked
    | CloseAsked
    | DapAsked
    | RenewAsked
    | SeatAsked
    | BrokerGone
    | BusGone
    | ProcessGone
    | SidecarLeaves
    | DebuggerConnected
    | DebuggerFailed
    | DebuggerSaid
    | LineLost
    | DebuggerGone
    | TimePassed
)

# Effects out ----------------------------------------------------------------------------------------------


class Answer(Struct, frozen=True, kw_only=True):
    command: str
    result: Raw | None = None
    failure: Failure | None = None


class Tell(Struct, frozen=True, kw_only=True):
    """An event for the journal, which numbers it."""

    kind: type[bus.Event]
    fields: dict[str, Any] = {}
    session: str | None = None
    cause: str | None = None


class Connect(Struct, frozen=True):
    """Make pydevd connect; answered by DebuggerConnected or DebuggerFailed."""


class Send(Struct, frozen=True):
    body: bytes


class Disconnect(Struct, frozen=True):
    """Let go of pydevd, whatever state the line is in; answered by DebuggerGone."""


class Hold(Struct, frozen=True):
    """What stands may stand for so many seconds more: for the tap's timer, which lets it run when we hang."""

    seconds: float


class Interrupt(Struct, frozen=True):
    """End what pydevd runs for the request with this number of its own conversation, if it still does."""

    seq: int


class PresenceChanged(Struct, frozen=True):
    pass


Effect = Answer | Tell | Connect | Send | Disconnect | Hold | Interrupt | PresenceChanged
