"""A probe is made of its specification: its expressions are compiled."""

from collections.abc import Callable
from typing import Any

from sonde_agent.tap.probes.allowance import Limits
from sonde_agent.tap.probes.expressions import Expression, compiled, compiled_format, compiled_template
from sonde_agent.tap.probes.gate import Gate
from sonde_agent.tap.probes.kinds.exception import OnException
from sonde_agent.tap.probes.kinds.log import Log, PythonLog
from sonde_agent.tap.probes.kinds.measures import Measure
from sonde_agent.tap.probes.kinds.snapshot import Snapshot
from sonde_agent.tap.probes.kinds.timer import Timer
from sonde_agent.tap.probes.kinds.tools import Kind, Tools
from sonde_agent.tap.probes.kinds.watch import Watch
from sonde_agent.tap.probes.probe import Probe
from sonde_agent.tap.probes.specification import Specification


def make(
    spec: Specification,
    gate: Gate,
    emit: Callable[[dict[str, Any], int], None],
    news: Callable[[], None],
) -> Probe:
    """Raises `CallRefused` for what cannot be compiled."""
    made: list[Probe] = []

    def fail(reason: str) -> None:
        made[0].failed(reason)

    tools = Tools(Limits(**spec.capture), emit, fail, spec.calls_user_code)
    condition = None if spec.condition is None else compiled(spec.condition, python=spec.python)
    kind, counted = _kind(spec, tools)
    made.append(Probe(spec, gate, kind, condition, counted, news))
    return made[0]


def _kind(spec: Specification, tools: Tools) -> tuple[Kind, list[Expression]]:
    """And the expressions whose values are shown as no values that could be hidden."""

    def expression() -> Expression:
        return compiled(spec.expression or "", python=spec.python)

    match spec.kind:
        case "snapshot":
            asked = tuple(compiled(each, python=spec.python) for each in spec.expressions)
            return Snapshot(spec.id, asked, tools), []
        case "exception":
            return OnException(spec, tools), []
        case "log" if spec.python:
            text = compiled_format(spec.template)
            return PythonLog(spec.id, text, tools), [text]
        case "log":
            return Log(spec.id, compiled_template(spec.template), tools), []
        case "watch":
            return Watch(spec.id, expression(), tools), []
        case "timer":
            return Timer(), []
        case _ if spec.expression is None:
            return Measure(None, tools), []
        case _:
            counted = expression()
            return Measure(counted, tools, with_sizes=spec.kind == "histogram"), [counted]
