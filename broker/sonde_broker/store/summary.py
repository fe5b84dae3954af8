"""What happened in a part of the fleet since a time: counts for a report."""

from sqlalchemy import ColumnElement, Connection, and_, func, select

from sonde_broker.queries import EndedProcess, Summary, SumUp
from sonde_broker.store import event_pages, session_pages, sight
from sonde_broker.store.schema import events, sessions, streams
from sonde_wire import Address, MalformedMessage, bus, codec

MOST_ENDED = 2000
_ENDED = "process_ended"


def sum_up(connection: Connection, query: SumUp) -> Summary:
    """Sessions are those that were opened since then. One that was not closed counts as open until its process has ended."""
    selectors = sight.narrowed(query.selector, query.sight.selectors)
    if not selectors:
        return Summary({}, 0, 0, 0.0, ())
    where: list[ColumnElement[bool]] = [events.c.time >= query.since]
    of_streams: list[ColumnElement[bool]] = []
    if not sight.is_all(selectors):
        narrow = event_pages.is_few(connection, selectors)
        where.append(event_pages.among(connection, selectors, narrow=narrow))
        of_streams.append(sessions.c.stream.in_(sight.ids(selectors)))
    if not query.sight.values:
        where.append(events.c.kind.not_in(sorted(bus.WITH_VALUES)))
    counts = session_pages.counts(connection, where)
    opened = and_(sessions.c.opened >= query.since, *of_streams)
    number, seconds = connection.execute(
        select(func.count(), func.sum(sessions.c.closed - sessions.c.opened)).where(opened)
    ).one()
    ended = sessions.c.stream.in_(select(events.c.stream).where(events.c.kind == _ENDED))
    still_open = connection.execute(
        select(func.count()).select_from(sessions).where(opened, sessions.c.closed.is_(None), ~ended)
    ).scalar_one()
    return Summary(counts, number, still_open, max(0.0, seconds or 0.0), _ended(connection, where))


def _ended(connection: Connection, where: list[ColumnElement[bool]]) -> tuple[EndedProcess, ...]:
    """The newest first."""
    rows = connection.execute(
        select(streams.c.namespace, streams.c.service, streams.c.instance, events.c.body)
        .join_from(events, streams, events.c.stream == streams.c.id)
        .where(*where, events.c.kind == _ENDED)
        .order_by(events.c.time.desc())
        .limit(MOST_ENDED)
    )
    found: list[EndedProcess] = []
    for namespace, service, instance, body in rows:
        try:
            ended = codec.decode(body, bus.ProcessEnded)
        except MalformedMessage:
            continue
        found.append(EndedProcess(Address(namespace, service, instance), ended.exit, ended.metrics))
    return tuple(found)
