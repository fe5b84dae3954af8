"""Bytes to MQTT packets, in any pieces, for 3.1.1 and 5.

    decoder = Decoder(limit=1 << 20)
    decoder.feed(data)
    while packets := decoder.next_packets(): ...

Everything that breaks the format raises MalformedPacket, after which the decoder is of no further use. The size
of a packet is judged by its fixed header, before anything of that size is kept.
"""

from sonde_broker.bus.bodies import checked, read_body, read_connect
from sonde_broker.bus.errors import MalformedPacket
from sonde_broker.bus.fields import Reader, to_text
from sonde_broker.bus.packets import NO_PROPERTIES, Packet, PacketType, Publish, ReasonCode, Version
from sonde_broker.bus.properties import read_properties
from sonde_broker.bus.topics import check_topic

__all__ = ["FIRST_PACKET_LIMIT", "Decoder"]

FIRST_PACKET_LIMIT = 256 * 1024
"""A CONNECT may be this long: a will of 64 KiB, names and some properties. Strangers get no more memory."""

_REMEMBERED_TOPICS = 256
_REMEMBERED_LENGTH = 256

_FLAGS = {PacketType.PUBREL: 0b0010, PacketType.SUBSCRIBE: 0b0010, PacketType.UNSUBSCRIBE: 0b0010}


class Decoder:
    """One direction of one connection.

    `limit` is the size of the largest packet in bytes, header included. `version` is None on a server: the
    first packet must be a CONNECT and tells it.
    """

    def __init__(self, *, limit: int, version: Version | None = None) -> None:
        self.version = version
        self._limit = limit
        self._buffer = b""
        self._at = 0
        self._tail = bytearray()
        self._needed = 0
        self._topics: dict[bytes, str] = {}
        self._error: MalformedPacket | None = None

    def feed(self, data: bytes) -> None:
        """Adds what arrived. Costs no more than one copy, however small the pieces are."""
        if self._at < len(self._buffer):
            self._tail += self._buffer[self._at :]
            self._buffer, self._at, self._needed = b"", 0, 0
        if self._tail:
            self._tail += data
            if len(self._tail) < self._needed:
                return
            data = bytes(self._tail)
            self._tail.clear()
        self._buffer, self._at = data, 0

    def next_packets(self, most: int = 64) -> list[Packet]:
        """The next whole packets, empty until more is fed.

        `most` bounds what somebody makes of them at once. What comes before a malformed packet is returned first.
        """
        if self._error is not None:
            raise self._error
        packets: list[Packet] = []
        try:
            while len(packets) < most and (packet := self._next_packet()) is not None:
                packets.append(packet)
        except MalformedPacket as error:
            if not packets:
                raise
            self._error = error
        return packets

    def _next_packet(self) -> Packet | None:
        buffer, start = self._buffer, self._at
        size = len(buffer)
        if start >= size:
            return None
        # The remaining length (§2.1.4), inline: this runs for every message on the bus.
        at, length, shift = start + 1, 0, 0
        while True:
            if at >= size:
                self._starve(at - start + 1)
                return None
            byte = buffer[at]
            at += 1
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 21:
                raise MalformedPacket(ReasonCode.MALFORMED_PACKET, "the length is longer than four bytes")
        if shift and not byte:
            raise MalformedPacket(ReasonCode.MALFORMED_PACKET, "the length is longer than it needs")
        end = at + length
        first = buffer[start]
        if end - start > self._limit or self.version is None:
            self._check_header(first, end - start)
        if end > size:
            self._starve(end - start)
            return None
        self._at = end
        if first & 0xF0 == 0x30:
            return self._publish(first & 0x0F, buffer, at, end)
        return self._other(first, buffer[at:end])

    def _starve(self, needed: int) -> None:
        self._check_header(self._buffer[self._at], 0)
        self._tail += self._buffer[self._at :]
        self._buffer, self._at, self._needed = b"", 0, needed

    def _check_header(self, first: int, size: int) -> None:
        if self.version is None:
            if first != PacketType.CONNECT << 4:
                raise MalformedPacket(ReasonCode.PROTOCOL_ERROR, "the first packet is no CONNECT")
            if size > FIRST_PACKET_LIMIT:
                raise MalformedPacket(ReasonCode.PACKET_TOO_LARGE, f"a CONNECT of {size} bytes")
        if size > self._limit:
            raise MalformedPacket(
                ReasonCode.PACKET_TOO_LARGE, f"a packet of {size} bytes, {self._limit} are allowed"
            )

    def _publish(self, flags: int, buffer: bytes, at: int, end: int) -> Publish:
        qos = flags >> 1 & 3
        if qos == 3 or flags & 0b1110 == 0b1000:
            raise MalformedPacket(ReasonCode.MALFORMED_PACKET, "QoS 3, or DUP with QoS 0")
        start = at + 2
        at = start + (buffer[at] << 8 | buffer[at + 1]) if start <= end else end + 1
        fixed_end = at + 2 if qos else at
        if fixed_end > end:
            raise MalformedPacket(ReasonCode.MALFORMED_PACKET, "the packet ends inside a field")
        encoded = buffer[start:at]
        topic = self._topics.get(encoded) or self._topic(encoded)
        packet_id = 0
        if qos:
            packet_id = buffer[at] << 8 | buffer[at + 1]
            if not packet_id:
                raise MalformedPacket(ReasonCode.PROTOCOL_ERROR, "the packet identifier is 0")
        payload_at = fixed_end
        properties = NO_PROPERTIES
        if self.version == 5:
            if fixed_end < end and not buffer[fixed_end]:
                payload_at = fixed_end + 1
            else:
                reader = Reader(buffer[fixed_end:end])
                properties = read_properties(reader, PacketType.PUBLISH)
                payload_at = end - reader.left
            if not topic and properties.topic_alias is None:
                raise MalformedPacket(ReasonCode.PROTOCOL_ERROR, "neither a topic nor an alias")
        return Publish(
            topic=topic,
            payload=buffer[payload_at:end],
            qos=qos,
            retain=flags & 1 == 1,
            dup=flags & 8 == 8,
            packet_id=packet_id,
            properties=properties,
        )

    def _topic(self, encoded: bytes) -> str:
        topic = to_text(encoded)
        if topic or self.version != 5:
            checked(check_topic, topic, ReasonCode.TOPIC_NAME_INVALID)
        if len(encoded) <= _REMEMBERED_LENGTH:
            if len(self._topics) >= _REMEMBERED_TOPICS:
                self._topics.clear()
            self._topics[encoded] = topic
        return topic

    def _other(self, first: int, body: bytes) -> Packet:
        number = first >> 4
        if not number or first & 0x0F != _FLAGS.get(PacketType(number), 0):
            raise MalformedPacket(ReasonCode.MALFORMED_PACKET, f"the header byte 0x{first:02X}")
        kind = PacketType(number)
        reader = Reader(body)
        if kind is PacketType.CONNECT:
            connect = read_connect(reader)
            self.version = connect.version
            reader.finish()
            return connect
        if kind is PacketType.AUTH and self.version is not Version.V5:
            raise MalformedPacket(ReasonCode.MALFORMED_PACKET, "AUTH in MQTT 3.1.1")
        assert self.version is not None  # noqa: S101 - _check_header let only a CONNECT through until now
        packet = read_body(kind, reader, self.version)
        reader.finish()
        return packet
