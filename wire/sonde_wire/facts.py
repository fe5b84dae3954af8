"""What a line of the log says in fields of its own, so that no program has to read it out of the message. Pure; cores log too.

    logger.info("%s left", subject, extra=facts(viewer="v-1", subject=subject))

`logs` writes them as fields of the JSON object. In text a line says what matters of them itself.
"""

import re
from typing import Any

ATTRIBUTE = "sonde_facts"
"""Of a log record."""
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?", re.ASCII)


def facts(**named: object) -> dict[str, Any]:
    """For `extra`. None is left out. Never a token, a password or a value of a program."""
    return {ATTRIBUTE: {name: value for name, value in named.items() if value is not None}}


def trace_of(traceparent: str) -> str | None:
    """The id of the caller's trace, for `facts(trace_id=...)`; None for what is no W3C trace context
    (https://www.w3.org/TR/trace-context/, 3.2.2)."""
    match = _TRACEPARENT.fullmatch(traceparent)
    return match[1] if match and int(match[1], 16) and int(match[2], 16) else None
