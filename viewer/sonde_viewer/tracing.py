"""The trace that the caller stands in, when its program uses OpenTelemetry: what it asks goes to the process with it.

OpenTelemetry is never imported for it: a program that has not loaded it is in no trace.
"""

import sys
from typing import Any

NONE = ("", "")
_LONGEST_STATE = 512


def current() -> tuple[str, str]:
    """`traceparent` and `tracestate` (W3C Trace Context, https://www.w3.org/TR/trace-context/); empty without a span."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    try:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return NONE
        parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags) & 0xFF:02x}"
        state = context.trace_state.to_header()
    except (
        AttributeError,
        TypeError,
        ValueError,
    ):  # none, one that is only half imported, or of another make
        return NONE
    return parent, state if len(state) <= _LONGEST_STATE else ""
