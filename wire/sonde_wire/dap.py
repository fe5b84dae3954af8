"""Which requests of the Debug Adapter Protocol pass, and on what terms.

DAP (https://microsoft.github.io/debug-adapter-protocol/specification) keeps its names and shapes inside
Sonde; this is the closed list of what is let through. pydevd 1.8.22 never answers some requests that it does
not implement (`loadedSources`, `cancel`, `restartFrame`, `dataBreakpointInfo`, `breakpointLocations`) nor
`exceptionInfo` while running, so what is not listed is refused, and each request has a deadline.
The broker reads the scope from here, the sidecar everything else.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from sonde_wire import codec
from sonde_wire.errors import Code, MalformedMessage, Reason, Refused
from sonde_wire.scopes import Scope


class Answers(Enum):
    """Who answers a request."""

    SESSION = "session"
    """The sidecar, for this session alone: pydevd has one client, and it is not the viewer."""
    DEBUGGER = "debugger"
    """pydevd."""


class Rule(Struct, frozen=True):
    scope: Scope
    answers: Answers = Answers.DEBUGGER
    stopped_only: bool = False
    """Refused while no thread is stopped, because pydevd would not answer or would answer nonsense."""
    drives: bool = False
    """Only the session in the driver's seat may ask it."""
    deadline: float = 10.0
    """Seconds after which the sidecar gives up waiting for pydevd, and interrupts what pydevd runs for it."""


_read = Rule(Scope.INSPECT)
_step = Rule(Scope.CONTROL, stopped_only=True, drives=True)
_change = Rule(Scope.EXECUTE, stopped_only=True, drives=True, deadline=20.0)

RULES: Mapping[str, Rule] = {
    # the session's own life
    "initialize": Rule(Scope.CONTROL, Answers.SESSION),
    "attach": Rule(Scope.CONTROL, Answers.SESSION),
    "configurationDone": Rule(Scope.CONTROL, Answers.SESSION),
    "disconnect": Rule(Scope.CONTROL, Answers.SESSION),
    # breakpoints
    "setBreakpoints": Rule(Scope.CONTROL),
    "setFunctionBreakpoints": Rule(Scope.CONTROL),
    "setExceptionBreakpoints": Rule(Scope.CONTROL),
    # running and stopping
    "pause": Rule(Scope.CONTROL, drives=True),
    "continue": Rule(Scope.CONTROL, drives=True),
    "next": _step,
    "stepIn": _step,
    "stepOut": _step,
    "goto": Rule(Scope.EXECUTE, stopped_only=True, drives=True),
    # reading
    "threads": _read,
    "stackTrace": _read,
    "scopes": Rule(Scope.INSPECT, stopped_only=True),
    "variables": Rule(Scope.INSPECT, stopped_only=True, deadline=20.0),
    "exceptionInfo": Rule(Scope.INSPECT, stopped_only=True),
    "modules": _read,
    "source": _read,
    "stepInTargets": Rule(Scope.INSPECT, stopped_only=True),
    "gotoTargets": Rule(Scope.INSPECT, stopped_only=True),
    # the viewer's own Python
    "evaluate": Rule(Scope.EXECUTE, deadline=20.0),
    "completions": Rule(Scope.EXECUTE, stopped_only=True),
    "setVariable": _change,
    "setExpression": _change,
}

_CODE_IN_BREAKPOINT = ("condition", "hitCondition", "logMessage")


class Request(Struct, frozen=True, kw_only=True):
    """A DAP request as it arrives; `arguments` stay as they are."""

    seq: int
    command: str
    type: str = "request"
    arguments: Raw | UnsetType = UNSET


def read_request(message: Raw | bytes) -> tuple[Request, dict[str, Any]]:
    """The request and its arguments. Raises `MalformedMessage` when it is not a DAP request."""
    request = codec.decode(message, Request)
    if request.type != "request":
        raise MalformedMessage("DAP request", f"type is {request.type[:20]!r}")
    if isinstance(request.arguments, UnsetType):
        return request, {}
    arguments = codec.decode_any(request.arguments)
    if arguments is None:
        return request, {}
    if not isinstance(arguments, dict):
        raise MalformedMessage("DAP request", "arguments are not an object")
    return request, arguments


def rule_for(command: str) -> Rule:
    """Raises `Refused` (unimplemented, dap_not_allowed) for a request that is not on the list."""
    rule = RULES.get(command)
    if rule is None:
        raise Refused(
            Code.UNIMPLEMENTED,
            Reason.DAP_NOT_ALLOWED,
            f"the DAP request {command[:40]!r} is not offered; offered are: {', '.join(sorted(RULES))}",
        )
    return rule


def scope_for(command: str, arguments: Mapping[str, Any]) -> Scope:
    """The scope that a request needs. A breakpoint whose condition, hit condition or log message debugpy would
    run as Python needs `execute`, a plain one `control`; so do exception options, because pydevd evaluates the
    exception names in them (`pydevd_breakpoints.get_exception_class`)."""
    rule = rule_for(command)
    if command in {"setBreakpoints", "setFunctionBreakpoints"}:
        breakpoints = arguments.get("breakpoints")
        if isinstance(breakpoints, list) and any(
            isinstance(each, dict) and any(each.get(key) for key in _CODE_IN_BREAKPOINT)
            for each in breakpoints
        ):
            return Scope.EXECUTE
    if command == "setExceptionBreakpoints" and arguments.get("exceptionOptions"):
        return Scope.EXECUTE
    return rule.scope
