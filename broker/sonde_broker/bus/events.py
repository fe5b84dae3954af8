"""What happens to the bus core, and what it wants done in return.

A connection is a number that the face gives and never uses again.
"""

from collections.abc import Sequence

import msgspec

from sonde_broker.bus.errors import MalformedPacket
from sonde_broker.bus.message import Message
from sonde_broker.bus.packets import Packet

__all__ = [
    "Answer",
    "Close",
    "Denied",
    "Effect",
    "Event",
    "Give",
    "Lost",
    "Malformed",
    "Opened",
    "Received",
    "Send",
    "Stopping",
    "Tick",
    "Written",
]


class Opened(msgspec.Struct, frozen=True):
    """Somebody connected: over a socket, or from inside this process, where nothing has to be encoded."""

    connection: int
    inside: bool = False


class Received(msgspec.Struct, frozen=True):
    """Whole packets came. Several at a time only because that is faster."""

    connection: int
    packets: Sequence[Packet]


class Malformed(msgspec.Struct, frozen=True):
    """The peer sent what is no MQTT; nothing more will be read from it."""

    connection: int
    error: MalformedPacket


class Lost(msgspec.Struct, frozen=True):
    """The connection ended without our doing."""

    connection: int


class Written(msgspec.Struct, frozen=True):
    """All earlier Sends were handed to the transport, which still holds `pending` bytes.

    Comes after each write, and again when a transport that held more than PUMP bytes has got rid of them.
    """

    connection: int
    pending: int


class Tick(msgspec.Struct, frozen=True):
    """Some time passed. Deadlines are looked at now, so its period is their precision."""


class Stopping(msgspec.Struct, frozen=True):
    """The server ends."""


Event = Opened | Received | Malformed | Lost | Written | Tick | Stopping


class Send(msgspec.Struct, frozen=True, gc=False):
    """Write bytes. Order matters within a connection."""

    connection: int
    data: bytes


class Give(msgspec.Struct, frozen=True, gc=False):
    """Hand a message to a connection from inside this process. `qos` and `retain` are what this receiver shall see."""

    connection: int
    message: Message
    qos: int
    retain: bool


class Answer(msgspec.Struct, frozen=True, gc=False):
    """Hand a packet that is no message to a connection from inside this process."""

    connection: int
    packet: Packet


class Close(msgspec.Struct, frozen=True):
    """Write what was sent before, then close. The core has already forgotten the connection.

    `reason` is a code of MQTT 5 §2.4 and `client` the client id, both for the log.
    """

    connection: int
    reason: int
    client: str
    detail: str


class Denied(msgspec.Struct, frozen=True):
    """A client was refused something: for the log."""

    connection: int
    client: str
    user: str
    action: str
    topic: str


Effect = Send | Give | Answer | Close | Denied
