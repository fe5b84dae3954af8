"""From a viewer's call to the operation that is asked of a process, and how long its answer may take. Pure."""

from collections.abc import Callable, Mapping

from msgspec import Raw, Struct

from sonde_broker.relay_io import Effect, Instant, ViewerId
from sonde_wire import Address, Code, Failure, MalformedMessage, Reason, Refused, Scope, bus, dap, rpc

MARGIN = 2.0
"""How much longer than the sidecar the broker waits, in seconds, so that the sidecar's own reason arrives."""
_TIMEOUT = 10.0
OPEN_TIMEOUT = 20.0
"""The first session of a process imports and connects debugpy."""


class Order(Struct, frozen=True):
    """An operation with the seconds that the process has for it."""

    operation: bus.AnyOperation
    timeout: float = _TIMEOUT


class Pending(Struct, frozen=True):
    """A command that was published and is not answered yet."""

    viewer: ViewerId
    request: int | str
    method: str
    process: Address
    session: str | None = None
    then: Callable[[Raw | Failure, Instant], list[Effect]] | None = None
    """The broker asks for itself, for the sake of that call: what is done with the outcome."""


_READS: Mapping[str, bus.AnyOperation] = {
    "process.stacks": bus.ReadStacks(),
    "process.sources": bus.ListSources(),
    "process.tasks": bus.ReadTasks(),
    "process.modules": bus.ListModules(),
    "process.runtime": bus.ReadRuntime(),
}


def read_order(params: rpc.OfProcess | rpc.SourceOfProcess | rpc.DiagnoseProcess, method: str) -> Order:
    """The operation of a `process.*` method."""
    match params:
        case rpc.OfProcess():
            return Order(_READS[method])
        case rpc.SourceOfProcess(path=path):
            return Order(bus.ReadSource(path=path))
        case rpc.DiagnoseProcess(path=path, line=line, sha256=sha256):
            return Order(bus.Diagnose(path=path, line=line, sha256=sha256))


def read_session_order(params: rpc.OfSession | rpc.SeatCall, method: str) -> Order:
    """The operation of a `session.*` method on an open session."""
    match params:
        case rpc.SeatCall(session=session, action=action, to=to):
            return Order(bus.TakeSeat(session=session, action=action, to=to))
        case rpc.OfSession(session=session) if method == "session.close":
            return Order(bus.CloseSession(session=session))
        case rpc.OfSession(session=session):
            return Order(bus.RenewLease(session=session))


def read_dap(params: rpc.DapCall) -> tuple[Order, str, Scope]:
    """The operation, its DAP command and the scope that it needs. Raises `Refused`."""
    try:
        request, arguments = dap.read_request(params.request)
    except MalformedMessage as error:
        raise Refused(
            Code.INVALID_ARGUMENT,
            Reason.INVALID_PARAMS,
            f'request must be a whole DAP request ({{"seq", "type": "request", "command", "arguments"}}): '
            f"{error.problem}",
        ) from None
    rule = dap.rule_for(request.command)
    if not isinstance(arguments.get("breakpoints") or [], list):
        raise Refused(
            Code.INVALID_ARGUMENT, Reason.INVALID_PARAMS, f"{request.command}: breakpoints must be a list"
        )
    operation = bus.Dap(session=params.session, request=params.request)
    return Order(operation, rule.deadline), request.command, dap.scope_for(request.command, arguments)


def timed_out(method: str) -> Refused:
    return Refused(
        Code.DEADLINE_EXCEEDED,
        Reason.NO_ANSWER,
        f"the process did not answer {method} in time; it may still do what was asked",
    )


def process_gone(process: Address, state: str) -> Refused:
    if state == "lost":
        return Refused(
            Code.UNAVAILABLE,
            Reason.PROCESS_ENDED,
            f"{process} is lost: nobody knows whether it still runs; it may come back",
        )
    return Refused(Code.FAILED_PRECONDITION, Reason.PROCESS_ENDED, f"{process} has ended")


def stale_boot(process: Address) -> Refused:
    return Refused(
        Code.ABORTED, Reason.STALE_BOOT, f"{process} was restarted since; open a new session on it"
    )


def bus_lost(*, sent: bool = False) -> Refused:
    after = "; what was asked may have been done" if sent else "; try again when a `bus` notification says up"
    return Refused(Code.UNAVAILABLE, Reason.BUS_LOST, f"the broker has lost the bus{after}")


def unknown_session(session: str) -> Refused:
    return Refused(
        Code.NOT_FOUND,
        Reason.UNKNOWN_SESSION,
        f"you have no session {session[:64]!r}; it may have been closed: open one with session.open",
    )


def too_many(what: str, most: int) -> Refused:
    return Refused(
        Code.RESOURCE_EXHAUSTED, Reason.TOO_MANY, f"a viewer can have {most} {what} at a time; end some first"
    )
