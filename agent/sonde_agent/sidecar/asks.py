"""What pydevd was asked and on whose behalf, and the words that sessions are answered in. Pure data for `mux`."""

from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from sonde_agent.sidecar.breakpoints import Place, Spec
from sonde_wire import Code, Failure, Reason

CloseReason = Literal["viewer_left", "broker_lost", "bus_lost", "process_ended", "debugger_lost"]


_CAPABILITIES = frozenset(
    {
        "exceptionBreakpointFilters",
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


class Forward(Struct, frozen=True):
    asker: Asker


class Resume(Struct, frozen=True):
    asker: Asker
    threads: tuple[int, ...]


class SetBreakpoints(Struct, frozen=True):
    """Breakpoints that pydevd was given. Nobody asked when a session's own are taken away."""

    asker: Asker | None
    place: Place
    sent: tuple[Spec, ...]
    own: tuple[Spec, ...] = ()
    """What the asker listed, which is what it is answered: it may have listed others since."""


class SetFilters(Struct, frozen=True):
    asker: Asker | None


class Check(Struct, frozen=True):
    """A `stopped` in doubt: first its frame is asked for, then an evaluation in it."""

    thread: int
    body: dict[str, Any]
    has_frame: bool


Tag = Forward | Resume | SetBreakpoints | SetFilters | Check


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


WHY_CLOSED: dict[CloseReason, tuple[Reason, str]] = {
    "viewer_left": (Reason.UNKNOWN_SESSION, "the session was closed before it was open"),
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


def debugger_lost() -> Failure:
    reason, message = WHY_CLOSED["debugger_lost"]
    return Failure(code=Code.ABORTED, reason=reason, message=message)
