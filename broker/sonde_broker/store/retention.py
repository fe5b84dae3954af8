"""What is old goes, or what is too much, the oldest first; a few at a time, so that writing does not wait.

How much there is: of SQLite its pages, less those that are free; of PostgreSQL an estimate, because what is deleted there gives its space
back to later rows only. Of brokers that share a PostgreSQL one does it at a time.

A disk that is nearly full stops a SQLite history from growing: the newest events take the places of the oldest. So a history on a
volume that is smaller than its limit goes on. It is not made smaller than `LEAST` for what others write there.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, delete, exists, func, literal_column, select, tuple_

from sonde_broker.store.schema import events, sessions, streams

CHUNK = 2000
LEAST = 16 * 2**20
_RESERVE = 64 * 2**20
"""Of the disk that is left to others, and to SQLite's log; of a small one a twentieth."""
_LOCK = 0x536F6E6402
_PAGES = 500
_KEPT_FREE = 4 * 2**20
_SWEEP_EVERY = 600.0
_MEASURE_EVERY = 30.0
_ANALYZE_EVERY = 3600.0
_SAMPLE = 500
_BESIDE = 320
"""Bytes of an event beside its body, in the table and its indexes; as measured of PostgreSQL."""
DAY = 86400.0


class Usage(Struct, frozen=True):
    """In bytes. `each` needs no value while there is not too much."""

    used: int
    each: float
    """An event, on average, with its part of the indexes."""
    file: int = 0
    """With what is free in it; 0 where that says nothing."""
    disk_free: int | None = None
    disk_size: int = 0


def allowed(usage: Usage, limit: int) -> int:
    """How much may be used."""
    if usage.disk_free is None or usage.disk_free >= min(_RESERVE, usage.disk_size // 20):
        return limit
    return min(limit, max(LEAST, usage.file - max(_KEPT_FREE, usage.file // 20)))


def too_many(usage: Usage, limit: int) -> int:
    """How many of the oldest are to go."""
    excess = usage.used - allowed(usage, limit)
    return 0 if excess <= 0 else 1 + int(excess / max(usage.each, 1.0))


def gives_back(usage: Usage) -> bool:
    """Whether so much of the file is free that the disk should have it back."""
    roomy = usage.disk_free is None or usage.disk_free >= min(_RESERVE, usage.disk_size // 20)
    return roomy and usage.file - usage.used > max(_KEPT_FREE, usage.used // 10)


class Retention:
    """Uses the writer's connection, between its transactions. `removed_streams` is called when ids have become void."""

    def __init__(
        self,
        connection: Connection,
        path: Path | None,
        *,
        kept: float,
        limit: int,
        removed_streams: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._path = path
        self._kept = kept
        self._limit = limit
        self._removed_streams = removed_streams
        self._clock = clock
        self._to_remove = 0
        self._measured: float | None = None
        self._analyzed: float | None = None
        self._swept = clock()

    def step(self, now: float) -> bool:
        """One small part, in a transaction of its own. True: there is more to do. `now` is since the epoch. Raises what SQLAlchemy
        raises."""
        with self._connection.begin():
            if self._path is None and not self._is_ours():
                return False
            removed = self._remove_old(now - self._kept)
            if removed < CHUNK:
                removed += self._remove_excess()
            more = removed >= CHUNK
            if not more and self._clock() - self._swept >= _SWEEP_EVERY:
                self._sweep(now)
            returnable = self._path is not None and gives_back(self._usage_of_file(self._path))
        if returnable:
            self._give_back()
        return returnable or more

    def _is_ours(self) -> bool:
        return bool(self._connection.execute(select(func.pg_try_advisory_xact_lock(_LOCK))).scalar())

    def _remove_old(self, before: float) -> int:
        return self._remove(CHUNK, before)

    def _remove_excess(self) -> int:
        if self._path is not None:
            usage = self._usage_of_file(self._path)
            if too_many(usage, self._limit):
                usage = msgspec.structs.replace(usage, each=self._average(events.c.time.asc()))
            self._to_remove = too_many(usage, self._limit)
        elif self._measured is None or self._clock() - self._measured >= _MEASURE_EVERY:
            self._measured = self._clock()
            self._to_remove = too_many(self._usage_of_server(), self._limit)
        if self._to_remove <= 0:
            return 0
        removed = self._remove(min(self._to_remove, CHUNK), None)
        self._to_remove -= removed
        return removed

    def _remove(self, most: int, before: float | None) -> int:
        place: tuple[ColumnElement[Any], ...] = (events.c.stream, events.c.seq)
        if self._path is not None:
            place = (literal_column("rowid"),)
        oldest = select(*place).select_from(events)
        if before is not None:
            oldest = oldest.where(events.c.time < before)
        oldest = oldest.order_by(events.c.time, events.c.stream, events.c.seq).limit(most)
        found = tuple_(*place).in_(oldest) if len(place) > 1 else place[0].in_(oldest)
        return self._connection.execute(delete(events).where(found)).rowcount

    def _sweep(self, now: float) -> None:
        """Sessions of which no event is left, and boots that have been silent for long: what a sidecar still has of one that ended may
        come late."""
        self._swept = self._clock()
        told = exists().where(events.c.session == sessions.c.session, events.c.stream == sessions.c.stream)
        self._connection.execute(delete(sessions).where(~told))
        anything = exists().where(events.c.stream == streams.c.id)
        silent = streams.c.last_time < now - 2 * self._kept - DAY
        if self._connection.execute(delete(streams).where(silent, ~anything)).rowcount:
            self._removed_streams()

    def _give_back(self) -> None:
        """Some pages to the file system. Each step of this statement gives back one; only a script takes all of its steps, and a
        script has a transaction of its own."""
        raw: Any = self._connection.connection.driver_connection
        raw.executescript(f"PRAGMA incremental_vacuum({_PAGES})")

    def _usage_of_file(self, path: Path) -> Usage:
        size = self._number("PRAGMA page_size")
        pages = self._number("PRAGMA page_count")
        free = self._number("PRAGMA freelist_count")
        disk = os.statvfs(path.parent)
        return Usage(
            used=(pages - free) * size,
            each=0.0,
            file=pages * size,
            disk_free=disk.f_bavail * disk.f_frsize,
            disk_size=disk.f_blocks * disk.f_frsize,
        )

    def _usage_of_server(self) -> Usage:
        if self._analyzed is None or self._clock() - self._analyzed >= _ANALYZE_EVERY:
            self._connection.exec_driver_sql(f"ANALYZE {events.name}")
            self._analyzed = self._clock()
        number = self._number(
            f"SELECT n_live_tup FROM pg_stat_user_tables WHERE relid = '{events.name}'::regclass"  # noqa: S608
        )
        each = (self._average(events.c.time.asc()) + self._average(events.c.time.desc())) / 2
        return Usage(used=int(number * each), each=each)

    def _average(self, order: ColumnElement[float]) -> float:
        """Of an event, of some at one end."""
        some = select(func.length(events.c.body).label("size")).order_by(order).limit(_SAMPLE).subquery()
        return float(self._connection.execute(select(func.avg(some.c.size))).scalar() or 0.0) + _BESIDE

    def _number(self, statement: str) -> int:
        return int(self._connection.exec_driver_sql(statement).scalar() or 0)
