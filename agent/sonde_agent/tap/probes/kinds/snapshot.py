"""A snapshot: the stack and its variables, with what is asked of them (see `capture`)."""

from time import time
from types import FrameType
from typing import Any

from sonde_agent.tap.probes import capture
from sonde_agent.tap.probes.expressions import Expression
from sonde_agent.tap.probes.kinds.tools import Tools


class Snapshot:
    is_heavy = True

    def __init__(self, probe: str, expressions: tuple[Expression, ...], tools: Tools) -> None:
        self._probe = probe
        self._expressions = expressions
        self._tools = tools

    def take(self, frame: FrameType, number: int) -> bool:
        return self.take_of(frame, number, None)

    def take_of(self, frame: FrameType, number: int, exception: dict[str, Any] | None) -> bool:
        tools = self._tools
        now = time()
        captured = capture.take(
            frame, tools.limits, tools.redaction, self._expressions, tools.calls_user_code
        )
        if exception is not None:
            captured["exception"] = exception
        tools.emit(
            {
                "type": "snapshot_taken",
                "time": now,
                "probe": self._probe,
                "hit": number,
                "captured": captured,
            },
            tools.limits.bytes,
        )
        if self._expressions:
            errors = [each["error"] for each in captured["expressions"] if "error" in each]
            for reason in errors[:1]:
                tools.fail(reason)
        return True  # the rest of it is there

    def measured(self) -> dict[str, Any] | None:
        return None
