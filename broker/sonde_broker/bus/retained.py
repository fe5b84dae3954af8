"""The retained messages: the last one of each topic, for those who subscribe later (§3.3.1.3)."""

from collections.abc import Iterator

from sonde_broker.bus.message import Message
from sonde_broker.bus.topics import Tree

__all__ = ["Retained"]


class Retained:
    """At most `messages` of them with `size` bytes together. Refuses what exceeds that; never evicts."""

    def __init__(self, *, messages: int, size: int) -> None:
        self._limit_messages = messages
        self._limit_size = size
        self._tree: Tree[Message] = Tree()
        self._costs: dict[str, int] = {}
        self._expiring: set[str] = set()
        self.size = 0

    def __len__(self) -> int:
        return len(self._costs)

    def put(self, message: Message) -> bool:
        """Keeps a message in place of its topic's last one; an empty payload only clears. False if there is no
        room, and then the old one stays."""
        topic = message.topic
        if not message.payload:
            self._remove(topic)
            return True
        cost = message.cost
        old = self._costs.get(topic)
        messages = len(self._costs) + (old is None)
        size = self.size + cost - (old or 0)
        if messages > self._limit_messages or size > self._limit_size:
            return False
        self._tree.set(topic, message)
        self._costs[topic] = cost
        self.size = size
        if message.expires is None:
            self._expiring.discard(topic)
        else:
            self._expiring.add(topic)
        return True

    def get(self, topic: str) -> Message | None:
        return self._tree.get(topic)

    def matching(self, wanted: str) -> Iterator[Message]:
        return self._tree.topics_for(wanted)

    def expire(self, now: float) -> None:
        """Forgets what has expired (§3.3.2.3.3)."""
        for topic in list(self._expiring):
            message = self._tree.get(topic)
            if message is None or message.expired(now):
                self._remove(topic)

    def _remove(self, topic: str) -> None:
        cost = self._costs.pop(topic, None)
        if cost is not None:
            self.size -= cost
            self._expiring.discard(topic)
            self._tree.discard(topic)
