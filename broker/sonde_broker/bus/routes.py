"""Which sessions get a topic's messages, and how."""

import msgspec

from sonde_broker.bus.packets import Subscription
from sonde_broker.bus.sessions import Session
from sonde_broker.bus.topics import Tree

__all__ = ["Routes"]

_REMEMBERED_TOPICS = 50_000

Route = tuple[Session, Subscription]


class Routes:
    """All subscriptions. Answers for topics seen before are remembered until a subscription to them changes."""

    def __init__(self) -> None:
        self._tree: Tree[dict[int, Route]] = Tree()
        self._known: dict[str, tuple[Route, ...]] = {}

    def add(self, session: Session, wish: Subscription) -> None:
        self._forget(wish.filter)
        holders = self._tree.get(wish.filter)
        if holders is None:
            self._tree.set(wish.filter, {session.connection: (session, wish)})
        else:
            holders[session.connection] = (session, wish)

    def remove(self, session: Session, wanted: str) -> None:
        self._forget(wanted)
        holders = self._tree.get(wanted)
        if holders is not None and holders.pop(session.connection, None) is not None and not holders:
            self._tree.discard(wanted)

    def _forget(self, changed: str) -> None:
        """What may be known wrongly now."""
        if "+" in changed or "#" in changed:
            self._known.clear()
        else:
            self._known.pop(changed, None)

    def to(self, topic: str) -> tuple[Route, ...]:
        """Each session once, even if several of its filters match (§3.3.4)."""
        known = self._known.get(topic)
        if known is None:
            found: dict[int, Route] = {}
            for holders in self._tree.filters_for(topic):
                for connection, route in holders.items():
                    earlier = found.get(connection)
                    found[connection] = (
                        route if earlier is None else (route[0], _merged(earlier[1], route[1]))
                    )
            if len(self._known) >= _REMEMBERED_TOPICS:
                self._known.clear()
            known = self._known[topic] = tuple(found.values())
        return known


def _merged(one: Subscription, other: Subscription) -> Subscription:
    """The more generous of both in every option; QoS must be the maximum (§3.3.4)."""
    return msgspec.structs.replace(
        one,
        qos=max(one.qos, other.qos),
        no_local=one.no_local and other.no_local,
        retain_as_published=one.retain_as_published or other.retain_as_published,
    )
