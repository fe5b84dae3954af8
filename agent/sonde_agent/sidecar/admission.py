"""The one place where a command is admitted before anything runs. Pure.

The broker checks the viewer's token and scopes; this is the second line: a command for another process or
another boot, or beyond the scopes that it carries itself, is refused here whatever the broker thought. It is
also where the broker's signature (`Command.authorization`) belongs, first of all checks.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from sonde_wire import Code, Failure, MalformedMessage, Reason, Refused, Scope, bus, dap, rpc

_OF_BROKERS: Mapping[type[bus.Operation], Scope] = {bus.ReadEvents: Scope.OBSERVE}
"""What a viewer cannot ask by that name: a broker does, for the sake of one. It keeps back what that may not see."""


class Admitted(Struct, frozen=True):
    """A command that may run. For a DAP request also what it says, so that it is read once."""

    command: bus.Command
    seq: int = 0
    request: str = ""
    arguments: Mapping[str, Any] = {}


def admit(command: bus.Command, process: str, boot: str) -> Admitted | Failure:
    if command.process != process:
        return Failure(
            code=Code.NOT_FOUND,
            reason=Reason.UNKNOWN_PROCESS,
            message=f"this is {process}, not the process that the command names",
        )
    if command.boot is not None and command.boot != boot:
        return Failure(
            code=Code.FAILED_PRECONDITION,
            reason=Reason.STALE_BOOT,
            message="the process was started anew since; look at it again before you go on",
        )
    operation = command.operation
    try:
        if isinstance(operation, bus.Dap):
            request, arguments = dap.read_request(operation.request)
            needed: Scope | None = dap.scope_for(request.command, arguments)
            admitted = Admitted(command, request.seq, request.command, arguments)
        else:
            needed = _OF_BROKERS.get(type(operation)) or rpc.METHODS[_method(operation)].scope
            admitted = Admitted(command)
    except MalformedMessage as error:
        return Failure(code=Code.INVALID_ARGUMENT, reason=Reason.MALFORMED_MESSAGE, message=str(error))
    except Refused as refusal:
        return refusal.failure
    if needed is not None and needed not in command.viewer.scopes:
        return Failure(
            code=Code.PERMISSION_DENIED,
            reason=Reason.MISSING_SCOPE,
            message=f"this needs the scope {needed.value}, which the token does not carry",
        )
    return admitted


def _method(operation: bus.Operation) -> str:
    return str(operation.__struct_config__.tag)
