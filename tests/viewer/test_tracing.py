"""The caller's trace goes with what it asks."""

import sys

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from sonde_viewer import Viewer, tracing
from tests.viewer.fake_broker import FakeBroker

CONTEXT = SpanContext(
    trace_id=0xABC,
    span_id=0x12,
    is_remote=False,
    trace_flags=TraceFlags(TraceFlags.SAMPLED),
    trace_state=TraceState([("vendor", "x")]),
)
PARENT = f"00-{0xABC:032x}-{0x12:016x}-01"


async def test_a_request_carries_the_span_that_it_is_made_in(broker: FakeBroker, viewer: Viewer) -> None:
    with trace.use_span(NonRecordingSpan(CONTEXT)):
        await viewer.processes()
    await viewer.processes()
    assert broker.traces == [(PARENT, "vendor=x"), ("", "")]


def test_without_a_span_there_is_none() -> None:
    assert tracing.current() == ("", "")


def test_nothing_is_imported_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert tracing.current() == ("", "")
    assert "opentelemetry.trace" not in sys.modules


def test_a_state_that_is_too_long_stays_here() -> None:
    long = TraceState([(f"vendor{number}", "x" * 200) for number in range(5)])
    context = SpanContext(trace_id=1, span_id=1, is_remote=False, trace_state=long)
    with trace.use_span(NonRecordingSpan(context)):
        assert tracing.current() == (f"00-{1:032x}-{1:016x}-00", "")
