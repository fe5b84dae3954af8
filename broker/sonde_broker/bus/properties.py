"""MQTT 5 properties to bytes and back, by the table of §2.2.2.2."""

from collections.abc import Callable
from typing import Any, NamedTuple

from sonde_broker.bus.errors import MalformedPacket
from sonde_broker.bus.fields import Reader, binary, text, u16, u32, varint
from sonde_broker.bus.packets import NO_PROPERTIES, PacketType, Properties, ReasonCode

__all__ = ["WILL", "encode_properties", "read_properties"]

WILL = 0
"""Stands for the will's properties, which live inside CONNECT but have a list of their own."""


class _Kind(NamedTuple):
    read: Callable[[Reader], Any]
    write: Callable[[Any], bytes]


class _Property(NamedTuple):
    name: str
    kind: _Kind
    packets: frozenset[int]
    allowed: Callable[[Any], bool] | None = None


def _read_pair(reader: Reader) -> tuple[str, str]:
    return reader.text(), reader.text()


def _write_pair(pair: tuple[str, str]) -> bytes:
    return text(pair[0]) + text(pair[1])


def _write_u8(value: int) -> bytes:
    return value.to_bytes(1, "big")


_BYTE = _Kind(Reader.u8, _write_u8)
_TWO = _Kind(Reader.u16, u16)
_FOUR = _Kind(Reader.u32, u32)
_VARINT = _Kind(Reader.varint, varint)
_TEXT = _Kind(Reader.text, text)
_BINARY = _Kind(Reader.binary, binary)
_PAIR = _Kind(_read_pair, _write_pair)

_CONNECT = frozenset({PacketType.CONNECT})
_CONNACK = frozenset({PacketType.CONNACK})
_HANDSHAKE = _CONNECT | _CONNACK
_LOGIN = _HANDSHAKE | {PacketType.AUTH}
_MESSAGE = frozenset({PacketType.PUBLISH, WILL})
_REASONED = frozenset(
    {
        PacketType.CONNACK,
        PacketType.PUBACK,
        PacketType.PUBREC,
        PacketType.PUBREL,
        PacketType.PUBCOMP,
        PacketType.SUBACK,
        PacketType.UNSUBACK,
        PacketType.DISCONNECT,
        PacketType.AUTH,
    }
)
_ANY = _REASONED | _MESSAGE | {PacketType.CONNECT, PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE}


def _flag(value: int) -> bool:
    return value in (0, 1)


def _positive(value: int) -> bool:
    return value > 0


def _topic(value: str) -> bool:
    return bool(value) and "+" not in value and "#" not in value


_TABLE: dict[int, _Property] = {
    0x01: _Property("payload_format", _BYTE, _MESSAGE, _flag),
    0x02: _Property("message_expiry", _FOUR, _MESSAGE),
    0x03: _Property("content_type", _TEXT, _MESSAGE),
    0x08: _Property("response_topic", _TEXT, _MESSAGE, _topic),
    0x09: _Property("correlation_data", _BINARY, _MESSAGE),
    0x0B: _Property(
        "subscription_ids", _VARINT, frozenset({PacketType.PUBLISH, PacketType.SUBSCRIBE}), _positive
    ),
    0x11: _Property("session_expiry", _FOUR, _HANDSHAKE | {PacketType.DISCONNECT}),
    0x12: _Property("assigned_client_id", _TEXT, _CONNACK),
    0x13: _Property("server_keep_alive", _TWO, _CONNACK),
    0x15: _Property("authentication_method", _TEXT, _LOGIN),
    0x16: _Property("authentication_data", _BINARY, _LOGIN),
    0x17: _Property("request_problem_information", _BYTE, _CONNECT, _flag),
    0x18: _Property("will_delay", _FOUR, frozenset({WILL})),
    0x19: _Property("request_response_information", _BYTE, _CONNECT, _flag),
    0x1A: _Property("response_information", _TEXT, _CONNACK),
    0x1C: _Property("server_reference", _TEXT, _CONNACK | {PacketType.DISCONNECT}),
    0x1F: _Property("reason_string", _TEXT, _REASONED),
    0x21: _Property("receive_maximum", _TWO, _HANDSHAKE, _positive),
    0x22: _Property("topic_alias_maximum", _TWO, _HANDSHAKE),
    0x23: _Property("topic_alias", _TWO, frozenset({PacketType.PUBLISH})),
    0x24: _Property("maximum_qos", _BYTE, _CONNACK, _flag),
    0x25: _Property("retain_available", _BYTE, _CONNACK, _flag),
    0x26: _Property("user", _PAIR, _ANY),
    0x27: _Property("maximum_packet_size", _FOUR, _HANDSHAKE, _positive),
    0x28: _Property("wildcards_available", _BYTE, _CONNACK, _flag),
    0x29: _Property("subscription_ids_available", _BYTE, _CONNACK, _flag),
    0x2A: _Property("shared_available", _BYTE, _CONNACK, _flag),
}
_REPEATABLE = frozenset({"user", "subscription_ids"})


def read_properties(reader: Reader, packet: int) -> Properties:
    """Takes the property block off `reader`; `packet` is the PacketType that holds it, or WILL.

    Refuses unknown properties, those of other packets, repeated ones and values outside their range.
    """
    size = reader.varint()
    if not size:
        return NO_PROPERTIES
    block = Reader(reader.take(size))
    found: dict[str, Any] = {}
    repeated: dict[str, list[Any]] = {}
    while block.left:
        number = block.varint()
        known = _TABLE.get(number)
        if known is None or packet not in known.packets:
            raise MalformedPacket(
                ReasonCode.MALFORMED_PACKET, f"property 0x{number:02X} does not belong here"
            )
        value = known.kind.read(block)
        if known.allowed is not None and not known.allowed(value):
            raise MalformedPacket(ReasonCode.PROTOCOL_ERROR, f"{known.name} has a value that is not allowed")
        if known.name in _REPEATABLE:
            repeated.setdefault(known.name, []).append(value)
        elif known.name in found:
            raise MalformedPacket(ReasonCode.PROTOCOL_ERROR, f"{known.name} is given twice")
        else:
            found[known.name] = value
    found.update((name, tuple(values)) for name, values in repeated.items())
    return Properties(**found)


def encode_properties(properties: Properties) -> bytes:
    """The property block with its length. Which packet it goes into is the caller's responsibility."""
    if properties is NO_PROPERTIES:
        return b"\0"
    out = bytearray()
    for number, known in _TABLE.items():
        value = getattr(properties, known.name)
        if value is None:
            continue
        for one in value if known.name in _REPEATABLE else (value,):
            out.append(number)
            out += known.kind.write(one)
    return varint(len(out)) + bytes(out)
