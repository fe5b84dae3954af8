"""MQTT packets to bytes, for 3.1.1 and 5."""

from typing import assert_never

from sonde_broker.bus.fields import binary, text, u16, varint
from sonde_broker.bus.packets import (
    NO_PROPERTIES,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    PacketType,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
)
from sonde_broker.bus.properties import encode_properties

__all__ = ["encode", "encode_publish"]

_ACKNOWLEDGEMENTS = {
    Puback: PacketType.PUBACK << 4,
    Pubrec: PacketType.PUBREC << 4,
    Pubrel: PacketType.PUBREL << 4 | 0b0010,
    Pubcomp: PacketType.PUBCOMP << 4,
}

_PUBLISH = [bytes((PacketType.PUBLISH << 4 | flags,)) for flags in range(16)]


def encode(packet: Packet, version: Version) -> bytes:
    """One whole control packet.

    What the version cannot carry is left out. Raises ValueError for fields that fit no packet (a string over
    65,535 bytes, a number out of range); it does not check that the packet is a sensible one to send.
    """
    match packet:
        case Publish():
            return encode_publish(
                text(packet.topic),
                packet.payload,
                flags=packet.dup << 3 | packet.qos << 1 | packet.retain,
                packet_id=packet.packet_id,
                properties=_properties(packet.properties, version),
            )
        case Puback() | Pubrec() | Pubrel() | Pubcomp():
            body = u16(packet.packet_id) + _reason(packet.reason, packet.properties, version)
            return _frame(_ACKNOWLEDGEMENTS[type(packet)], body)
        case Connect():
            return _frame(PacketType.CONNECT << 4, _connect(packet))
        case Connack():
            head = bytes((packet.session_present, packet.reason))
            return _frame(PacketType.CONNACK << 4, head + _properties(packet.properties, version))
        case Subscribe():
            head = u16(packet.packet_id) + _properties(packet.properties, version)
            wishes = b"".join(text(wish.filter) + _options(wish) for wish in packet.subscriptions)
            return _frame(PacketType.SUBSCRIBE << 4 | 0b0010, head + wishes)
        case Suback():
            head = u16(packet.packet_id) + _properties(packet.properties, version)
            return _frame(PacketType.SUBACK << 4, head + bytes(packet.reasons))
        case Unsubscribe():
            head = u16(packet.packet_id) + _properties(packet.properties, version)
            return _frame(PacketType.UNSUBSCRIBE << 4 | 0b0010, head + b"".join(map(text, packet.filters)))
        case Unsuback():
            head = u16(packet.packet_id) + _properties(packet.properties, version)
            reasons = bytes(packet.reasons) if version is Version.V5 else b""
            return _frame(PacketType.UNSUBACK << 4, head + reasons)
        case Pingreq():
            return b"\xc0\0"
        case Pingresp():
            return b"\xd0\0"
        case Disconnect():
            return _frame(PacketType.DISCONNECT << 4, _reason(packet.reason, packet.properties, version))
        case Auth():
            return _frame(PacketType.AUTH << 4, _reason(packet.reason, packet.properties, Version.V5))
        case _:
            assert_never(packet)


def encode_publish(topic: bytes, payload: bytes, *, flags: int, packet_id: int, properties: bytes) -> bytes:
    """A PUBLISH from parts that a fan-out encodes once.

    `topic` has its length in front, `flags` is the low nibble of the fixed header (§3.3.1), `properties` the
    block with its length, or nothing in 3.1.1.
    """
    middle = packet_id.to_bytes(2, "big") + properties if packet_id else properties
    size = varint(len(topic) + len(middle) + len(payload))
    return b"".join((_PUBLISH[flags], size, topic, middle, payload))


def _frame(first: int, body: bytes) -> bytes:
    return bytes((first,)) + varint(len(body)) + body


def _properties(properties: Properties, version: Version) -> bytes:
    return encode_properties(properties) if version is Version.V5 else b""


def _reason(reason: int, properties: Properties, version: Version) -> bytes:
    """Reason and properties at a packet's end; both may be left out (§3.4.2.1, §3.14.2.1)."""
    if version is Version.V311 or (not reason and properties == NO_PROPERTIES):
        return b""
    if properties == NO_PROPERTIES:
        return bytes((reason,))
    return bytes((reason,)) + encode_properties(properties)


def _options(wish: Subscription) -> bytes:
    options = wish.qos | wish.no_local << 2 | wish.retain_as_published << 3 | wish.retain_handling << 4
    return bytes((options,))


def _connect(packet: Connect) -> bytes:
    flags = packet.clean << 1
    tail = text(packet.client_id)
    if packet.will is not None:
        will = packet.will
        flags |= 0b100 | will.qos << 3 | will.retain << 5
        tail += _properties(will.properties, packet.version) + text(will.topic) + binary(will.payload)
    if packet.username is not None:
        flags |= 0x80
        tail += text(packet.username)
    if packet.password is not None:
        flags |= 0x40
        tail += binary(packet.password)
    head = text("MQTT") + bytes((packet.version, flags)) + u16(packet.keep_alive)
    return head + _properties(packet.properties, packet.version) + tail
