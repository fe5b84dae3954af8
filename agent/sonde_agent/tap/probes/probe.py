"""One probe at work: what happens at each hit, in the program's own thread.

    closed? -> sampled? -> condition -> rate and number -> what its kind does

Each hit is charged with the time that it took; who is over what the budget leaves closes at once, and the engine decides
whether it is suspended. Nothing here waits, and nothing takes a lock.
"""

from collections.abc import Callable, Sequence
from itertools import count
from sys import getrefcount, gettrace
from time import monotonic, perf_counter_ns, thread_time_ns, time
from types import CodeType, FrameType
from typing import Any

from sonde_agent.tap.probes.expressions import Expression
from sonde_agent.tap.probes.finding import Spot
from sonde_agent.tap.probes.frames import KEEPS, let_go, names_of, path_of
from sonde_agent.tap.probes.gate import Gate
from sonde_agent.tap.probes.kinds.timer import Timer
from sonde_agent.tap.probes.kinds.tools import Kind
from sonde_agent.tap.probes.kinds.watch import Watch
from sonde_agent.tap.probes.layouts import short
from sonde_agent.tap.probes.specification import Specification
from sonde_expressions import ExpressionFailed

_AROUND = 400
"""Nanoseconds that a hit takes beside what is measured: the interpreter's way to us and back."""
_MOST = 100_000
"""Nanoseconds that a decision can have taken; when it seems more, other threads had their turn in between."""
_FIRST = 16
"""Hits that are all timed; then one in eight is, and stands for the next."""
_GOLDEN = 0.6180339887498949
_MOST_PLACES = 20


class Probe:
    """`news` is called, in any thread, when its state is another than before."""

    def __init__(
        self,
        spec: Specification,
        gate: Gate,
        kind: Kind,
        condition: Expression | None,
        counted: Sequence[Expression],
        news: Callable[[], None],
    ) -> None:
        self.spec = spec
        self.gate = gate
        self.kind = kind
        self.spots: tuple[Spot, ...] = ()
        self.is_wired = False
        self.note = ""
        """What is to be known of it while nothing else is to be said."""
        self.spent = 0
        """Nanoseconds, since it began."""
        self.allowed = 1 << 62
        """What `spent` may come to before the budget is asked."""
        self.telling = (*counted, *(() if condition is None else (condition,)))
        """Expressions whose results are no values that could be hidden."""
        self._condition = condition
        self._watch = kind if isinstance(kind, Watch) else None
        self._is_heavy = kind.is_heavy
        self._turn = 0
        self._each = _AROUND
        self._is_sampled = spec.sample < 1
        self._chances = count(1)
        self._last_code: tuple[CodeType | None, frozenset[str]] = (None, frozenset())
        """Where its condition was asked last, and the names of the variables there."""
        self._news = news

    def hit(self, frame: FrameType) -> None:
        gate = self.gate
        if not gate.is_open:
            return
        turn = self._turn = self._turn + 1
        began = perf_counter_ns() if turn < _FIRST or not turn & 7 else 0
        if (self._is_sampled and not gate.is_sampled(next(self._chances) * _GOLDEN % 1)) or (
            self._condition is not None and not self._holds(self._condition, frame)
        ):
            pass
        elif self._is_heavy:
            self._take(frame)
            began = 0
        elif number := self.admit():
            self._worked(number, self.kind.take(frame, number))
        if began:
            taken = perf_counter_ns() - began
            self._each = _AROUND + (taken if taken < _MOST else _MOST)  # noqa: FURB136 - each call counts here
        spent = self.spent = self.spent + self._each
        if spent > self.allowed:
            gate.hold()
            self._news()

    def hit_by(self, frame: FrameType, take: Callable[[int], None]) -> None:
        """As `hit`, by something else than coming to a place, with what is then to do."""
        began = thread_time_ns()
        if (self._condition is None or self._holds(self._condition, frame)) and (number := self.admit()):
            take(number)
            self._worked(number, True)
        self.charge(_AROUND + thread_time_ns() - began)

    def charge(self, nanoseconds: int = _AROUND) -> None:
        """For what was done on its account, without a hit too."""
        self.spent += nanoseconds
        if self.spent > self.allowed:
            self.gate.hold()
            self._news()

    def failed(self, reason: str) -> None:
        """A condition or expression had no value."""
        gate = self.gate
        gate.failed(short(reason))
        if gate.failures == 1:
            self._news()

    def admit(self) -> int:
        number = self.gate.admit(monotonic())
        if not number or not self.gate.is_open:
            self._news()
        return number

    def _take(self, frame: FrameType) -> None:
        began = thread_time_ns()
        if self._watch is not None:
            node = self._watch.look(frame)
            if node is not None and (number := self.admit()):
                self._watch.tell(frame, number, node)
                self._worked(number, True)
        elif number := self.admit():
            self._worked(number, self.kind.take(frame, number))
        self.spent += thread_time_ns() - began

    def _holds(self, condition: Expression, frame: FrameType) -> bool:
        variables = frame.f_locals
        try:
            return condition.holds(variables, frame.f_globals)
        except ExpressionFailed as failure:
            self.failed(f"{condition.text[:80]}: {failure.message}")
            return False
        finally:
            if KEEPS:
                # `let_go`, written out for what is usual: this is the way of most hits
                code, names = self._last_code
                if code is not frame.f_code:
                    code, names = self._last_code = (frame.f_code, names_of(frame.f_code))
                if getrefcount(variables) <= 3 and names.issuperset(variables) and gettrace() is None:
                    variables.clear()
                else:
                    let_go(frame, variables)

    def _worked(self, number: int, works: bool) -> None:
        if works:
            self.gate.worked()
        if number == 1:
            self._news()

    def status(self, now: float, share: float, engine: str) -> dict[str, Any]:
        """Fields of the wire's `ProbeStatus`. `share` of one core over the last ten seconds."""
        gate = self.gate
        state, message = gate.state(now)
        message = message or self.note
        fields: dict[str, Any] = {
            "id": self.spec.id,
            "state": state,
            "title": self.spec.title,
            "engine": engine,
        }
        if message:
            fields["message"] = message
        if gate.hits and gate.last_hit is not None:
            fields |= {"hits": gate.hits, "last_hit": round(time() - (now - gate.last_hit), 3)}
        if gate.dropped:
            fields["dropped"] = gate.dropped
        if gate.failures:
            fields |= {"failures": gate.failures, "failure": gate.failure}
        if self.spots:
            fields["places"] = [_place(spot) for spot in self.spots[:_MOST_PLACES]]
        if share:
            fields["cpu"] = round(share, 6)
        if (measured := self.kind.measured()) is not None:
            fields["measured"] = measured
        return fields

    def rest(self) -> None:
        """It is closed: ends of what it timed may pass unheard."""
        if isinstance(self.kind, Timer):
            self.kind.clear()


def _place(spot: Spot) -> dict[str, Any]:
    code = spot.code
    return {"path": path_of(code.co_filename), "line": spot.line, "function": short(code.co_qualname)}
