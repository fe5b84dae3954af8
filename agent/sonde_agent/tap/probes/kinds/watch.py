"""A watch: tells when the value of an expression is another than the one that it told last."""

from time import time
from types import FrameType
from typing import Any

from sonde_agent.tap.probes.allowance import Node
from sonde_agent.tap.probes.expressions import Expression
from sonde_agent.tap.probes.frames import where
from sonde_agent.tap.probes.kinds.tools import Tools, value_of
from sonde_expressions import ExpressionFailed


class Watch:
    """Values are compared as far as they are taken, so that nothing of the program's is asked whether it is equal, and
    kept alive by it: what differs beyond the limits is the same. One value for the whole process."""

    is_heavy = True

    def __init__(self, probe: str, expression: Expression, tools: Tools) -> None:
        self._probe = probe
        self._expression = expression
        self._tools = tools
        self._told: tuple[Node, Any] | None = None

    def look(self, frame: FrameType) -> Node | None:
        """None when it is the same, or there is no value."""
        try:
            value = value_of(self._expression, frame)
        except ExpressionFailed as failure:
            self._tools.fail(f"{self._expression.text[:80]}: {failure.message}")
            return None
        node = self._tools.representer().value(self._tools.hidden_name(self._expression), value)
        told = self._told
        return None if told is not None and told[1] == _plain(node) else node

    def tell(self, frame: FrameType, number: int, node: Node) -> None:
        before, self._told = self._told, (node, _plain(node))
        fields: dict[str, Any] = {
            "type": "watch_changed",
            "time": time(),
            "probe": self._probe,
            "hit": number,
        }
        fields |= {"expression": self._expression.text, "now": node, **where(frame)}
        if before is not None:
            fields["before"] = before[0]
        self._tools.emit(fields, 2 * self._tools.limits.bytes)

    def take(self, frame: FrameType, number: int) -> bool:
        if (node := self.look(frame)) is not None:
            self.tell(frame, number, node)
        return True

    def measured(self) -> dict[str, Any] | None:
        return None


def _plain(node: Any) -> Any:
    """Without the numbers of objects, which tell nothing about the value."""
    if type(node) is dict:
        return {key: _plain(value) for key, value in node.items() if key != "id"}
    return [_plain(each) for each in node] if type(node) in (list, tuple) else node
