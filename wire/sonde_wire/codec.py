"""Bytes to messages and back; the only place that knows the encoding is JSON.

`decode` checks types, patterns and required fields while it parses (msgspec); what is not the message that
was expected raises `MalformedMessage`, whose text never repeats the payload.
"""

from functools import lru_cache
from typing import Any, TypeVar, cast

import msgspec

from sonde_wire.errors import MalformedMessage

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


def encode(message: Any) -> bytes:
    """Any wire message, or a plain JSON value, as compact JSON."""
    return _encoder.encode(message)


def raw(message: Any) -> msgspec.Raw:
    """Encoded now, copied verbatim later: a value ready to be put inside another message."""
    return msgspec.Raw(_encoder.encode(message))


@lru_cache(maxsize=128)
def _decoder(kind: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(kind)


def decode(payload: bytes | str | msgspec.Raw, kind: type[T]) -> T:
    """`kind` is a Struct, a union of them, or any type that msgspec can decode."""
    try:
        message: T = _decoder(cast("Any", kind)).decode(payload)
        return message
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        name = getattr(kind, "__name__", "message")
        raise MalformedMessage(name, str(error)[:200]) from None


def decode_any(payload: bytes | str | msgspec.Raw) -> Any:
    """A plain JSON value: for DAP bodies, which are DAP's own and are not remodelled."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MalformedMessage("JSON text", str(error)[:200]) from None
