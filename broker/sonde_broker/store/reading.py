"""Questions to the history, answered on one connection. Raises `Refused` for a cursor of another question."""

from typing import assert_never

from msgspec import Raw
from sqlalchemy import ColumnElement, Connection, and_, func, select

from sonde_broker.queries import (
    Answer,
    BootsFound,
    FindBoots,
    FindEvents,
    FindResults,
    FindSession,
    FindSessions,
    FindSnapshot,
    Query,
    RangeRead,
    ReadRange,
    ResultsFound,
    Sight,
    StoredBoot,
    StoredEvent,
    SumUp,
)
from sonde_broker.store import event_pages, session_pages, sight, summary
from sonde_broker.store.paging import MOST_PAGE, fitting
from sonde_broker.store.schema import events, streams
from sonde_wire import Address, Selector

_RESULTS = ("snapshot_taken", "probe_logged", "watch_changed")
_MOST_NUMBER = 2**62
_AT_A_TIME = 1000
_SNAPSHOT_BOOT = 12
"""Digits of a boot in the id of a snapshot: see `bus.snapshot_id`."""


def answer(connection: Connection, query: Query, identity: str) -> Answer:
    match query:
        case FindEvents():
            return event_pages.find(connection, query, identity)
        case FindSessions():
            return session_pages.find(connection, query, identity)
        case FindSession():
            return session_pages.detail(connection, query)
        case ReadRange():
            return _range(connection, query)
        case FindBoots():
            return _boots(connection, query)
        case FindSnapshot():
            return _snapshot(connection, query)
        case FindResults():
            return _results(connection, query)
        case SumUp():
            return summary.sum_up(connection, query)
        case _:
            assert_never(query)


def _of_process(process: Address) -> ColumnElement[bool]:
    return and_(
        streams.c.namespace == process.namespace,
        streams.c.service == process.service,
        streams.c.instance == process.instance,
    )


def _range(connection: Connection, query: ReadRange) -> RangeRead:
    number = connection.execute(
        select(streams.c.id).where(_of_process(query.process), streams.c.boot == query.boot)
    ).scalar()
    if number is None:
        return RangeRead((), query.last)
    found: list[StoredEvent] = []
    room = query.most_bytes
    begin, last = query.first, min(query.last, _MOST_NUMBER)
    while begin <= last:
        rows = connection.execute(
            select(events.c.seq, events.c.kind, func.length(events.c.body))
            .where(events.c.stream == number, events.c.seq.between(begin, last))
            .order_by(events.c.seq)
            .limit(_AT_A_TIME)
        ).all()
        if not rows:
            break
        fit = fitting([size for _, _, size in rows], room)
        if found and rows[0][2] > room:
            return RangeRead(tuple(found), found[-1].seq)
        seqs = [seq for seq, _, _ in rows[:fit]]
        whole = select(events.c.seq, events.c.body).where(
            events.c.stream == number, events.c.seq.between(seqs[0], seqs[-1])
        )
        bodies = dict(connection.execute(whole).all())
        found += [StoredEvent(seq, _type(kind), bodies[seq]) for seq, kind, _ in rows[:fit] if seq in bodies]
        room -= sum(size for _, _, size in rows[:fit])
        if fit < len(rows):
            return RangeRead(tuple(found), seqs[-1])
        begin = seqs[-1] + 1
    return RangeRead(tuple(found), query.last)


def _type(kind: str) -> str:
    """Of an event, by the kind that it is filed under."""
    return sight.DAP if kind.startswith(f"{sight.DAP}.") else kind


def _boots(connection: Connection, query: FindBoots) -> BootsFound:
    """A boot that is not known tells nothing of what began after it."""
    rows = connection.execute(
        select(streams.c.boot, streams.c.last)
        .where(_of_process(query.process))
        .order_by(streams.c.first_time, streams.c.id)
    ).all()
    boots = [boot for boot, _ in rows]
    if query.after not in boots:
        return BootsFound(0, ())
    place = boots.index(query.after)
    return BootsFound(rows[place][1], tuple(StoredBoot(boot, last) for boot, last in rows[place + 1 :]))


def _snapshot(connection: Connection, query: FindSnapshot) -> Raw | None:
    boot, _, seq = query.snapshot.partition("-")
    if not (len(boot) == _SNAPSHOT_BOOT and boot.isalnum() and boot.isascii()):
        return None
    if not (query.sight.values and query.sight.selectors and seq.isdecimal() and len(seq) < 17):
        return None
    body = connection.execute(
        select(events.c.body)
        .join_from(streams, events, streams.c.id == events.c.stream)
        .where(
            streams.c.boot >= boot,
            streams.c.boot < sight.after(boot),
            sight.of_streams(query.sight.selectors),
            events.c.seq == int(seq),
            events.c.kind == "snapshot_taken",
        )
        .limit(1)
    ).scalar()
    return None if body is None else Raw(body)


def _results(connection: Connection, query: FindResults) -> ResultsFound:
    if not (query.sight.values and query.sight.selectors):
        return ResultsFound((), False)
    rows = connection.execute(
        select(events.c.stream, events.c.seq, func.length(events.c.body))
        .where(
            events.c.probe == query.probe,
            events.c.kind.in_(_RESULTS),
            *_seen(query.sight),
        )
        .order_by(events.c.time.desc(), events.c.stream.desc(), events.c.seq.desc())
        .limit(query.limit + 1)
    ).all()
    shown = rows[: query.limit]
    fit = fitting([size for _, _, size in shown], MOST_PAGE)
    newest_last = [(stream, seq) for stream, seq, _ in reversed(shown[:fit])]
    return ResultsFound(event_pages.bodies(connection, newest_last), len(rows) > fit)


def _seen(seen: Sight) -> list[ColumnElement[bool]]:
    selectors = sight.narrowed(Selector(), seen.selectors)
    return [] if sight.is_all(selectors) else [events.c.stream.in_(sight.ids(selectors))]
