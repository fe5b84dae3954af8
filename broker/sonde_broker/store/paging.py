"""Where a page ended, as a cursor that goes back and forth. Pure. Raises `Refused`, reason `invalid_cursor`.

A cursor carries a place and a mark of the question and the history that it belongs to. It is not signed, because it opens nothing: the
sight of whoever asks is applied to each page anew. All in it is checked before it is used.
"""

import base64
import binascii
import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from sonde_broker.store.rows import MOST_NAME
from sonde_wire import Code, Reason, Refused, codec
from sonde_wire.rpc import HistoryEvents, HistorySessions

MOST_PAGE = 1024 * 1024
"""Bytes of events in one page; one that is larger comes alone."""
_MARK = 8
_MOST_ID = 2**63 - 1


class EventPlace(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    mark: bytes
    time: float
    stream: int
    seq: int


class SessionPlace(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    mark: bytes
    opened: float
    session: str
    stream: int


Place = TypeVar("Place", EventPlace, SessionPlace)


def mark(question: HistoryEvents | HistorySessions, identity: str) -> bytes:
    """Of the question whatever its page is, in the history of that identity."""
    plain = msgspec.structs.replace(question, cursor=None, limit=1)
    named = type(question).__name__.encode()
    return hashlib.sha256(b"\0".join((identity.encode(), named, codec.encode(plain)))).digest()[:_MARK]


def write(place: EventPlace | SessionPlace) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def read(cursor: str, kind: type[Place], expected: bytes) -> Place:
    try:
        encoded = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = msgspec.msgpack.decode(encoded, type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        raise _invalid() from None
    numbers = (place.stream, place.seq) if isinstance(place, EventPlace) else (place.stream,)
    moment = place.time if isinstance(place, EventPlace) else place.opened
    name = place.session if isinstance(place, SessionPlace) else ""
    if not (
        place.mark == expected
        and math.isfinite(moment)
        and all(0 <= number <= _MOST_ID for number in numbers)
        and len(name) <= MOST_NAME
        and "\0" not in name
    ):
        raise _invalid()
    return place


def _invalid() -> Refused:
    return Refused(
        Code.INVALID_ARGUMENT,
        Reason.INVALID_CURSOR,
        "this cursor belongs to another question or another history: ask again without one",
    )


def fitting(sizes: Sequence[int], most: int = MOST_PAGE) -> int:
    """How many of them fit; at least one, so that reading goes on."""
    room = most
    for count, size in enumerate(sizes):
        room -= size
        if room < 0:
            return max(count, 1)
    return len(sizes)
