"""Who is in the fleet, from the presences on the bus, and what follows for everybody else when somebody comes, goes or begins
anew. Pure; part of the core.

When the bus is back it may have forgotten what it retained: a process that does not tell of itself again within the fleet's
grace is lost. What nobody needs to know any more is also taken off the bus, which would retain it for ever; one broker does that.
"""

from collections.abc import Callable

from msgspec import Struct

from sonde_broker.deadlines import Deadlines
from sonde_broker.delivery import Delivery
from sonde_broker.dispatch import Dispatch
from sonde_broker.fleet import GRACE, Fleet
from sonde_broker.probe_desk import ProbeDesk
from sonde_broker.relay_io import Effect, Instant, PresenceSeen, Publish
from sonde_broker.stream import Stream
from sonde_wire import Address, bus, topics
from sonde_wire.topics import Channel

EXPIRE_EVERY = 60.0


class _Expires(Struct, frozen=True):
    pass


class _GraceEnds(Struct, frozen=True):
    pass


class Census:
    """`leads` says whether what many brokers see is for this one to do."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        stream: Stream,
        dispatch: Dispatch,
        probes: ProbeDesk,
        delivery: Delivery,
        leads: Callable[[str], bool],
    ) -> None:
        self._fleet = fleet
        self._stream = stream
        self._dispatch = dispatch
        self._probes = probes
        self._delivery = delivery
        self._leads = leads
        self._deadlines: Deadlines[_Expires | _GraceEnds] = Deadlines()

    def deadline(self) -> float | None:
        return self._deadlines.next()

    def seen(self, seen: PresenceSeen, now: Instant) -> list[Effect]:
        before = self._fleet.get(seen.process)
        successor = self._fleet.outlived(seen.process, seen.presence)
        if successor is not None:  # the bus retains the wrong one now
            topic = topics.of_process(seen.process, Channel.PRESENCE)
            return [Publish(topic, successor.encoded, retain=True)] if self._dispatch.bus_up else []
        if not self._fleet.update(seen.process, seen.presence, seen.encoded, now.wall):
            return []
        self._deadlines.begin(_Expires(), now.steady + EXPIRE_EVERY)
        presence = seen.presence
        if before is None or _is_elsewhere(before.presence, presence):
            self._probes.process_changed(seen.process, now)
        effects: list[Effect] = []
        if presence.state != "online":
            effects += self._dispatch.process_gone(seen.process, presence.state)
        elif before is not None and before.presence.boot != presence.boot:
            effects += self._dispatch.process_restarted(seen.process)
        elif before is not None and not before.online:
            alive = {each.session for each in presence.sessions}
            self._dispatch.sessions.keep_only(seen.process, alive)
        return effects + self._delivery.presence(seen.process, seen.encoded, now)

    def cleared(self, process: Address, now: Instant) -> list[Effect]:
        self._fleet.forget(process)
        self._stream.forget(process)
        self._probes.process_forgotten(process, now)
        return self._dispatch.process_gone(process, "lost")

    def bus_changed(self, up: bool, now: Instant) -> None:
        if up:
            self._fleet.doubt()
            self._deadlines.set(_GraceEnds(), now.steady + GRACE)
        else:
            self._deadlines.clear(_GraceEnds())

    def time_passed(self, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for due in self._deadlines.take_due(now.steady):
            effects += self._expire(now) if isinstance(due, _Expires) else self._lose(now)
        return effects

    def _lose(self, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for process, known in self._fleet.lose_unconfirmed(now.wall):
            self._probes.process_changed(process, now)
            effects += self._dispatch.process_gone(process, "lost")
            effects += self._delivery.presence(process, known.encoded, now)
        self._deadlines.begin(_Expires(), now.steady + EXPIRE_EVERY)
        return effects

    def _expire(self, now: Instant) -> list[Effect]:
        if self._fleet:
            self._deadlines.begin(_Expires(), now.steady + EXPIRE_EVERY)
        if not self._dispatch.bus_up:
            return []
        cleared: list[tuple[Address, Channel]] = []
        for process in self._fleet.expire(now.wall):
            self._stream.forget(process)
            had_probes = self._probes.process_forgotten(process, now)
            if self._leads(str(process)):
                cleared.append((process, Channel.PRESENCE))
                cleared += [(process, Channel.PROBES)] if had_probes else []
        return [Publish(topics.of_process(*each), b"", retain=True) for each in cleared]


def _is_elsewhere(before: bus.Presence, now: bus.Presence) -> bool:
    """Whether other probes may mean it."""
    return (before.state, before.boot, before.labels) != (now.state, now.boot, now.labels)
