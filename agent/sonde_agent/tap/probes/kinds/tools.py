"""What all kinds of probes work with."""

from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Protocol

from sonde_agent.records import Record
from sonde_agent.redaction import Redaction
from sonde_agent.tap import redacting
from sonde_agent.tap.errors import CallRefused
from sonde_agent.tap.identity import plain
from sonde_agent.tap.probes.allowance import Limits
from sonde_agent.tap.probes.expressions import Expression
from sonde_agent.tap.probes.frames import let_go
from sonde_agent.tap.probes.representer import Representer

Event = dict[str, Any]


class Tools(Record):
    """`emit` takes an event's fields and about how many bytes it has; `fail` why an expression had no value."""

    limits: Limits
    emit: Callable[[Event, int], None]
    fail: Callable[[str], None]
    calls_user_code: bool = False

    @property
    def redaction(self) -> Redaction:
        """As it is now: each sidecar may have the tap hide more."""
        return redacting.current()

    def representer(self) -> Representer:
        return Representer(self.limits, self.redaction, self.calls_user_code)

    def hidden_name(self, expression: Expression) -> str:
        """The first of its names that hides it; "" for none."""
        return next((name for name in sorted(expression.names) if self.redaction.hides_name(name)), "")


class Kind(Protocol):
    is_heavy: bool
    """Whether what it takes is measured by the time of the processor, which itself takes half a microsecond."""

    def take(self, frame: FrameType, number: int) -> bool:
        """False when it could not do what it is for."""
        ...

    def measured(self) -> dict[str, Any] | None:
        """Fields of the wire's `Measured`."""
        ...


class Unreadable(CallRefused):
    """What redaction hides in this process must not be asked for by another way: the probe is an error here."""

    def __init__(self, name: str) -> None:
        super().__init__(
            "failed_precondition",
            "redacted",
            f"{plain(name[:80])!r} is redacted in this process, and this would tell of it: use other names, or let the "
            "process show it",
        )


def check_shown(redaction: Redaction, expressions: Iterable[Expression]) -> None:
    """Of conditions, and of what is counted: their results are no values that could be hidden. Raises `Unreadable`."""
    for expression in expressions:
        for name in sorted(expression.names):
            if redaction.hides_name(name):
                raise Unreadable(name)


def value_of(expression: Expression, frame: FrameType) -> Any:
    variables = frame.f_locals
    try:
        return expression.evaluate(variables, frame.f_globals)
    finally:
        let_go(frame, variables)
