"""The bodies of all packets but PUBLISH: fields to values, with every rule that one packet alone can break."""

from collections.abc import Callable

from sonde_broker.bus.errors import InvalidTopic, MalformedPacket
from sonde_broker.bus.fields import Reader
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
    Pubrec,
    Pubrel,
    ReasonCode,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
    Will,
)
from sonde_broker.bus.properties import WILL, read_properties
from sonde_broker.bus.topics import check_filter, check_topic

__all__ = ["checked", "read_body", "read_connect"]


def checked(check: Callable[[str], None], topic: str, reason: ReasonCode) -> str:
    try:
        check(topic)
    except InvalidTopic as error:
        raise MalformedPacket(reason, str(error)) from error
    return topic


def _properties(reader: Reader, version: Version, kind: PacketType) -> Properties:
    return read_properties(reader, kind) if version is Version.V5 else NO_PROPERTIES


def read_connect(reader: Reader) -> Connect:
    if reader.binary() != b"MQTT":
        raise MalformedPacket(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, "another protocol name")
    level = reader.u8()
    if level not in (4, 5):
        raise MalformedPacket(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, f"protocol level {level}")
    version = Version(level)
    flags = reader.u8()
    has_user, has_password, has_will = flags & 0x80, flags & 0x40, flags & 0x04
    if flags & 1 or (not has_will and flags & 0x38) or flags & 0x18 == 0x18:
        raise MalformedPacket(ReasonCode.MALFORMED_PACKET, f"the connect flags 0x{flags:02X}")
    if version is Version.V311 and has_password and not has_user:
        raise MalformedPacket(ReasonCode.MALFORMED_PACKET, "a password without a user name")
    keep_alive = reader.u16()
    properties = _properties(reader, version, PacketType.CONNECT)
    client_id = reader.text()
    will = None
    if has_will:
        will_properties = read_properties(reader, WILL) if version is Version.V5 else NO_PROPERTIES
        will = Will(
            properties=will_properties,
            topic=checked(check_topic, reader.text(), ReasonCode.TOPIC_NAME_INVALID),
            payload=reader.binary(),
            qos=flags >> 3 & 3,
            retain=flags & 0x20 != 0,
        )
    return Connect(
        version=version,
        client_id=client_id,
        clean=flags & 2 != 0,
        keep_alive=keep_alive,
        username=reader.text() if has_user else None,
        password=reader.binary() if has_password else None,
        will=will,
        properties=properties,
    )


def _connack(reader: Reader, version: Version) -> Connack:
    flags = reader.u8()
    if flags > 1:
        raise MalformedPacket(ReasonCode.MALFORMED_PACKET, f"the acknowledge flags 0x{flags:02X}")
    reason = reader.u8()
    properties = _properties(reader, version, PacketType.CONNACK)
    return Connack(session_present=flags == 1, reason=reason, properties=properties)


def _reason(reader: Reader, version: Version, kind: PacketType) -> tuple[int, Properties]:
    """Reason and properties at a packet's end; both may be missing (§3.4.2.1, §3.14.2.1)."""
    if version is Version.V311 or not reader.left:
        return 0, NO_PROPERTIES
    reason = reader.u8()
    return reason, read_properties(reader, kind) if reader.left else NO_PROPERTIES


def _acknowledgement(
    make: type[Puback] | type[Pubrec] | type[Pubrel] | type[Pubcomp], kind: PacketType
) -> Callable[[Reader, Version], Packet]:
    def read(reader: Reader, version: Version) -> Packet:
        packet_id = reader.packet_id()
        reason, properties = _reason(reader, version, kind)
        return make(packet_id=packet_id, reason=reason, properties=properties)

    return read


def _subscribe(reader: Reader, version: Version) -> Subscribe:
    packet_id = reader.packet_id()
    properties = _properties(reader, version, PacketType.SUBSCRIBE)
    wishes: list[Subscription] = []
    while reader.left or not wishes:
        wanted = checked(check_filter, reader.text(), ReasonCode.TOPIC_FILTER_INVALID)
        options = reader.u8()
        reserved = 0xC0 if version is Version.V5 else 0xFC
        if options & reserved or options & 3 == 3 or options & 0x30 == 0x30:
            raise MalformedPacket(ReasonCode.MALFORMED_PACKET, f"the subscription options 0x{options:02X}")
        wishes.append(
            Subscription(
                filter=wanted,
                qos=options & 3,
                no_local=options & 4 != 0,
                retain_as_published=options & 8 != 0,
                retain_handling=options >> 4 & 3,
            )
        )
    return Subscribe(packet_id=packet_id, subscriptions=tuple(wishes), properties=properties)


def _suback(reader: Reader, version: Version) -> Suback:
    packet_id = reader.packet_id()
    properties = _properties(reader, version, PacketType.SUBACK)
    return Suback(packet_id=packet_id, reasons=tuple(reader.rest()), properties=properties)


def _unsubscribe(reader: Reader, version: Version) -> Unsubscribe:
    packet_id = reader.packet_id()
    properties = _properties(reader, version, PacketType.UNSUBSCRIBE)
    filters: list[str] = []
    while reader.left or not filters:
        filters.append(checked(check_filter, reader.text(), ReasonCode.TOPIC_FILTER_INVALID))
    return Unsubscribe(packet_id=packet_id, filters=tuple(filters), properties=properties)


def _unsuback(reader: Reader, version: Version) -> Unsuback:
    packet_id = reader.packet_id()
    properties = _properties(reader, version, PacketType.UNSUBACK)
    reasons = tuple(reader.rest()) if version is Version.V5 else ()
    return Unsuback(packet_id=packet_id, reasons=reasons, properties=properties)


def _pingreq(_reader: Reader, _version: Version) -> Pingreq:
    return Pingreq()


def _pingresp(_reader: Reader, _version: Version) -> Pingresp:
    return Pingresp()


def _disconnect(reader: Reader, version: Version) -> Disconnect:
    reason, properties = _reason(reader, version, PacketType.DISCONNECT)
    return Disconnect(reason=reason, properties=properties)


def _auth(reader: Reader, version: Version) -> Auth:
    reason, properties = _reason(reader, version, PacketType.AUTH)
    return Auth(reason=reason, properties=properties)


_BODIES: dict[PacketType, Callable[[Reader, Version], Packet]] = {
    PacketType.CONNACK: _connack,
    PacketType.PUBACK: _acknowledgement(Puback, PacketType.PUBACK),
    PacketType.PUBREC: _acknowledgement(Pubrec, PacketType.PUBREC),
    PacketType.PUBREL: _acknowledgement(Pubrel, PacketType.PUBREL),
    PacketType.PUBCOMP: _acknowledgement(Pubcomp, PacketType.PUBCOMP),
    PacketType.SUBSCRIBE: _subscribe,
    PacketType.SUBACK: _suback,
    PacketType.UNSUBSCRIBE: _unsubscribe,
    PacketType.UNSUBACK: _unsuback,
    PacketType.PINGREQ: _pingreq,
    PacketType.PINGRESP: _pingresp,
    PacketType.DISCONNECT: _disconnect,
    PacketType.AUTH: _auth,
}


def read_body(kind: PacketType, reader: Reader, version: Version) -> Packet:
    """Any packet but CONNECT, which tells the version, and PUBLISH, which the decoder reads itself."""
    return _BODIES[kind](reader, version)
