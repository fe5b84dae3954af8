"""The core: what happens on the bus goes to the viewers that may see it, what viewers ask goes to processes.

`handle(happening, now)` returns what is to be done; nothing here does I/O, reads a clock or makes an id. After everything
that happened the parts *settle*: what has become possible by it is done.

A viewer: joined -> (calls, subscriptions, sessions) -> left. Its token's end closes it, unless renewed.
A command (`dispatch`): published -> answered | timed out | failed because its process or the bus is gone.
The bus: down -> up -> down ... While it is down calls to processes are refused. When it goes down all sessions
are over: the server publishes our last will, upon which every sidecar closes the sessions that came through us.
"""

import logging
from collections.abc import Callable
from typing import Any, assert_never

from msgspec import Struct

from sonde_broker import answers
from sonde_broker.acknowledgements import Acknowledgements
from sonde_broker.calls import Call
from sonde_broker.census import Census
from sonde_broker.counts import Counts, Levels
from sonde_broker.deadlines import Deadlines
from sonde_broker.delivery import Delivery
from sonde_broker.desk import Desk, Viewer
from sonde_broker.dispatch import Dispatch
from sonde_broker.fleet import Fleet
from sonde_broker.history_desk import HistoryDesk
from sonde_broker.interest import Interest
from sonde_broker.probe_desk import ProbeDesk
from sonde_broker.relay_io import (
    Announce,
    BrokerSeen,
    BusDown,
    BusUp,
    CloseViewer,
    Committed,
    Effect,
    EventsSeen,
    Happening,
    Instant,
    Keep,
    KeysChanged,
    Listening,
    MetricsSeen,
    PresenceCleared,
    PresenceSeen,
    ProbeSeen,
    ProbesReported,
    ProbesRestored,
    ReplySeen,
    Send,
    StoreAnswered,
    StoreChanged,
    TimePassed,
    ViewerCalled,
    ViewerId,
    ViewerJoined,
    ViewerLeft,
)
from sonde_broker.replicas import INTRODUCE_AFTER, Replicas
from sonde_broker.reporting import Reporting
from sonde_broker.stream import Stream
from sonde_broker.subscribing import Subscribers
from sonde_broker.subscriptions import Subscriptions
from sonde_broker.tokens import Claims, no_longer_taken
from sonde_broker.wants import Wants
from sonde_wire import Code, Failure, Refused, rpc, topics
from sonde_wire.bus import BrokerPresence
from sonde_wire.facts import facts, trace_of

logger = logging.getLogger(__name__)


class _TokenEnds(Struct, frozen=True):
    viewer: ViewerId


class _SharesChange(Struct, frozen=True):
    pass


class _Introduces(Struct, frozen=True):
    """Says once more that this broker is there."""


_Due = _TokenEnds | _SharesChange | _Introduces

SETTLE_SHARES = 1.0
"""Seconds after a broker came until the shards are divided anew: several often come together."""
TAKE_OVER = 0.1
"""Seconds after one went. Sidecars send again then, and nobody may be listening yet to what it stored."""


class Relay:
    """`verify(token, wall time)` raises `BadToken`; it is needed here for `token.renew`."""

    def __init__(
        self,
        *,
        broker: str,
        version: str,
        verify: Callable[[str, float], Claims],
        new_id: Callable[[], str],
        new_probe: Callable[[], str],
        counts: Counts | None = None,
    ) -> None:
        self._counts = counts or Counts()
        self._fleet = Fleet()
        self._viewers: dict[ViewerId, Viewer] = {}
        self._subscriptions = Subscriptions()
        self._delivery = Delivery(self._subscriptions)
        self._dispatch = Dispatch(broker, new_id, self._counts)
        self._interest = Interest()
        self._stream = Stream()
        self._store: str | None = None
        """Identity of the history that we write into."""
        self._replicas = Replicas(broker)
        self._acknowledgements = Acknowledgements()
        self._history = HistoryDesk()
        self._reporting = Reporting(self._fleet, self._interest, self._history)
        self.probes = ProbeDesk(
            self._fleet,
            self._subscriptions,
            new_probe,
            self._delivery.flush,
            history=self._history,
            leads=self._replicas.leads,
        )
        self._census = Census(
            fleet=self._fleet,
            stream=self._stream,
            dispatch=self._dispatch,
            probes=self.probes,
            delivery=self._delivery,
            leads=self._replicas.leads,
        )
        self._subscribers = Subscribers(
            fleet=self._fleet,
            interest=self._interest,
            recent=self._stream.recent,
            dispatch=self._dispatch,
            ask_store=self._history.ask,
            has_history=lambda: self._history.there,
            claims_of=lambda viewer: self._viewers[viewer].claims,
            join=lambda call, now: self._desk.join(call, self._viewers[call.viewer], now),
        )
        self._desk = Desk(
            broker=broker,
            version=version,
            verify=verify,
            fleet=self._fleet,
            subscriptions=self._subscriptions,
            subscribers=self._subscribers,
            dispatch=self._dispatch,
            probes=self.probes,
            history=self._history,
            reporting=self._reporting,
        )
        self._wants = Wants(
            interest=self._interest,
            stream=self._stream,
            subscriptions=self._subscriptions,
            sessions=self._dispatch.sessions,
            probes=self.probes,
            history=self._history,
            replicas=self._replicas,
        )
        self._deadlines: Deadlines[_Due] = Deadlines()

    @property
    def bus_up(self) -> bool:
        return self._dispatch.bus_up

    @property
    def store_status(self) -> rpc.StoreStatus:
        return self._history.status

    def levels(self) -> Levels:
        """How much there is of each thing now; the faces add theirs."""
        return Levels(
            bus_up=self.bus_up,
            groups=len(self._subscriptions.keys()),
            bus_filters=len(self._interest),
            processes=self._fleet.states(),
            brokers=len(self._replicas),
            probes=len(self.probes),
            sessions=len(self._dispatch.sessions),
            commands_pending=self._dispatch.pending,
            history_up=self._history.status.store == "up" if self._history.there else None,
        )

    def deadline(self) -> float | None:
        """When, on the steady clock, `TimePassed` is to be told."""
        due = (
            self._deadlines.next(),
            self._delivery.deadline(),
            self._census.deadline(),
            self._dispatch.deadline(),
            self.probes.deadline(),
            self._interest.deadline(),
            self._subscribers.deadline(),
            self._history.deadline(),
            self._reporting.deadline(),
            self._acknowledgements.deadline(),
            self._replicas.deadline(),
        )
        return min((at for at in due if at is not None), default=None)

    def handle(self, happening: Happening, now: Instant) -> list[Effect]:
        effects = self._handle(happening, now)
        effects += self._dispatch.take_outcomes(now)
        effects += self._reporting.settle(now)
        effects += self._subscribers.settle(now)
        effects += self.probes.settle(now)
        if not isinstance(happening, EventsSeen | MetricsSeen | PresenceSeen):
            self._wants.gather(now)
        return self._wants.settle() + effects

    def _handle(self, happening: Happening, now: Instant) -> list[Effect]:
        match happening:
            case EventsSeen():
                return self._events(happening, now)
            case MetricsSeen():
                return self._metrics(happening, now)
            case PresenceSeen():
                return self._census.seen(happening, now)
            case ProbeSeen(probe, message):
                return self.probes.seen(probe, message, now)
            case ProbesReported(process, report):
                self.probes.reported(process, report)
                return []
            case ProbesRestored(messages):
                self.probes.restore(messages, now)
                return []
            case ReplySeen(reply):
                return self._dispatch.answer(reply)
            case StoreAnswered(number, answer):
                return self._history.answered(number, answer, now)
            case Committed(streams):
                return [*self._acknowledgements.committed(streams, now.steady)]
            case StoreChanged():
                return self._store_changed(happening, now)
            case BrokerSeen(broker, presence):
                self._broker_seen(broker, presence, now)
                return []
            case Listening(filters):
                self._interest.confirmed(filters)
                return []
            case ViewerCalled(viewer, call):
                return self._called(viewer, call, now)
            case TimePassed():
                return self._time_passed(now)
            case ViewerJoined(viewer, claims, passing):
                self._viewers[viewer] = Viewer(claims, {}, passing=passing)
                self._watch_token(viewer, claims, now)
                logger.log(
                    logging.DEBUG if passing else logging.INFO,
                    "%s joined as %s (token %s)",
                    claims.subject,
                    viewer,
                    claims.token_id,
                    extra=_facts(viewer, claims),
                )
                return []
            case ViewerLeft(viewer):
                return self._left(viewer, now)
            case KeysChanged(taken):
                return self._keys_changed(taken, now)
            case PresenceCleared(process):
                return self._census.cleared(process, now)
            case BusUp():
                return self._bus_changed(True, now)
            case BusDown():
                return self._bus_changed(False, now)
            case _:
                assert_never(happening)

    def _store_changed(self, changed: StoreChanged, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        if changed.identity != self._store:
            self._store = changed.identity
            self._replicas.we_write(changed.identity)
            effects.append(Announce(changed.identity))
            self._wants.share(now)
        if self._history.changed(changed):
            told = answers.notification("store", self._history.status)
            effects += [Send(viewer, told) for viewer in self._viewers]
        return effects

    def _broker_seen(self, broker: str, presence: BrokerPresence | None, now: Instant) -> None:
        if presence is not None and presence.state == "online" and not self._replicas.knows(broker):
            self._deadlines.begin(_Introduces(), now.steady + INTRODUCE_AFTER)
        if self._replicas.seen(broker, presence, now.steady):
            delay = SETTLE_SHARES if self._replicas.knows(broker) else TAKE_OVER
            self._deadlines.set(_SharesChange(), now.steady + delay)

    def _doubt_brokers(self, now: Instant) -> None:
        for broker in self._replicas.time_passed(now.steady):
            logger.warning("the bus says that the broker %s is online, and it does not answer", broker)
            self._deadlines.set(_SharesChange(), now.steady + SETTLE_SHARES)

    # From the bus to the viewers

    def _events(self, seen: EventsSeen, now: Instant) -> list[Effect]:
        for session in seen.closed_sessions:
            self._dispatch.sessions.drop(session, seen.process)
        effects: list[Effect] = []
        if topics.shard_of(seen.process) in self._wants.shards:
            effects.append(Keep(seen.process, seen.batch, seen.headers))
        new, missed = self._stream.take(seen)
        if missed is not None:
            self._counts.events_missed += missed.last - missed.first + 1
        if new is None:
            return effects
        self.probes.keep_results(new)
        return effects + self._subscribers.first_heard(new) + self._delivery.events(new, missed, now)

    def _metrics(self, seen: MetricsSeen, now: Instant) -> list[Effect]:
        self._reporting.metrics(seen.process, seen.encoded)
        return self._delivery.metrics(seen.process, seen.encoded, now)

    def _bus_changed(self, up: bool, now: Instant) -> list[Effect]:
        if up == self.bus_up:
            return []
        self._dispatch.bus_up = up
        self._interest.bus_changed(up)
        self.probes.bus_changed(up, now)
        self._census.bus_changed(up, now)
        self._subscribers.bus_changed(up, now)
        status = answers.notification("bus", rpc.BusStatus(bus="up" if up else "down"))
        effects: list[Effect] = [Send(viewer, status) for viewer in self._viewers]
        if up:
            self._wants.share(now)  # as if alone; the others are told at once, and then it changes
            return effects
        self._replicas.bus_lost()
        self._stream.bus_lost()
        self._acknowledgements.clear()
        self._deadlines.clear(_SharesChange())
        self._deadlines.clear(_Introduces())
        return self._dispatch.bus_down() + effects

    def _time_passed(self, now: Instant) -> list[Effect]:
        effects = self._dispatch.time_passed(now.steady) + self.probes.time_passed(now)
        effects += self._history.time_passed(now)
        effects += self._acknowledgements.time_passed(now.steady)
        effects += self._delivery.time_passed(now) + self._census.time_passed(now)
        self._interest.time_passed(now.steady)
        self._doubt_brokers(now)
        for due in self._deadlines.take_due(now.steady):
            match due:
                case _TokenEnds(viewer):
                    effects += self._token_ended(viewer, now)
                case _SharesChange():
                    self._wants.share(now)
                case _Introduces():
                    effects.append(Announce(self._store))
                case _:
                    assert_never(due)
        return effects

    # Viewers coming and going

    def _watch_token(self, viewer: ViewerId, claims: Claims, now: Instant) -> None:
        self._deadlines.set(_TokenEnds(viewer), now.steady + claims.expires - now.wall)

    def _token_ended(self, viewer: ViewerId, now: Instant) -> list[Effect]:
        claims = self._viewers[viewer].claims
        logger.info("the token of %s (%s) has ended", claims.subject, viewer, extra=_facts(viewer, claims))
        close = CloseViewer(viewer, rpc.CLOSE_UNAUTHENTICATED, "the token has expired: sign in again")
        return [*self._left(viewer, now), close]

    def _keys_changed(self, taken: frozenset[str], now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        connected = {name: viewer.claims for name, viewer in self._viewers.items()}
        for viewer in no_longer_taken(connected, taken):
            claims = connected[viewer]
            logger.info(
                "the key of %s (%s) is not taken any more",
                claims.subject,
                viewer,
                extra=_facts(viewer, claims),
            )
            close = CloseViewer(viewer, rpc.CLOSE_UNAUTHENTICATED, "the token is not valid here any more")
            effects += [*self._left(viewer, now), close]
        return effects

    def _left(self, viewer: ViewerId, now: Instant) -> list[Effect]:
        left = self._viewers.pop(viewer, None)
        if left is None:
            return []  # its token ended before
        self._deadlines.clear(_TokenEnds(viewer))
        self._subscribers.viewer_left(viewer, now)
        self._reporting.viewer_left(viewer, now)
        effects = self._dispatch.viewer_left(viewer, now.steady)
        effects += self._subscriptions.arrange(viewer, (), (), now.steady)
        level = logging.DEBUG if left.passing else logging.INFO
        logger.log(level, "%s left (%s)", left.claims.subject, viewer, extra=_facts(viewer, left.claims))
        return effects

    # What viewers ask

    def _called(self, viewer: ViewerId, call: Call, now: Instant) -> list[Effect]:
        caller = self._viewers.get(viewer)
        if caller is None:
            return []  # it called after its token ended, while it was being closed
        claims = caller.claims
        try:
            effects = self._desk.perform(viewer, caller, call, now)
        except Refused as refused:
            failure = refused.failure
            self._counts.refused(failure.code)
            level = logging.WARNING if failure.code is Code.PERMISSION_DENIED else logging.INFO
            logger.log(
                level,
                "refused %s (token %s, %s): %s: %s/%s: %s",
                caller.claims.subject,
                caller.claims.token_id,
                viewer,
                call.method,
                failure.code,
                failure.reason,
                failure.message,
                extra=_facts(viewer, claims, call, failure),
            )
            return [Send(viewer, answers.failure(call.id, failure))]
        if caller.claims is not claims:
            self._watch_token(viewer, caller.claims, now)
        return effects


def _facts(
    viewer: ViewerId, claims: Claims, call: Call | None = None, failure: Failure | None = None
) -> dict[str, Any]:
    """What a line of the log says of who did what, in fields of its own."""
    return facts(
        viewer=viewer,
        subject=claims.subject,
        token_id=claims.token_id,
        method=call and call.method,
        process=getattr(call and call.params, "process", None),
        code=failure and failure.code,
        reason=failure and failure.reason,
        trace_id=call and call.trace and trace_of(call.trace.traceparent),
    )
