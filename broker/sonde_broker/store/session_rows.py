"""The rows of debug sessions: written with the events that say that one was opened or closed, in whatever order these come."""

import logging
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection, Row

from sonde_broker.relay_io import Keep
from sonde_broker.store import hot
from sonde_broker.store.rows import MOST_NAME, clean
from sonde_broker.store.schema import sessions
from sonde_wire import Address, MalformedMessage, bus, codec
from sonde_wire.history import SessionRecord

logger = logging.getLogger(__name__)

MOST_VIEWER = 256
_MOST_REASON = 100
_MOST_METADATA = 32 * 1024
_OPENED, _CLOSED = "session_opened", "session_closed"


def write(connection: Connection, keeps: Sequence[Keep], ids: Mapping[tuple[Address, str], int]) -> None:
    for keep in keeps:
        for header, event in zip(keep.headers, keep.batch.events, strict=True):
            if header.type not in {_OPENED, _CLOSED} or not header.session:
                continue
            try:
                fields = _opened(event) if header.type == _OPENED else _closed(event)
            except MalformedMessage as error:
                logger.warning("%s: %s", keep.process, error)
                continue
            key = {
                "session": clean(header.session, MOST_NAME),
                "stream": ids[keep.process, keep.batch.boot],
            }
            row = hot.into(connection, sessions).values(**key, **fields)
            connection.execute(row.on_conflict_do_update(index_elements=list(key), set_=fields))


def _opened(event: msgspec.Raw) -> dict[str, object]:
    opened = codec.decode(event, bus.SessionOpened)
    metadata = codec.encode(opened.metadata).decode(errors="replace").replace("\0", "")
    return {
        "viewer": clean(opened.viewer, MOST_VIEWER),
        "name": clean(opened.name, MOST_VIEWER),
        "metadata": metadata if len(metadata) <= _MOST_METADATA else "{}",
        "opened": opened.time,
        "first": opened.seq,
    }


def _closed(event: msgspec.Raw) -> dict[str, object]:
    closed = codec.decode(event, bus.SessionClosed)
    return {
        "viewer": clean(closed.viewer, MOST_VIEWER),
        "closed": closed.time,
        "last": closed.seq,
        "reason": clean(closed.reason, _MOST_REASON),
    }


COLUMNS = (
    sessions.c.session,
    sessions.c.viewer,
    sessions.c.name,
    sessions.c.metadata,
    sessions.c.opened,
    sessions.c.first,
    sessions.c.closed,
    sessions.c.last,
    sessions.c.reason,
)


def read(row: "Row[tuple[object, ...]]", process: Address, boot: str) -> SessionRecord:
    """Of `COLUMNS`, of one that was seen to be opened."""
    session, viewer, name, metadata, opened, first, closed, last, reason = row[: len(COLUMNS)]
    return msgspec.convert(
        {
            "session": session,
            "process": str(process),
            "boot": boot,
            "viewer": viewer or "",
            "name": name or "",
            "metadata": codec.decode_any(metadata) if isinstance(metadata, str) else {},
            "opened": opened,
            "first": first,
            "closed": closed,
            "last": last,
            "reason": reason,
        },
        SessionRecord,
    )
