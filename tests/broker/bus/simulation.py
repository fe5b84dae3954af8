"""A bus core with pretended clients: packets in, packets out, time by hand."""

from collections import defaultdict
from typing import Any

from sonde_broker.bus.core import BusCore
from sonde_broker.bus.decoder import Decoder
from sonde_broker.bus.events import Close, Denied, Event, Lost, Opened, Received, Send, Tick, Written
from sonde_broker.bus.packets import (
    Connack,
    Connect,
    Packet,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Version,
    Will,
)
from sonde_broker.bus.settings import BusSettings, Limits

Strs = tuple[str, ...]


class Simulation:
    """`got` gives and forgets what a client was sent; `closed` holds the reasons of the closed connections.

    A client reads everything at once, unless it is in `stuck`.
    """

    def __init__(self, settings: BusSettings | None = None, **limits: Any) -> None:
        settings = settings or BusSettings(limits=Limits(**limits))
        self.now = 1000.0
        self.closed: dict[int, int] = {}
        self.denied: list[Denied] = []
        self.stuck: set[int] = set()
        self._named = 0
        self.core = BusCore(settings, new_client_id=self._name)
        self._clients = 0
        self._received: dict[int, list[Packet]] = defaultdict(list)
        self._decoders: dict[int, Decoder] = {}
        self._unread: dict[int, int] = defaultdict(int)

    def _name(self) -> str:
        self._named += 1
        return f"auto-{self._named}"

    def open(self, version: Version = Version.V5) -> int:
        self._clients += 1
        self._decoders[self._clients] = Decoder(limit=1 << 24, version=version)
        self.event(Opened(self._clients))
        return self._clients

    def connect(
        self,
        client_id: str,
        version: Version = Version.V5,
        *,
        will: Will | None = None,
        user: str | None = None,
        password: bytes | None = None,
        **fields: Any,
    ) -> int:
        """A client that got its CONNACK, which must be a welcome."""
        client, answer = self.try_connect(
            client_id, version, will=will, username=user, password=password, **fields
        )
        assert answer is not None
        assert answer.reason == 0
        return client

    def try_connect(
        self, client_id: str, version: Version = Version.V5, **fields: Any
    ) -> tuple[int, Connack | None]:
        client = self.open(version)
        self.send(client, Connect(version=version, client_id=client_id, **fields))
        answers = self.got(client)
        answer = answers[0] if answers else None
        assert answer is None or isinstance(answer, Connack)
        return client, answer

    def subscribe(self, client: int, wanted: str, qos: int = 0, **options: Any) -> int:
        """The reason code of the SUBACK; what came with it stays to be read."""
        wish = Subscription(filter=wanted, qos=qos, **options)
        self.send(client, Subscribe(packet_id=9, subscriptions=(wish,)))
        answers = self._received[client]
        suback = next(packet for packet in answers if isinstance(packet, Suback))
        answers.remove(suback)
        return suback.reasons[0]

    def publish(self, client: int, topic: str, payload: bytes = b"x", **fields: Any) -> None:
        packet_id = 7 if fields.get("qos") else 0
        self.send(client, Publish(topic=topic, payload=payload, packet_id=packet_id, **fields))

    def send(self, client: int, *packets: Packet) -> None:
        self.event(Received(client, packets))

    def lose(self, client: int) -> None:
        self.event(Lost(client))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.event(Tick())

    def unstick(self, client: int) -> None:
        self.stuck.discard(client)
        self._settle()

    def event(self, event: Event) -> None:
        self._take(event)
        self._settle()

    def got(self, client: int) -> list[Packet]:
        return self._received.pop(client, [])

    def payloads(self, client: int) -> list[bytes]:
        """Of the messages among what the client got."""
        return [packet.payload for packet in self.got(client) if isinstance(packet, Publish)]

    def _take(self, event: Event) -> None:
        for effect in self.core.handle(event, self.now):
            match effect:
                case Send(client, data):
                    assert client not in self.closed, "sent to a closed connection"
                    self._unread[client] += len(data)
                    decoder = self._decoders[client]
                    decoder.feed(data)
                    while packets := decoder.next_packets():
                        self._received[client] += packets
                case Close(client, reason):
                    assert client not in self.closed, "closed twice"
                    self.closed[client] = reason
                case Denied():
                    self.denied.append(effect)

    def _settle(self) -> None:
        while waiting := [
            client for client, size in self._unread.items() if size and client not in self.stuck
        ]:
            for client in waiting:
                self._unread[client] = 0
                self._take(Written(client, 0))
