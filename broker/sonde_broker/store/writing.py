"""Batches are stored. Each call is one transaction; what it returns is committed.

The rows of the streams are locked first, in order of their ids: brokers that share a PostgreSQL wait for each other there
and nowhere else, and each sees how far the others have got.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, func, select

from sonde_broker.relay_io import Committed, Keep
from sonde_broker.store import hot, rows, session_rows
from sonde_broker.store.rows import Row
from sonde_broker.store.schema import events, streams
from sonde_broker.store.streams import Span, Stream, advance, follows, settle
from sonde_wire import Address

MOST_KNOWN = 20_000
"""Ids of streams that are remembered; then all are looked up anew."""
_AT_A_TIME = 500

Key = tuple[Address, str]


class _Part(Struct):
    """What one transaction brings of one stream."""

    id: int
    rows: list[Row]
    keeps: list[Keep]


class Writer:
    """Uses one connection, on which nothing else has begun a transaction. `kept`: seconds for which events are."""

    def __init__(self, connection: Connection, kept: float) -> None:
        self._connection = connection
        self._kept = kept
        self._ids: dict[Key, int] = {}

    def forget(self) -> None:
        """Some streams may have been removed."""
        self._ids.clear()

    def store(self, keeps: Sequence[Keep], now: float) -> Committed:
        """In the order in which they came. Raises what SQLAlchemy raises; then nothing was stored."""
        sound = [keep for keep in keeps if rows.is_sound(keep)]
        if not sound:
            return Committed(())
        try:
            with self._connection.begin():
                parts, states = self._locked(sound, now)
                for part in parts.values():
                    for keep in part.keeps:
                        part.rows += rows.rows(keep, part.id, now, self._kept)
                all_rows = [row for part in parts.values() for row in part.rows]
                hot.insert(self._connection, all_rows)
                reached = {key: self._reached(part, states[part.id]) for key, part in parts.items()}
                hot.update(self._connection, [_change(part, reached[key]) for key, part in parts.items()])
                session_rows.write(self._connection, sound, {key: part.id for key, part in parts.items()})
        except BaseException:
            self._ids.clear()  # what was made in it is not there
            raise
        return Committed(tuple((*key, stream.upto) for key, stream in reached.items()))

    def _locked(self, keeps: Sequence[Keep], now: float) -> tuple[dict[Key, _Part], dict[int, Stream]]:
        """Each stream with what comes of it, and how far it was."""
        if len(self._ids) > MOST_KNOWN:
            self._ids.clear()
        parts: dict[Key, _Part] = {}
        for keep in keeps:
            key = (keep.process, keep.batch.boot)
            parts.setdefault(key, _Part(0, [], [])).keeps.append(keep)
        self._find([key for key in parts if key not in self._ids], now)
        states = self._states([self._ids[key] for key in parts])
        removed = [key for key in parts if self._ids[key] not in states]
        if removed:
            for key in removed:
                del self._ids[key]
            self._find(removed, now)
            states |= self._states([self._ids[key] for key in removed])
        for key, part in parts.items():
            part.id = self._ids[key]
        return parts, states

    def _find(self, keys: list[Key], now: float) -> None:
        """Their ids; rows are made for those that have none."""
        missing = self._look_up(keys)
        if not missing:
            return
        made = [
            {
                "namespace": process.namespace,
                "service": process.service,
                "instance": process.instance,
                "boot": boot,
                "upto": 0,
                "lost": 0,
                "last": 0,
                "first_time": now + rows.AHEAD,
                "last_time": 0.0,
            }
            for process, boot in sorted(missing)
        ]
        self._connection.execute(hot.into(self._connection, streams).on_conflict_do_nothing(), made)
        self._look_up(missing)

    def _look_up(self, keys: list[Key]) -> list[Key]:
        """Those that are not there."""
        wanted = set(keys)
        for part in _parts(sorted({boot for _, boot in keys})):
            of_boots = select(
                streams.c.id, streams.c.namespace, streams.c.service, streams.c.instance, streams.c.boot
            ).where(streams.c.boot.in_(part))
            for number, namespace, service, instance, boot in self._connection.execute(of_boots):
                key = (Address(namespace, service, instance), boot)
                if key in wanted:
                    self._ids[key] = number
        return [key for key in keys if key not in self._ids]

    def _states(self, numbers: list[int]) -> dict[int, Stream]:
        states: dict[int, Stream] = {}
        for part in _parts(sorted(numbers)):
            locked = (
                select(streams.c.id, streams.c.upto, streams.c.lost, streams.c.last)
                .where(streams.c.id.in_(part))
                .order_by(streams.c.id)
                .with_for_update()
            )
            for number, upto, lost, last in self._connection.execute(locked):
                states[number] = Stream(upto, lost, last)
        return states

    def _reached(self, part: _Part, stream: Stream) -> Stream:
        now = stream
        for keep in part.keeps:
            if not follows(now, keep.batch.first):
                oldest = max(each.batch.oldest for each in part.keeps)
                return settle(stream, oldest, self._stored_beyond(part.id, stream.upto))
            now = advance(now, keep.batch.last)
        return now

    def _stored_beyond(self, number: int, upto: int) -> list[Span]:
        ahead = (
            select(
                events.c.seq, (events.c.seq - func.row_number().over(order_by=events.c.seq)).label("island")
            )
            .where(events.c.stream == number, events.c.seq > upto)
            .subquery()
        )
        first = func.min(ahead.c.seq)
        spans = select(first, func.max(ahead.c.seq)).group_by(ahead.c.island).order_by(first)
        return [(begin, end) for begin, end in self._connection.execute(spans)]


def _change(part: _Part, stream: Stream) -> tuple[int, Stream, float, float]:
    times = [row.time for row in part.rows]
    return part.id, stream, min(times), max(times)


def _parts(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(values), _AT_A_TIME):
        yield values[begin : begin + _AT_A_TIME]
