"""Counter, gauge and histogram: numbers, kept here and told once a second."""

from math import isfinite
from types import FrameType
from typing import Any

from sonde_agent.tap.probes.expressions import Expression
from sonde_agent.tap.probes.kinds.tools import Tools, value_of
from sonde_agent.tap.probes.sketch import Sketch
from sonde_expressions import ExpressionFailed


class Numbers:
    """What numbers have come to. Two threads at once may lose one of theirs; nobody waits."""

    def __init__(self, *, with_sizes: bool = False) -> None:
        self.count = 0
        self._total = 0.0
        self._last = 0.0
        self._least = float("inf")
        self._most = float("-inf")
        self._sketch = Sketch() if with_sizes else None

    def add(self, value: float) -> None:
        self.count += 1
        self._total += value
        self._last = value
        self._least = min(self._least, value)
        self._most = max(self._most, value)
        if self._sketch is not None:
            self._sketch.add(value)

    def read(self) -> dict[str, Any]:
        """Fields of the wire's `Measured`."""
        fields: dict[str, Any] = {"count": self.count, "total": _sendable(self._total)}
        if self.count:
            fields |= {"last": self._last, "least": self._least, "most": self._most}
        if self._sketch is not None and self._sketch.buckets:
            found = self._sketch.quantiles(0.5, 0.9, 0.99)
            inside = [min(max(each, self._least), self._most) for each in found]
            fields |= dict(zip(("p50", "p90", "p99"), inside, strict=True))
        return fields


class Measure:
    """Of an expression, which must be a number; without one, of 1 for each hit."""

    is_heavy = False

    def __init__(self, expression: Expression | None, tools: Tools, *, with_sizes: bool = False) -> None:
        self._expression = expression
        self._numbers = Numbers(with_sizes=with_sizes)
        self._tools = tools

    def take(self, frame: FrameType, number: int) -> bool:
        if self._expression is None:
            self._numbers.add(1)
            return True
        try:
            value = value_of(self._expression, frame)
            if type(value) is not int and type(value) is not float and type(value) is not bool:
                raise ExpressionFailed("this is not a number")
            value = float(value)
            if not isfinite(value):
                raise ExpressionFailed("this is not a finite number")
        except (ExpressionFailed, OverflowError) as failure:
            reason = failure.message if isinstance(failure, ExpressionFailed) else "this number is too large"
            self._tools.fail(f"{self._expression.text[:80]}: {reason}")
            return False
        self._numbers.add(value)
        return True

    def measured(self) -> dict[str, Any] | None:
        return self._numbers.read()


def _sendable(value: float) -> float:
    return value if isfinite(value) else 0.0
