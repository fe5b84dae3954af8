"""Whether a `stopped` is true: after a re-attach pydevd can repeat an old one. Pure.

    the first stop of each later line --its frames are asked for--> `0` is evaluated in the innermost --> shown
                                        no frame, or a refusal: dropped

No answer in time: shown too. Better one stop too many on the screen than a thread that stands unseen. When the
thread goes on meanwhile, the doubt is over without a trace.
"""

from typing import Any

from msgspec import Struct

from sonde_agent.sidecar.asks import Check
from sonde_agent.sidecar.dap.channel import Incoming, body_of

WITHIN = 2.0
"""Seconds for each of the two answers."""


class Question(Struct, frozen=True):
    """What pydevd is to be asked."""

    command: str
    arguments: dict[str, Any]
    check: Check


class Doubt:
    def __init__(self) -> None:
        self._next = False
        self._suspects: dict[int, dict[str, Any]] = {}

    @property
    def threads(self) -> tuple[int, ...]:
        return tuple(self._suspects)

    def begin(self, again: bool) -> None:
        """A line was made; whether one was there before."""
        self._suspects.clear()
        self._next = again

    def over(self, thread: int | None) -> None:
        """It runs or has ended; None: all of them."""
        if thread is None:
            self._suspects.clear()
        else:
            self._suspects.pop(thread, None)

    def stopped(self, thread: int, body: dict[str, Any]) -> Question | None:
        """None: it is to be shown."""
        self._suspects.pop(thread, None)
        if not self._next:
            return None
        self._next = False
        self._suspects[thread] = body
        return Question("stackTrace", {"threadId": thread, "levels": 1}, Check(thread, False))

    def answered(self, check: Check, response: Incoming) -> Question | dict[str, Any] | None:
        """What to ask next, or the body of the stop that is to be shown; None: neither."""
        if check.thread not in self._suspects:
            return None
        if response.success and check.has_frame:
            return self._suspects.pop(check.thread)
        listed = body_of(response).get("stackFrames") if response.success else None
        if not isinstance(listed, list) or not listed or not isinstance(listed[0], dict):
            del self._suspects[check.thread]
            return None
        arguments = {"expression": "0", "frameId": listed[0].get("id"), "context": "watch"}
        return Question("evaluate", arguments, Check(check.thread, True))

    def unanswered(self, check: Check) -> dict[str, Any] | None:
        """The body of the stop that is to be shown."""
        return self._suspects.pop(check.thread, None)
