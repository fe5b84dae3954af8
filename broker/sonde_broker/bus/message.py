"""One published message on its way to many receivers."""

import math

import msgspec

from sonde_broker.bus.encoder import encode_publish
from sonde_broker.bus.packets import NO_PROPERTIES, Properties, Publish, Will
from sonde_broker.bus.properties import encode_properties

__all__ = ["Message"]


class Message:
    """A message and its encodings, each made when first needed and shared by all receivers.

    `origin` is the connection that published it (for the no-local option), `expires` the time of the core's clock
    after which it may not be delivered.
    """

    __slots__ = ("_frames", "_properties", "expires", "origin", "payload", "qos", "retain", "topic")

    def __init__(self, source: Publish | Will, *, origin: int, now: float) -> None:
        self.topic = source.topic
        self.payload = source.payload
        self.qos = source.qos
        self.retain = source.retain
        self.origin = origin
        self.expires: float | None = None
        self._properties = source.properties
        self._frames: dict[int, bytes] = {}
        if source.properties is not NO_PROPERTIES:
            self._properties = _forwarded(source.properties)
            if source.properties.message_expiry is not None:
                self.expires = now + source.properties.message_expiry

    @property
    def cost(self) -> int:
        """About the bytes it takes to keep."""
        return len(self.payload) + len(self.topic) + len(encode_properties(self._properties))

    def expired(self, now: float) -> bool:
        return self.expires is not None and self.expires <= now

    def frame(self, v5: bool, qos: int, retain: bool, packet_id: int, now: float) -> bytes:
        """The PUBLISH for one receiver; the message expiry is what is left of it (§3.3.2.3.3)."""
        if packet_id:
            return self._encode(v5, qos << 1 | retain, packet_id, now)
        key = 2 if v5 else 0
        if retain:
            key += 1
        made = self._frames.get(key)
        if made is None or self.expires is not None:
            made = self._frames[key] = self._encode(v5, 1 if retain else 0, 0, now)
        return made

    def forget_frames(self) -> None:
        """For a message that is kept: its encodings would be a second copy of it."""
        self._frames.clear()

    def _encode(self, v5: bool, flags: int, packet_id: int, now: float) -> bytes:
        properties = b""
        if v5:
            properties = b"\0" if self._properties is NO_PROPERTIES else self._encoded_properties(now)
        # Spelled out, because this runs for every message; the decoder or the will has checked the length.
        encoded = self.topic.encode()
        topic = len(encoded).to_bytes(2, "big") + encoded
        return encode_publish(topic, self.payload, flags=flags, packet_id=packet_id, properties=properties)

    def _encoded_properties(self, now: float) -> bytes:
        if self.expires is None:
            return encode_properties(self._properties)
        left = max(1, math.ceil(self.expires - now))
        return encode_properties(msgspec.structs.replace(self._properties, message_expiry=left))


def _forwarded(properties: Properties) -> Properties:
    """What travels on to subscribers unaltered (§3.3.2.3); a will's delay and a publisher's alias do not."""
    return Properties(
        payload_format=properties.payload_format,
        message_expiry=properties.message_expiry,
        content_type=properties.content_type,
        response_topic=properties.response_topic,
        correlation_data=properties.correlation_data,
        user=properties.user,
    )
