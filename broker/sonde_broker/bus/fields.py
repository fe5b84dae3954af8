"""The data types of MQTT: integers, strings, binary data and variable byte integers (§1.5)."""

from sonde_broker.bus.errors import MalformedPacket
from sonde_broker.bus.packets import ReasonCode

__all__ = ["Reader", "binary", "text", "u16", "u32", "varint"]

MAX_VARINT = 268_435_455
MAX_FIELD = 65_535


class Reader:
    """Takes fields off the front of one packet's body; raises MalformedPacket where the body is too short."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._body) - self._at

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._body):
            raise MalformedPacket(ReasonCode.MALFORMED_PACKET, "the packet ends inside a field")
        taken = self._body[self._at : end]
        self._at = end
        return taken

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def varint(self) -> int:
        """At most four bytes, and no more than the value needs (§1.5.5)."""
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if shift and not byte:
                    raise MalformedPacket(ReasonCode.MALFORMED_PACKET, "an integer is longer than it needs")
                return value
        raise MalformedPacket(ReasonCode.MALFORMED_PACKET, "an integer is longer than four bytes")

    def binary(self) -> bytes:
        return self.take(self.u16())

    def text(self) -> str:
        return to_text(self.binary())

    def packet_id(self) -> int:
        """Never 0 (§2.2.1)."""
        number = self.u16()
        if not number:
            raise MalformedPacket(ReasonCode.PROTOCOL_ERROR, "the packet identifier is 0")
        return number

    def rest(self) -> bytes:
        return self.take(self.left)

    def finish(self) -> None:
        if self.left:
            raise MalformedPacket(ReasonCode.MALFORMED_PACKET, "bytes are left over behind the last field")


def to_text(encoded: bytes) -> str:
    """Well-formed UTF-8 without surrogates and without U+0000 (§1.5.4)."""
    try:
        decoded = encoded.decode()
    except UnicodeDecodeError as error:
        raise MalformedPacket(ReasonCode.MALFORMED_PACKET, "a string is not UTF-8") from error
    if "\0" in decoded:
        raise MalformedPacket(ReasonCode.MALFORMED_PACKET, "a string contains U+0000")
    return decoded


def varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if value > MAX_VARINT:
        raise ValueError(f"{value} does not fit into four bytes of seven bits")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def binary(value: bytes) -> bytes:
    if len(value) > MAX_FIELD:
        raise ValueError(f"a field of {len(value)} bytes exceeds {MAX_FIELD}")
    return len(value).to_bytes(2, "big") + value


def text(value: str) -> bytes:
    return binary(value.encode())
