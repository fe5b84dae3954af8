"""Debug sessions: which there were, and what happened in one.

A session was told the events of its boot between its opening and its close that are its own or everybody's.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    Row,
    Select,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from sonde_broker.queries import FindSession, FindSessions
from sonde_broker.store import paging, session_rows, sight, statistics
from sonde_broker.store.paging import SessionPlace
from sonde_broker.store.rows import clean
from sonde_broker.store.schema import events, sessions, streams
from sonde_wire import Address, MalformedMessage, Selector, bus, codec, history

_MOST_SETS = 500
_MOST_SET_BYTES = 512 * 1024
_MOST_STOP_EVENTS = 100_000


def find(connection: Connection, query: FindSessions, identity: str) -> history.SessionPage:
    """The newest first; `since` and `until` are of their opening."""
    wanted = query.wanted
    mark = paging.mark(wanted, identity)
    place = None if wanted.cursor is None else paging.read(wanted.cursor, SessionPlace, mark)
    selectors = sight.narrowed(Selector.parse(wanted.selector), query.sight.selectors)
    if not selectors:
        return history.SessionPage(sessions=())
    where: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        where.append(sessions.c.opened >= wanted.since)
    if wanted.until is not None:
        where.append(sessions.c.opened < wanted.until)
    if wanted.viewer is not None:
        where.append(sessions.c.viewer == clean(wanted.viewer, session_rows.MOST_VIEWER))
    order = (sessions.c.opened, sessions.c.session, sessions.c.stream)
    if place is not None:
        there = tuple_(
            literal(place.opened, Double), literal(place.session), literal(place.stream, BigInteger)
        )
        where.append(tuple_(*order) < there)
    rows = connection.execute(
        _seen(selectors).where(*where).order_by(*(each.desc() for each in order)).limit(wanted.limit + 1)
    ).all()
    shown = rows[: wanted.limit]
    records = [_record(row) for row in shown]
    fit = paging.fitting([len(codec.encode(record)) for record in records])
    cursor = None
    if fit < len(rows):
        end = shown[fit - 1]
        cursor = paging.write(SessionPlace(mark, end.opened, end.session, end.stream))
    return history.SessionPage(sessions=tuple(records[:fit]), cursor=cursor)


def detail(connection: Connection, query: FindSession) -> history.SessionDetail | None:
    row = _newest(connection, query.session, query.sight.selectors)
    if row is None:
        return None
    record = _record(row)
    stream, first, last = _window(row)
    mine = told(stream, first, last, query.session)
    numbers = (events.c.stream == stream, events.c.seq.between(first, last))
    seen = mine if query.sight.values else (*mine, events.c.kind.not_in(sorted(bus.WITH_VALUES)))
    kinds = counts(connection, seen)
    stored = connection.execute(select(func.count()).select_from(events).where(*numbers)).scalar_one()
    end = record.closed
    if end is None:
        latest = connection.execute(select(func.max(events.c.time)).where(*mine)).scalar()
        end = record.opened if latest is None else latest
    standing = statistics.standing(_stops(connection, mine), end)
    return history.SessionDetail(
        session=record,
        statistics=history.SessionStatistics(
            events=sum(kinds.values()),
            kinds=kinds,
            stops=standing.stops,
            duration=max(0.0, end - record.opened),
            stopped=standing.stopped,
            longest_stop=standing.longest,
            missing=max(0, last - first + 1 - stored),
        ),
        breakpoints=_breakpoints(connection, numbers, query.session),
    )


def counts(connection: Connection, where: Sequence[ColumnElement[bool]]) -> dict[str, int]:
    """Events by kind."""
    by_kind = (
        select(events.c.kind, func.count()).where(*where).group_by(events.c.kind).order_by(events.c.kind)
    )
    return dict(connection.execute(by_kind).all())


def window(
    connection: Connection, session: str, selectors: Sequence[Selector]
) -> tuple[int, int, int] | None:
    """Its stream, and the numbers of its opening and its close, or of the last event when it was not seen to be closed."""
    row = _newest(connection, session, selectors)
    return None if row is None else _window(row)


def told(stream: int, first: int, last: int, session: str) -> tuple[ColumnElement[bool], ...]:
    return (
        events.c.stream == stream,
        events.c.seq.between(first, last),
        or_(events.c.session == session, events.c.session.is_(None)),
    )


def _window(row: "Row[*tuple[Any, ...]]") -> tuple[int, int, int]:
    return row.stream, row.first, row.last if row.last is not None else max(row.highest, row.first)


def _seen(selectors: Sequence[Selector]) -> "Select[*tuple[Any, ...]]":
    return (
        select(
            *session_rows.COLUMNS,
            sessions.c.stream,
            streams.c.namespace,
            streams.c.service,
            streams.c.instance,
            streams.c.boot,
            streams.c.last.label("highest"),
        )
        .join_from(sessions, streams, sessions.c.stream == streams.c.id)
        .where(sessions.c.opened.is_not(None), sight.of_streams(selectors))
    )


def _newest(
    connection: Connection, session: str, selectors: Sequence[Selector]
) -> "Row[*tuple[Any, ...]] | None":
    """A process could claim another's session; which is whose, only sight can say."""
    if not selectors or "\0" in session:
        return None
    found = _seen(selectors).where(sessions.c.session == session)
    return connection.execute(found.order_by(sessions.c.opened.desc()).limit(1)).first()


def _record(row: "Row[*tuple[Any, ...]]") -> history.SessionRecord:
    return session_rows.read(row, Address(row.namespace, row.service, row.instance), row.boot)


def _stops(connection: Connection, mine: Sequence[ColumnElement[bool]]) -> list[statistics.Moment]:
    rows = connection.execute(
        select(events.c.kind, events.c.time, events.c.body)
        .where(*mine, events.c.kind.in_(statistics.KINDS))
        .order_by(events.c.seq)
        .limit(_MOST_STOP_EVENTS)
    )
    return [statistics.Moment(kind, time, body) for kind, time, body in rows]


def _breakpoints(
    connection: Connection, numbers: Sequence[ColumnElement[bool]], session: str
) -> tuple[bus.BreakpointSet, ...]:
    """In order; of very many the last."""
    found: list[bus.BreakpointSet] = []
    room = _MOST_SET_BYTES
    rows = connection.execute(
        select(events.c.body)
        .where(*numbers, events.c.kind == "breakpoints_changed")
        .order_by(events.c.seq.desc())
    )
    for (body,) in rows:
        try:
            changed = codec.decode(body, bus.BreakpointsChanged).breakpoints
        except MalformedMessage:
            continue
        if changed.owner != session:
            continue
        room -= len(body)
        if room < 0 or len(found) == _MOST_SETS:
            break
        found.append(changed)
    return tuple(reversed(found))
