"""What somebody may see and asks for, as conditions. Pure: expressions of SQL, not sent anywhere.

Prefixes are compared as ranges, not by LIKE: `_` is legal in a name, and LIKE would take it for any character.
"""

from collections.abc import Sequence

from sqlalchemy import Column, ColumnElement, Select, and_, or_, select, true

from sonde_broker.store.schema import streams
from sonde_wire import Selector, bus

DAP = "dap"


def narrowed(wanted: Selector, sight: Sequence[Selector]) -> tuple[Selector, ...]:
    """What of it is within sight; empty: nothing."""
    return tuple(both for each in sight if (both := each.narrowed(wanted)) is not None)


def is_all(selectors: Sequence[Selector]) -> bool:
    return any(each == Selector() for each in selectors)


def of_streams(selectors: Sequence[Selector]) -> ColumnElement[bool]:
    """A condition on rows of `streams`; there must be some selector."""
    return or_(*(_matches(each) for each in selectors))


def ids(selectors: Sequence[Selector]) -> Select[tuple[int]]:
    return select(streams.c.id).where(of_streams(selectors))


def _matches(selector: Selector) -> ColumnElement[bool]:
    levels = (
        _level(streams.c.namespace, selector.namespace),
        _level(streams.c.service, selector.service),
        _level(streams.c.instance, selector.instance),
    )
    return and_(true(), *(condition for level in levels for condition in level))


def _level(column: Column[str], pattern: str) -> list[ColumnElement[bool]]:
    if not pattern.endswith("*"):
        return [column == pattern]
    prefix = pattern[:-1]
    if not prefix:
        return []
    return [column >= prefix, column < after(prefix)]


def after(prefix: str) -> str:
    """The least text that is greater than all that begin so. Of ASCII only."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def kinds_hidden(wanted: Sequence[str], values: bool) -> tuple[str, ...]:
    """Those kinds that were asked for, or all when none is named, and are not for whoever has no right to values."""
    if values:
        return ()
    return tuple(sorted(bus.WITH_VALUES.intersection(wanted) if wanted else bus.WITH_VALUES))


def is_of_dap(kind: Column[str]) -> ColumnElement[bool]:
    return or_(kind == DAP, and_(kind >= f"{DAP}.", kind < after(f"{DAP}.")))
