"""A batch to rows. Pure. Nothing in it can make the database refuse a row: agents are not trusted with that."""

from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import Struct

from sonde_broker.relay_io import Header, Keep

MOST_NUMBER = 2**53
"""Sequence numbers beyond it are no correct agent's; a database has 63 bits for them."""
AHEAD = 3600.0
MOST_KIND = 100
MOST_NAME = 128
_OF_PROBES = frozenset({"snapshot_taken", "probe_logged", "watch_changed", "probe_changed"})


class Row(NamedTuple):
    stream: int
    seq: int
    time: float
    kind: str
    session: str | None
    probe: str | None
    body: bytes


class _Dap(Struct, frozen=True):
    event: str = ""


class _DapEvent(Struct, frozen=True):
    message: _Dap


class _Status(Struct, frozen=True):
    id: str = ""


class _OfProbe(Struct, frozen=True):
    probe: str = ""
    status: _Status | None = None


_dap = msgspec.json.Decoder(_DapEvent)
_probe = msgspec.json.Decoder(_OfProbe)


def is_sound(keep: Keep) -> bool:
    """Whether its numbers are such as a database has room for."""
    batch = keep.batch
    return (
        len(keep.headers) == len(batch.events)
        and 1 <= batch.first <= batch.last < MOST_NUMBER
        and batch.oldest < MOST_NUMBER
    )


def rows(keep: Keep, stream: int, now: float, kept: float) -> list[Row]:
    """`kept` is for how many seconds events are."""
    found: list[Row] = []
    for header, event in zip(keep.headers, keep.batch.events, strict=True):
        body = bytes(event)
        found.append(
            Row(
                stream,
                header.seq,
                filed(header.time, now, kept),
                _kind(header, body),
                clean(header.session, MOST_NAME) if header.session else None,
                _probe_of(header, body),
                body,
            )
        )
    return found


def filed(time: float, now: float, kept: float) -> float:
    """The time to find and keep it by: its own, unless the process's clock is so wrong that it would go at once or never."""
    return time if now - kept < time < now + AHEAD else now


@lru_cache(maxsize=4096)
def clean(text: str, most: int) -> str:
    """Text that every database takes: no NUL, no half of a surrogate pair."""
    if text.isascii() and "\0" not in text:
        return text[:most]
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()[:most]


def _kind(header: Header, body: bytes) -> str:
    """The type; of DAP's events with DAP's name behind a dot."""
    if header.type == "dap":
        try:
            event = _dap.decode(body).message.event
        except msgspec.MsgspecError:
            event = ""
        return clean(f"dap.{event}" if event else "dap", MOST_KIND)
    return clean(header.type, MOST_KIND)


def _probe_of(header: Header, body: bytes) -> str | None:
    if header.type not in _OF_PROBES:
        return None
    try:
        found = _probe.decode(body)
    except msgspec.MsgspecError:
        return None
    named = found.status.id if found.status is not None else found.probe
    return clean(named, MOST_NAME) or None
