"""What came of the operations of one name: since the start, and in the last minute. Pure; the clock is an argument.

Times are nanoseconds of one monotonic clock. The last minute is kept in twelve slots of 5 s, of which one is
begun: it is the last 55 to 60 seconds. An operation is counted in the slot in which it ended.

    begun += 1, end(...)     any number of times, in the order in which they ended, or nearly
    read(now)                 fields of the wire's `OperationMetrics`
"""

from collections import deque
from collections.abc import Iterable, Sequence
from operator import add
from typing import Any

from sonde_agent.tap.histogram import Histogram, bucket_of, quantiles

SLOT = 5_000_000_000
SLOTS = 12
KEPT_TYPES = 32
"""Classes of errors that are told apart; further ones are counted as OTHER."""
SENT_TYPES = 10
OTHER = "_OTHER"
"""OpenTelemetry's word for it, in `error.type`."""
Outcome = tuple[str | None, bool, bool]
"""How an operation ended that did not just end well: the class of its error (None when it was cancelled or there
was none), whether it was cancelled, whether it swallowed a cancellation."""
_SHARES = (0.5, 0.9, 0.99)


class Span:
    """The counts of one stretch of time. `spent`, `least` and `most` are nanoseconds."""

    __slots__ = ("cancelled", "ended", "errors", "histogram", "least", "most", "scope_errors", "spent")

    def __init__(self, histogram: Histogram, first: int) -> None:
        self.ended = self.errors = self.cancelled = self.scope_errors = self.spent = 0
        self.least = self.most = first
        self.histogram = histogram


class _Closed:
    """A span that is over: kept to be taken out of the minute again, and small for that."""

    __slots__ = ("first", "histogram", "slot", "span")

    def __init__(self, slot: int, span: Span) -> None:
        self.slot = slot
        self.histogram, self.first = span.histogram.trimmed()
        self.span = span
        del span.histogram


class Tally:
    """Of one name."""

    __slots__ = ("_closed", "_minute", "_now", "_read", "_total", "_until", "begun", "error_types", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.clear()

    def clear(self) -> None:
        self.begun = 0
        self.error_types: dict[str, int] = {}
        self._until = 0
        self._now: Span | None = None
        self._closed: deque[_Closed] = deque()
        self._total: Span | None = None
        self._minute: Histogram | None = None
        self._read: tuple[object, dict[str, Any]] = (None, {})

    @property
    def ended(self) -> int:
        return sum(span.ended for span in (self._total, self._now) if span)

    def end(self, began: int, ended: int, outcome: Outcome | None) -> None:
        if ended >= self._until:
            self._turn(ended // SLOT)
        taken = ended - began
        span = self._now
        if span is None:
            span = self._now = Span(Histogram(short=True), taken)
        span.ended += 1
        span.spent += taken
        if taken < span.least:  # quicker than min() and max(), and this is done often
            span.least = taken
        elif taken > span.most:
            span.most = taken
        span.histogram.counts[bucket_of(taken)] += 1
        if outcome is not None:
            self._end_otherwise(span, *outcome)

    def _end_otherwise(self, span: Span, error: str | None, cancelled: bool, swallowed: bool) -> None:
        span.cancelled += cancelled
        span.scope_errors += swallowed
        if error is not None:
            span.errors += 1
            known = error in self.error_types or len(self.error_types) < KEPT_TYPES
            kind = error if known else OTHER
            self.error_types[kind] = self.error_types.get(kind, 0) + 1

    def read(self, now: int) -> dict[str, Any]:
        if now >= self._until:
            self._turn(now // SLOT)
        ended = self.ended
        state = (self.begun, ended, len(self._closed), self._closed[0].slot if self._closed else None)
        if self._read[0] != state:
            self._read = (state, self._fields(ended))
        return self._read[1]

    def _fields(self, ended: int) -> dict[str, Any]:
        current = (self._now,) if self._now else ()
        total = (self._total,) if self._total else ()
        closed = (each.span for each in self._closed)
        fields: dict[str, Any] = {
            "name": self.name,
            "active": max(0, self.begun - ended),
            "total": _counts(
                (*total, *current), _sum(self._total.histogram if self._total else None, self._now)
            ),
            "last_minute": _counts((*closed, *current), _sum(self._minute, self._now)),
        }
        if self.error_types:
            fields["error_types"] = _most_frequent(self.error_types)
        return fields

    def _turn(self, slot: int) -> None:
        """A later slot has begun."""
        span, self._now = self._now, None
        if span is not None:
            self._total = self._total or Span(Histogram(), span.least)
            self._minute = self._minute or Histogram(short=True)
            closed = _Closed(self._until // SLOT - 1, span)
            _add(self._total, closed)
            self._minute.add(closed.histogram, closed.first)
            self._closed.append(closed)
        self._until = (slot + 1) * SLOT
        while self._closed and self._closed[0].slot <= slot - SLOTS:
            gone = self._closed.popleft()
            if self._minute is not None:
                self._minute.take_away(gone.histogram, gone.first)


def _sum(closed: Histogram | None, current: Span | None) -> Iterable[int]:
    """The counts of both, bucket by bucket."""
    if closed is None or current is None:
        only = closed or (current and current.histogram)
        return only.counts if only else ()
    return map(add, closed.counts, current.histogram.counts)


def _add(total: Span, closed: _Closed) -> None:
    span = closed.span
    total.ended += span.ended
    total.errors += span.errors
    total.cancelled += span.cancelled
    total.scope_errors += span.scope_errors
    total.spent += span.spent
    total.least = min(total.least, span.least)
    total.most = max(total.most, span.most)
    total.histogram.add(closed.histogram, closed.first)


def _counts(spans: Sequence[Span], histogram: Iterable[int]) -> dict[str, Any]:
    """Fields of the wire's `Counts`; those that are zero are left out, as on the wire."""
    ended = sum(span.ended for span in spans)
    if not ended:
        return {}
    counts: dict[str, Any] = {"ended": ended}
    for name in ("errors", "cancelled", "scope_errors"):
        if number := sum(getattr(span, name) for span in spans):
            counts[name] = number
    if judged := ended - counts.get("cancelled", 0):
        errors = counts.get("errors", 0)
        counts["success_rate"] = round((judged - errors) / judged, 6)
        counts["error_rate"] = round(errors / judged, 6)
    least = min(span.least for span in spans)
    most = max(span.most for span in spans)
    shares = (min(max(each, least), most) for each in quantiles(histogram, _SHARES))
    values = (sum(span.spent for span in spans) / ended, least, most, *shares)
    names = ("average", "least", "most", "p50", "p90", "p99")
    counts["duration"] = {name: round(value / 1e9, 9) for name, value in zip(names, values, strict=True)}
    return counts


def _most_frequent(types: dict[str, int]) -> dict[str, int]:
    """The most frequent ones, and all others together."""
    named = sorted((each for each in types.items() if each[0] != OTHER), key=lambda each: -each[1])
    others = sum(number for _, number in named[SENT_TYPES:]) + types.get(OTHER, 0)
    return {**dict(named[:SENT_TYPES]), **({OTHER: others} if others else {})}
