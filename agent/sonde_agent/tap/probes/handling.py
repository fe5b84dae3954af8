"""What is to happen in code that carries probes, however they are placed there."""

from types import FrameType
from typing import Protocol

from sonde_agent.records import Record
from sonde_agent.tap.probes.gate import Gate


class Handler(Protocol):
    """At a place: `hit`, and a gate that tells whether it is worth while."""

    @property
    def gate(self) -> Gate: ...

    def hit(self, frame: FrameType) -> None: ...


class Wiring(Record):
    """What is to happen in one code object."""

    lines: dict[int, tuple[Handler, ...]] = {}  # noqa: RUF012 - copied for each
    starts: tuple[Handler, ...] = ()
    ends: tuple[Handler, ...] = ()
    """When a call ends, by a return or by an exception."""
