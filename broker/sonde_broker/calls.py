"""A viewer's message to a `Call`, or the answer that says what is wrong with it.

Stricter than JSON: a name that occurs twice in one object is refused, at any depth, because two readers of
such text (we, who decide, and somebody behind us, who acts) might each take another of the two values.
"""

import json
from typing import Any

import msgspec
from msgspec import Struct, UnsetType

from sonde_wire import Code, Failure, MalformedMessage, Reason, bus, codec, rpc
from sonde_wire.facts import trace_of


class Call(Struct, frozen=True):
    id: int | str
    method: str
    params: rpc.Params
    trace: bus.TraceContext | None = None
    """Of the caller, where it sent one; it goes with the command to the process."""


class Unreadable(Struct, frozen=True):
    """`id` is None when not even that could be read."""

    id: int | str | None
    failure: Failure

    @property
    def malformed(self) -> bool:
        """Whether it was not a JSON-RPC request at all, which no correct viewer sends."""
        return self.failure.reason is Reason.MALFORMED_MESSAGE


class _TwiceNamed(ValueError):
    pass


def read_call(text: str | bytes) -> Call | Unreadable:
    try:
        request = codec.decode(text, rpc.Request)
        json.loads(text, object_pairs_hook=_refuse_twice_named)
    except MalformedMessage as error:
        return Unreadable(None, _malformed(f"not a JSON-RPC 2.0 request: {error.problem}"))
    except _TwiceNamed as error:
        return Unreadable(None, _malformed(f"the name {str(error)[:40]!r} occurs twice in one object"))
    except (ValueError, RecursionError):
        return Unreadable(None, _malformed("not JSON text that can be read safely"))
    method = rpc.METHODS.get(request.method)
    if method is None:
        offered = ", ".join(sorted(rpc.METHODS))
        return Unreadable(
            request.id,
            Failure(
                code=Code.UNIMPLEMENTED,
                reason=Reason.UNKNOWN_METHOD,
                message=f"there is no method {request.method!r}; there are: {offered}",
            ),
        )
    try:
        params = codec.decode(
            b"{}" if isinstance(request.params, UnsetType) else request.params, method.params
        )
    except MalformedMessage as error:
        fields = ", ".join(method.params.__struct_fields__) or "none"
        return Unreadable(
            request.id,
            Failure(
                code=Code.INVALID_ARGUMENT,
                reason=Reason.INVALID_PARAMS,
                message=f"wrong params for {request.method}: {error.problem}; its params are: {fields}",
            ),
        )
    return Call(request.id, request.method, params, trace_context(request.traceparent, request.tracestate))


def trace_context(traceparent: str, tracestate: str) -> bus.TraceContext | None:
    """None for one that is absent or malformed, which never is a reason to refuse (W3C Trace Context, 3.3)."""
    if trace_of(traceparent) is None:
        return None
    try:
        return msgspec.convert({"traceparent": traceparent, "tracestate": tracestate}, bus.TraceContext)
    except msgspec.ValidationError:
        return None


def _malformed(problem: str) -> Failure:
    return Failure(code=Code.INVALID_ARGUMENT, reason=Reason.MALFORMED_MESSAGE, message=problem)


def _refuse_twice_named(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _TwiceNamed(name)
        found[name] = value
    return found
