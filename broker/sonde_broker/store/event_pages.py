"""Pages of events: which index leads to them, and no more bytes than a page may have.

First the keys are found, then the bodies of those that fit. The keys come by one of three ways:

    a session       its numbers in its boot, in the order of the numbers
    few events      those of the streams that are meant, sorted
    many            along the index of times, or of kinds and times, until the page is full

`+ 0` at a column keeps a database from choosing the second where the third is right.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Raw
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    Row,
    Select,
    Text,
    and_,
    any_,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects import postgresql

from sonde_broker.queries import FindEvents
from sonde_broker.store import paging, session_pages, sight
from sonde_broker.store.paging import EventPlace
from sonde_broker.store.rows import MOST_KIND, clean
from sonde_broker.store.schema import events, streams
from sonde_wire import Selector
from sonde_wire.history import EventPage
from sonde_wire.rpc import HistoryEvents

FEW = 20_000
_MOST_DAP_KINDS = 64
_MOST_TEXT = 1000
_AT_A_TIME = 100
_ESCAPE = "\\"
Condition = ColumnElement[bool]


def find(connection: Connection, query: FindEvents, identity: str) -> EventPage:
    wanted = query.wanted
    mark = paging.mark(wanted, identity)
    place = None if wanted.cursor is None else paging.read(wanted.cursor, EventPlace, mark)
    selectors = sight.narrowed(Selector.parse(wanted.selector), query.sight.selectors)
    if not selectors:
        return EventPage(events=())
    where = _times(wanted)
    in_order = wanted.session is not None
    narrow = in_order
    if wanted.session is not None:
        window = session_pages.window(connection, wanted.session, selectors)
        if window is None:
            return EventPage(events=())
        where += session_pages.told(*window, wanted.session)
    elif not sight.is_all(selectors):
        narrow = is_few(connection, selectors)
        where.append(among(connection, selectors, narrow=narrow))
    hidden = sight.kinds_hidden(wanted.kinds, query.sight.values)
    withheld = _any(connection, where, hidden)
    shown = [clean(kind, MOST_KIND) for kind in wanted.kinds if kind not in hidden]
    if wanted.kinds and not shown:
        return EventPage(events=(), withheld=withheld)
    if hidden and not wanted.kinds:
        where.append(events.c.kind.not_in(hidden))
    if wanted.text:
        where.append(_says(connection, wanted.text))
    if place is not None:
        where.append(_beyond(place, wanted.order, in_order=in_order))
    rows = _keys(connection, where, shown, wanted, narrow=narrow, in_order=in_order)
    fit = paging.fitting([row.size for row in rows[: wanted.limit]])
    cursor = None
    if fit < len(rows):
        end = rows[fit - 1]
        cursor = paging.write(EventPlace(mark, end.time, end.stream, end.seq))
    found = bodies(connection, [(row.stream, row.seq) for row in rows[:fit]])
    return EventPage(events=found, cursor=cursor, withheld=withheld)


def bodies(connection: Connection, keys: Sequence[tuple[int, int]]) -> tuple[Raw, ...]:
    """In the order of the keys."""
    found: dict[tuple[int, int], bytes] = {}
    for begin in range(0, len(keys), _AT_A_TIME):
        part = keys[begin : begin + _AT_A_TIME]
        rows = connection.execute(
            # Not `(stream, seq) IN (VALUES ...)`: for that SQLite reads the whole table.
            select(events.c.stream, events.c.seq, events.c.body).where(
                or_(*(and_(events.c.stream == stream, events.c.seq == seq) for stream, seq in part))
            )
        )
        found |= {(stream, seq): body for stream, seq, body in rows}
    return tuple(Raw(found[key]) for key in keys if key in found)


def _times(wanted: HistoryEvents) -> list[Condition]:
    """From `since` on, before `until`."""
    where: list[Condition] = []
    if wanted.since is not None:
        where.append(events.c.time >= wanted.since)
    if wanted.until is not None:
        where.append(events.c.time < wanted.until)
    return where


def among(connection: Connection, selectors: Sequence[Selector], *, narrow: bool) -> Condition:
    """Events of these processes; `narrow`: they are few, so their streams lead to them."""
    if narrow:
        return events.c.stream.in_(sight.ids(selectors))
    if connection.dialect.name == "postgresql":
        # As a constant: it is looked up by a hash, and no lack of statistics makes a nested loop of it.
        numbers = list(connection.execute(sight.ids(selectors)).scalars())
        return events.c.stream + 0 == any_(literal(numbers, postgresql.ARRAY(BigInteger)))
    return (events.c.stream + 0).in_(sight.ids(selectors))


def is_few(connection: Connection, selectors: Sequence[Selector]) -> bool:
    """Whether there cannot be many: by the highest numbers of the streams."""
    highest = select(func.sum(streams.c.last)).where(sight.of_streams(selectors))
    return (connection.execute(highest).scalar() or 0) <= FEW


def _any(connection: Connection, where: Sequence[Condition], kinds: Sequence[str]) -> bool:
    """Whether there are some of these kinds. What the question says of text is left out: whether values match is not for whoever may not
    see them."""
    return any(
        connection.execute(select(literal_column("1")).where(*where, events.c.kind == kind).limit(1)).first()
        for kind in kinds
    )


def _says(connection: Connection, text: str) -> Condition:
    """The text in the event's JSON, whatever the case of ASCII letters. Bytes that no text has do not make the question fail."""
    if connection.dialect.name == "postgresql":
        shown = func.encode(events.c.body, "escape")
        pattern = "".join(
            "\\\\" if byte == 0x5C else chr(byte) if 0 < byte < 0x80 else f"\\{byte:03o}"
            for byte in text.encode(errors="replace")
        )
        return shown.collate("C").ilike(f"%{_escaped(pattern)}%", escape=_ESCAPE)
    return cast(events.c.body, Text).like(f"%{_escaped(clean(text, _MOST_TEXT))}%", escape=_ESCAPE)


def _escaped(text: str) -> str:
    return "".join(f"{_ESCAPE}{char}" if char in {"%", "_", _ESCAPE} else char for char in text)


def _beyond(place: EventPlace, order: str, *, in_order: bool) -> Condition:
    if in_order:
        return events.c.seq < place.seq if order == "newest" else events.c.seq > place.seq
    here = tuple_(events.c.time, events.c.stream, events.c.seq)
    there = tuple_(
        literal(place.time, Double), literal(place.stream, BigInteger), literal(place.seq, BigInteger)
    )
    return here < there if order == "newest" else here > there


def _keys(
    connection: Connection,
    where: Sequence[Condition],
    kinds: Sequence[str],
    wanted: HistoryEvents,
    *,
    narrow: bool,
    in_order: bool,
) -> "Sequence[Row[*tuple[Any, ...]]]":
    """One more than the page may have, where there are so many."""

    def some(*more: Condition) -> "Select[*tuple[Any, ...]]":
        columns = (events.c.time, events.c.stream, events.c.seq)
        sorted_by = columns[2:] if in_order else columns
        return (
            select(*columns, func.length(events.c.body).label("size"))
            .where(*where, *more)
            .order_by(*(each.desc() if wanted.order == "newest" else each.asc() for each in sorted_by))
            .limit(wanted.limit + 1)
        )

    if not kinds:
        return connection.execute(some()).all()
    each_kind = None if narrow else _expanded(connection, kinds)
    if each_kind is None:
        return connection.execute(some(_is_one_of(kinds, narrow=narrow))).all()
    if len(each_kind) == 1:
        return connection.execute(some(events.c.kind == each_kind[0])).all()
    parts = [some(events.c.kind == kind).subquery() for kind in each_kind]
    together = union_all(*(select(part) for part in parts)).subquery()
    columns = (together.c.time, together.c.stream, together.c.seq)
    return connection.execute(
        select(together)
        .order_by(*(each.desc() if wanted.order == "newest" else each.asc() for each in columns))
        .limit(wanted.limit + 1)
    ).all()


def _is_one_of(kinds: Sequence[str], *, narrow: bool) -> Condition:
    kind: Any = events.c.kind if narrow else events.c.kind.concat("")
    exact = [each for each in kinds if each != sight.DAP]
    conditions: list[Condition] = [kind.in_(exact)] if exact else []
    if sight.DAP in kinds:
        conditions.append(sight.is_of_dap(kind))
    return or_(*conditions)


def _expanded(connection: Connection, kinds: Sequence[str]) -> list[str] | None:
    """With each kind of DAP's event instead of `dap`; None: there are too many to ask for each."""
    if sight.DAP not in kinds:
        return sorted(set(kinds))
    found = {sight.DAP, *kinds}
    after = f"{sight.DAP}."
    for _ in range(_MOST_DAP_KINDS):
        following = select(func.min(events.c.kind)).where(
            and_(events.c.kind > after, events.c.kind < sight.after(f"{sight.DAP}."))
        )
        kind = connection.execute(following).scalar()
        if kind is None:
            return sorted(found)
        found.add(kind)
        after = kind
    return None
