"""What the sidecar may ask of the tap, and how it is answered.

Arguments are checked here. Whatever goes wrong becomes a Fault with a code and reason from the wire's closed
list; nothing gets out.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sonde_agent import link
from sonde_agent.tap import (
    deadman,
    debugger,
    diagnosis,
    modules,
    probing,
    runtime,
    sources,
    stacks,
    tasks,
    wall,
)
from sonde_agent.tap.errors import CallRefused

_Arguments = Mapping[str, Any]


def answer(call: link.Call) -> link.Result | link.Fault:
    """Never raises (but see `wall`); never longer than a line of the link may be."""
    fallback: link.Result | link.Fault = link.Fault(
        id=call.id, code="internal", reason="bug", message="the tap failed; this is a bug of Sonde"
    )
    reply = wall.behind(lambda: _answer(call), fallback)
    if isinstance(reply, link.Result) and len(link.encode(reply)) > link.LONGEST_LINE:
        return link.Fault(
            id=call.id, code="resource_exhausted", reason="too_many", message="the answer is too long to send"
        )
    return reply


def _answer(call: link.Call) -> link.Result | link.Fault:
    operation = _OPERATIONS.get(call.operation)
    try:
        if operation is None:
            raise CallRefused(
                "unimplemented", "unknown_method", f"this tap cannot do {call.operation[:40]!r}"
            )
        return link.Result(id=call.id, value=operation(call.arguments))
    except CallRefused as refusal:
        return link.Fault(id=call.id, code=refusal.code, reason=refusal.reason, message=refusal.message)


def _connect(arguments: _Arguments) -> dict[str, Any]:
    return debugger.connect(
        _argument(arguments, "host", str),
        _argument(arguments, "port", int),
        _argument(arguments, "server_token", str),
        _argument(arguments, "client_token", str),
        _seconds(arguments, "lease", deadman.LONGEST_HOLD, deadman.LEASE),
        _seconds(arguments, "evaluation_limit", deadman.LONGEST_HOLD, debugger.EVALUATION_LIMIT),
    )


def _disconnect(_: _Arguments) -> dict[str, Any]:
    debugger.disconnect()
    return {}


def _hold(arguments: _Arguments) -> dict[str, Any]:
    debugger.hold(_seconds(arguments, "seconds", deadman.LONGEST_HOLD))
    return {}


def _interrupt(arguments: _Arguments) -> dict[str, Any]:
    return {"running": debugger.interrupt(_argument(arguments, "seq", int))}


def _stacks(_: _Arguments) -> dict[str, Any]:
    return stacks.read()


def _source(arguments: _Arguments) -> dict[str, Any]:
    return sources.read(_argument(arguments, "path", str))


def _sources(_: _Arguments) -> dict[str, Any]:
    return sources.list_files()


def _tasks(_: _Arguments) -> dict[str, Any]:
    return tasks.read()


def _modules(_: _Arguments) -> dict[str, Any]:
    return modules.read()


def _runtime(_: _Arguments) -> dict[str, Any]:
    return runtime.read()


def _diagnosis(arguments: _Arguments) -> dict[str, Any]:
    return diagnosis.read(
        _optional(arguments, "path", str),
        _optional(arguments, "line", int),
        _optional(arguments, "sha256", str),
    )


def _put_probe(arguments: _Arguments) -> dict[str, Any]:
    return probing.put(_argument(arguments, "probe", dict))


def _drop_probe(arguments: _Arguments) -> dict[str, Any]:
    probing.drop(_argument(arguments, "id", str))
    return {}


def _optional(arguments: _Arguments, name: str, kind: type[Any]) -> Any:
    return None if arguments.get(name) is None else _argument(arguments, name, kind)


def _argument(arguments: _Arguments, name: str, kind: type[Any]) -> Any:
    value = arguments.get(name)
    if type(value) is not kind:
        raise CallRefused("invalid_argument", "invalid_params", f"{name} must be given, as {kind.__name__}")
    return value


def _seconds(arguments: _Arguments, name: str, most: float, default: float | None = None) -> float:
    value = arguments.get(name, default)
    if type(value) not in {int, float} or not 0 < value <= most:  # also not a number
        raise CallRefused(
            "invalid_argument",
            "invalid_params",
            f"{name} must be seconds, more than 0 and at most {most:.0f}",
        )
    return float(value)


_OPERATIONS: Mapping[str, Callable[[_Arguments], dict[str, Any]]] = {
    "debugger.connect": _connect,
    "debugger.disconnect": _disconnect,
    "debugger.hold": _hold,
    "debugger.interrupt": _interrupt,
    "diagnosis": _diagnosis,
    "modules": _modules,
    "probes.drop": _drop_probe,
    "probes.put": _put_probe,
    "runtime": _runtime,
    "source": _source,
    "sources": _sources,
    "stacks": _stacks,
    "tasks": _tasks,
}
