"""The tap's side of probes, as light as it can be: nothing of them is imported before the first one is put.

`put` and `drop` are calls of the sidecar. The tap's thread asks `due_at`, and then lets `tick` do what is due, in any state
of the line; what is to be sent, and when, it gets from `send_at`, `hits` and `report`.
"""

from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from sonde_agent.tap import wall

if TYPE_CHECKING:
    from sonde_agent.tap.probes.engine import Engine

BUDGET_VARIABLE = "SONDE_PROBE_BUDGET"
_DEFAULT_BUDGET = 1.0
"""Percent of one core."""
_engine: "Engine | None" = None
_wake: Callable[[], None] = lambda: None
_budget = _DEFAULT_BUDGET


def configure(environment: Mapping[str, str]) -> None:
    """At the start. What cannot be read is as usual: the program is not to fail for it."""
    global _budget
    try:
        percent = float(environment.get(BUDGET_VARIABLE) or _DEFAULT_BUDGET)
    except ValueError:
        percent = _DEFAULT_BUDGET
    _budget = percent if 0 < percent <= 100 else _DEFAULT_BUDGET


def attend(wake: Callable[[], None]) -> None:
    """`wake` brings the tap's thread to look at `due_at` and `send_at`."""
    global _wake
    _wake = wake


def put(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the wire's `ProbeStatus`. Raises `CallRefused`."""
    global _engine
    if _engine is None:
        from sonde_agent.tap.probes.engine import Engine

        _engine = Engine(_wake, _budget / 100)
    return _engine.put(arguments)


def drop(probe: str) -> None:
    if _engine is not None:
        _engine.drop(probe)


def close() -> None:
    """When the tap stops; and in a forked child, in which all of this is still its parent's."""
    global _engine
    engine, _engine = _engine, None
    if engine is not None:
        engine.close()


def due_at() -> float:
    """Monotonic; inf for never."""
    return inf if _engine is None else _engine.due_at()


def tick(now: float) -> None:
    if _engine is not None:
        wall.behind(lambda: _tick(now), None)


def send_at() -> float:
    """When what there is to be sent may be; inf while there is nothing."""
    return inf if _engine is None else _engine.send_at()


def must_report() -> bool:
    """Whether `report` is to be sent with the hits, and not only when its second has come."""
    return _engine is not None and _engine.must_report


def hits(now: float) -> list[dict[str, Any]]:
    return [] if _engine is None else _engine.take(now)


def lost(hits: int) -> None:
    if _engine is not None:
        _engine.outbox.lose(hits)


def report(now: float, *, anew: bool) -> dict[str, Any] | None:
    """Fields of the wire's `ProbeReport`; None when there is nothing to say that the sidecar does not know."""
    if _engine is None:
        return None
    engine = _engine
    return wall.behind(lambda: engine.report(now, anew=anew), None)


def _tick(now: float) -> None:
    if _engine is not None:
        _engine.tick(now)
