"""What pydevd was asked and on whose behalf, and the words that sessions are answered in. Pure data for `mux`."""

from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from sonde_agent.sidecar.breakpoints import Place, Spec
from sonde_agent.sidecar.filters import Wanted
from sonde_wire import Code, Failure, Reason

CloseReason = Literal["viewer_left", "broker_lost", "bus_lost", "process_ended", "debugger_lost"]


_CAPABILITIES = frozenset(
    {
        "exceptionBreakpointFilters",
        "supportsExceptionOptions",
        "supportsConfigurationDoneRequest",
        "supportsConditionalBreakpoints",
        "supportsHitConditionalBreakpoints",
        "supportsEvaluateForHovers",
        "supportsSetVariable",
        "supportsGotoTargetsRequest",
        "supportsCompletionsRequest",
        "supportsModulesRequest",
        "supportsValueFormattingOptions",
        "supportsExceptionInfoRequest",
        "supportsDelayedStackTraceLoading",
        "supportsLogPoints",
        "supportsSetExpression",
        "supportsClipboardContext",
        "supportsFunctionBreakpoints",
        "supportsStepInTargetsRequest",
    }
)


class Asker(Struct, frozen=True):
    """Whose request it is that pydevd answers."""

    command: str
    session: str
    seq: int
    request: str
    hides: bool = False
    """What is answered must not be seen, whatever it is (see `redacting`)."""


class Forward(Struct, frozen=True):
    """`runs_code`: it can run any of the program's own, and is interrupted at its deadline."""

    asker: Asker
    runs_code: bool = False


class Interrupted(Struct, frozen=True):
    """It was told to end what it runs, after so many seconds."""

    asker: Asker
    after: float


class Resume(Struct, frozen=True):
    """Nobody asked where the lease lapsed."""

    asker: Asker | None
    threads: tuple[int, ...]


class SetBreakpoints(Struct, frozen=True):
    """Breakpoints that pydevd was given. Nobody asked when they are taken away, put to sleep or armed again."""

    asker: Asker | None
    place: Place
    sent: tuple[Spec, ...]
    own: tuple[Spec, ...] = ()
    """What the asker listed, which is what it is answered: it may have listed others since."""


class SetFilters(Struct, frozen=True):
    asker: Asker | None
    sent: Wanted


class Check(Struct, frozen=True):
    """A `stopped` in doubt: first its frame is asked for, then an evaluation in it."""

    thread: int
    has_frame: bool


class Locate(Struct, frozen=True):
    """Where a thread stands, at its stop with this number (see `locating`)."""

    thread: int
    stop: int


class Join(Struct, frozen=True):
    """The threads, for a session that is being opened."""

    session: str


class Probe(Struct, frozen=True):
    """Whether pydevd still answers anything."""


Tag = Forward | Interrupted | Resume | SetBreakpoints | SetFilters | Check | Locate | Join | Probe


class Joined(Struct, frozen=True):
    """The session that is being opened can be answered."""

    session: str
    threads: tuple[Raw, ...]


class Wedged(Struct, frozen=True):
    """pydevd does not even answer what it always answers at once, or says what is not DAP."""


Outcome = Joined | Wedged
"""What came of the conversation that concerns more than who asked."""


class Response(Struct, frozen=True, kw_only=True):
    seq: int
    type: Literal["response"]
    request_seq: int
    success: bool
    command: str
    message: str | UnsetType = UNSET
    body: dict[str, Any] | Raw | UnsetType = UNSET


def passed_on(capabilities: dict[str, Any]) -> dict[str, Any]:
    """pydevd's capabilities, less what Sonde does not offer."""
    return {key: value for key, value in capabilities.items() if key in _CAPABILITIES and value}


_WHY_CLOSED: dict[CloseReason, tuple[Reason, str]] = {
    "viewer_left": (Reason.UNKNOWN_SESSION, "the session was closed meanwhile"),
    "broker_lost": (Reason.BUS_LOST, "the broker was lost; open the session again"),
    "bus_lost": (Reason.BUS_LOST, "the bus was lost; open the session again"),
    "process_ended": (Reason.PROCESS_ENDED, "the process has ended; its successor has a presence of its own"),
    "debugger_lost": (Reason.DEBUGGER_LOST, "the debugger in the process was lost; open the session again"),
}


def no_answer(request: str) -> Failure:
    return Failure(
        code=Code.DEADLINE_EXCEEDED,
        reason=Reason.NO_ANSWER,
        message=f"the debugger did not answer {request} in time; the process may be busy in native code",
    )


def interrupted(request: str, after: float, *, stands: bool) -> Failure:
    return Failure(
        code=Code.DEADLINE_EXCEEDED,
        reason=Reason.INTERRUPTED,
        message=f"{request} was interrupted after {after:.0f} s"
        + ("; the thread still stands" if stands else ""),
    )


def not_interrupted(request: str, after: float) -> Failure:
    return Failure(
        code=Code.DEADLINE_EXCEEDED,
        reason=Reason.NO_ANSWER,
        message=f"{request} was told to end after {after:.0f} s and has not: it is in native code, or waits for "
        "something that this stop holds up; its thread does nothing else until it ends",
    )


def being_attached() -> Failure:
    return Failure(
        code=Code.UNAVAILABLE,
        reason=Reason.DEBUGGER_LOST,
        message="the debugger is being attached again; try again in a moment",
    )


def lost_meanwhile() -> Failure:
    return Failure(
        code=Code.ABORTED,
        reason=Reason.DEBUGGER_LOST,
        message="the debugger was lost while this was under way; it is being attached again: ask once more",
    )


def not_open() -> Failure:
    return Failure(
        code=Code.UNAVAILABLE,
        reason=Reason.UNKNOWN_SESSION,
        message="the session is not open yet; wait for the answer to session.open",
    )


def why_closed(reason: CloseReason, code: Code = Code.ABORTED) -> Failure:
    why, message = _WHY_CLOSED[reason]
    return Failure(code=code, reason=why, message=message)
