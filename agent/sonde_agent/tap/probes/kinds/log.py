"""A log: a line of text with what its expressions are."""

from time import time
from types import FrameType
from typing import Any

from sonde_agent.tap.probes.expressions import Expression
from sonde_agent.tap.probes.frames import let_go, where
from sonde_agent.tap.probes.kinds.tools import Tools, value_of
from sonde_expressions import ExpressionFailed, Template

LONGEST = 8192
"""Characters of a message."""


class Log:
    is_heavy = True

    def __init__(self, probe: str, template: Template, tools: Tools) -> None:
        self._probe = probe
        self._template = template
        self._tools = tools

    def take(self, frame: FrameType, number: int) -> bool:
        representer = self._tools.representer()
        texts, works = [], True
        variables = frame.f_locals
        for expression in self._template.expressions:
            try:
                value = expression.evaluate(variables, frame.f_globals)
                texts.append(representer.text(value, self._tools.hidden_name(expression)))
            except ExpressionFailed as failure:
                texts.append(f"<{failure.message}>")
                self._tools.fail(f"{{{expression.text[:80]}}}: {failure.message}")
                works = False
        let_go(frame, variables)
        _say(self._tools, self._probe, frame, number, self._template.render(texts))
        return works

    def measured(self) -> dict[str, Any] | None:
        return None


class PythonLog:
    """Its whole text is one expression."""

    is_heavy = True

    def __init__(self, probe: str, expression: Expression, tools: Tools) -> None:
        self._probe = probe
        self._expression = expression
        self._tools = tools

    def take(self, frame: FrameType, number: int) -> bool:
        try:
            message = self._tools.representer().text(value_of(self._expression, frame))
        except ExpressionFailed as failure:
            self._tools.fail(failure.message)
            return False
        _say(self._tools, self._probe, frame, number, message)
        return True

    def measured(self) -> dict[str, Any] | None:
        return None


def _say(tools: Tools, probe: str, frame: FrameType, number: int, message: str) -> None:
    message = message[:LONGEST]
    fields = {"type": "probe_logged", "time": time(), "probe": probe, "hit": number, "message": message}
    tools.emit({**fields, **where(frame)}, 300 + len(message))
