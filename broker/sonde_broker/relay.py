"""The core: what happens on the bus goes to the viewers that may see it, what viewers ask goes to processes.

`handle(happening, now)` returns what is to be done; nothing here does I/O, reads a clock or makes an id.

A viewer: joined -> (calls, subscriptions, sessions) -> left. Its token's end closes it, unless renewed.
A command (`dispatch`): published -> answered | timed out | failed because its process or the bus is gone.
The bus: down -> up -> down ... While it is down calls to processes are refused. When it goes down all sessions
are over: the server publishes our last will, upon which every sidecar closes the sessions that came through us.
"""

import logging
from collections.abc import Callable
from typing import assert_never

from msgspec import Struct

from sonde_broker import answers
from sonde_broker.calls import Call
from sonde_broker.deadlines import Deadlines
from sonde_broker.desk import Desk, Viewer
from sonde_broker.dispatch import Dispatch
from sonde_broker.fleet import GRACE, MOST_KNOWN, Fleet
from sonde_broker.probe_desk import ProbeDesk
from sonde_broker.relay_io import (
    BusDown,
    BusUp,
    CloseViewer,
    Effect,
    EventsSeen,
    Happening,
    Instant,
    MetricsSeen,
    PresenceCleared,
    PresenceSeen,
    ProbeSeen,
    ProbesReported,
    ProbesRestored,
    Publish,
    ReplySeen,
    Send,
    Span,
    TimePassed,
    ViewerCalled,
    ViewerId,
    ViewerJoined,
    ViewerLeft,
)
from sonde_broker.subscriptions import WINDOW, Group, GroupKey, Subscriptions
from sonde_broker.tokens import Claims
from sonde_wire import Address, Code, Refused, bus, rpc, topics

logger = logging.getLogger(__name__)

EXPIRE_EVERY = 60.0


class _TokenEnds(Struct, frozen=True):
    viewer: ViewerId


class _WindowEnds(Struct, frozen=True):
    group: GroupKey


class _ExpireFleet(Struct, frozen=True):
    pass


class _GraceEnds(Struct, frozen=True):
    pass


_Due = _TokenEnds | _WindowEnds | _ExpireFleet | _GraceEnds


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
    ) -> None:
        self._fleet = Fleet()
        self._followed: dict[Address, tuple[str, int]] = {}
        """Boot and number of the newest event of each process."""
        self._viewers: dict[ViewerId, Viewer] = {}
        self._subscriptions = Subscriptions()
        self._dispatch = Dispatch(broker, new_id)
        self.probes = ProbeDesk(self._fleet, self._subscriptions, new_probe, self._flush_or_wait)
        self._desk = Desk(
            broker=broker,
            version=version,
            verify=verify,
            fleet=self._fleet,
            subscriptions=self._subscriptions,
            dispatch=self._dispatch,
            probes=self.probes,
        )
        self._deadlines: Deadlines[_Due] = Deadlines()

    @property
    def bus_up(self) -> bool:
        return self._dispatch.bus_up

    def deadline(self) -> float | None:
        """When, on the steady clock, `TimePassed` is to be told."""
        due = (self._deadlines.next(), self._dispatch.deadline(), self.probes.deadline())
        return min((at for at in due if at is not None), default=None)

    def handle(self, happening: Happening, now: Instant) -> list[Effect]:
        effects = self._handle(happening, now)
        return effects + self.probes.settle(now)

    def _handle(self, happening: Happening, now: Instant) -> list[Effect]:
        match happening:
            case EventsSeen():
                return self._events(happening, now)
            case MetricsSeen():
                return self._metrics(happening, now)
            case PresenceSeen():
                return self._presence(happening, now)
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
            case ViewerCalled(viewer, call):
                return self._called(viewer, call, now)
            case TimePassed():
                return self._time_passed(now)
            case ViewerJoined(viewer, claims):
                self._viewers[viewer] = Viewer(claims, {})
                self._watch_token(viewer, claims, now)
                logger.info("%s joined as %s (token %s)", claims.subject, viewer, claims.token_id)
                return []
            case ViewerLeft(viewer):
                return self._left(viewer, now)
            case PresenceCleared(process):
                self._fleet.forget(process)
                self._followed.pop(process, None)
                self.probes.process_forgotten(process, now)
                return self._dispatch.process_gone(process, "lost")
            case BusUp():
                return self._bus_changed(True, now)
            case BusDown():
                return self._bus_changed(False, now)
            case _:
                assert_never(happening)

    # From the bus to the viewers

    def _events(self, seen: EventsSeen, now: Instant) -> list[Effect]:
        for session in seen.closed_sessions:
            self._dispatch.sessions.drop(session, seen.process)
        batch = seen.batch
        self.probes.keep_results(seen)
        missed = self._missed(seen.process, batch)
        groups = self._subscriptions.interested("events", seen.process)
        if not groups:
            return []
        span = Span(batch.process, batch.boot, batch.first, batch.last)
        joined = b",".join(batch.events)
        withheld = {each.index for each in seen.brought}
        rest = (
            b",".join(each for index, each in enumerate(batch.events) if index not in withheld)
            if withheld
            else joined
        )
        for group in groups:
            if missed is not None:
                group.collect_gap(missed)
            if told := joined if group.key.values else rest:
                group.collect_events(span, told)
        return self._flush_or_wait(groups, now)

    def _missed(self, process: Address, batch: bus.EventBatch) -> Span | None:
        """The hole between the last batch of that boot and this one: the sidecar let events go, or the bus did. What
        came before the first batch that we saw of a boot is history and no hole."""
        boot, last = self._followed.pop(process, ("", 0))
        newest = max(last, batch.last) if boot == batch.boot else batch.last
        self._followed[process] = (batch.boot, newest)  # the newest is the last one of the table
        if len(self._followed) > MOST_KNOWN:
            del self._followed[next(iter(self._followed))]
        if boot != batch.boot or batch.first <= last + 1:
            return None
        return Span(batch.process, batch.boot, last + 1, batch.first - 1)

    def _metrics(self, seen: MetricsSeen, now: Instant) -> list[Effect]:
        groups = self._subscriptions.interested("metrics", seen.process)
        for group in groups:
            group.collect_metrics(str(seen.process), seen.encoded)
        return self._flush_or_wait(groups, now)

    def _presence(self, seen: PresenceSeen, now: Instant) -> list[Effect]:
        before = self._fleet.get(seen.process)
        successor = self._fleet.outlived(seen.process, seen.presence)
        if successor is not None:  # the bus retains the wrong one now
            topic = topics.of_process(seen.process, topics.Channel.PRESENCE)
            return [Publish(topic, successor.encoded, retain=True)] if self.bus_up else []
        if not self._fleet.update(seen.process, seen.presence, seen.encoded, now.wall):
            return []
        self._deadlines.begin(_ExpireFleet(), now.steady + EXPIRE_EVERY)
        presence = seen.presence
        if before is None or _is_elsewhere(before.presence, presence):
            self.probes.process_changed(seen.process, now)
        effects: list[Effect] = []
        if presence.state != "online":
            effects += self._dispatch.process_gone(seen.process, presence.state)
        elif before is not None and before.presence.boot != presence.boot:
            effects += self._dispatch.process_restarted(seen.process)
        elif before is not None and not before.online:
            alive = {each.session for each in presence.sessions}
            self._dispatch.sessions.keep_only(seen.process, alive)
        return effects + self._tell_presence(seen.process, seen.encoded, now)

    def _tell_presence(self, process: Address, encoded: bytes, now: Instant) -> list[Effect]:
        groups = self._subscriptions.interested("presence", process)
        for group in groups:
            group.collect_presence(str(process), encoded)
        return self._flush_or_wait(groups, now)

    def _flush_or_wait(self, groups: list[Group], now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for group in groups:
            if group.full or now.steady >= group.flushed + WINDOW:
                effects += group.flush(now.steady)
            else:
                self._deadlines.begin(_WindowEnds(group.key), group.flushed + WINDOW)
        return effects

    def _bus_changed(self, up: bool, now: Instant) -> list[Effect]:
        if up == self.bus_up:
            return []
        self._dispatch.bus_up = up
        self.probes.bus_changed(up, now)
        status = answers.notification("bus", rpc.BusStatus(bus="up" if up else "down"))
        effects: list[Effect] = [Send(viewer, status) for viewer in self._viewers]
        if up:
            self._fleet.doubt()
            self._deadlines.set(_GraceEnds(), now.steady + GRACE)
            return effects
        self._deadlines.clear(_GraceEnds())
        return self._dispatch.bus_down() + effects

    def _time_passed(self, now: Instant) -> list[Effect]:
        effects = self._dispatch.time_passed(now.steady) + self.probes.time_passed(now)
        for due in self._deadlines.take_due(now.steady):
            match due:
                case _WindowEnds(group):
                    effects += self._subscriptions.flush(group, now.steady)
                case _TokenEnds(viewer):
                    effects += self._token_ended(viewer, now)
                case _GraceEnds():
                    for process, known in self._fleet.lose_unconfirmed(now.wall):
                        self.probes.process_changed(process, now)
                        effects += self._dispatch.process_gone(process, "lost")
                        effects += self._tell_presence(process, known.encoded, now)
                    self._deadlines.begin(_ExpireFleet(), now.steady + EXPIRE_EVERY)
                case _ExpireFleet():
                    effects += self._expire_fleet(now)
                case _:
                    assert_never(due)
        return effects

    def _expire_fleet(self, now: Instant) -> list[Effect]:
        """What nobody needs to know any more is also taken off the bus, which would retain it for ever."""
        if self._fleet:
            self._deadlines.begin(_ExpireFleet(), now.steady + EXPIRE_EVERY)
        if not self.bus_up:
            return []
        expired = self._fleet.expire(now.wall)
        for process in expired:
            self._followed.pop(process, None)
        cleared = [(process, topics.Channel.PRESENCE) for process in expired]
        cleared += [
            (process, topics.Channel.PROBES)
            for process in expired
            if self.probes.process_forgotten(process, now)
        ]
        return [Publish(topics.of_process(*each), b"", retain=True) for each in cleared]

    # Viewers coming and going

    def _watch_token(self, viewer: ViewerId, claims: Claims, now: Instant) -> None:
        self._deadlines.set(_TokenEnds(viewer), now.steady + claims.expires - now.wall)

    def _token_ended(self, viewer: ViewerId, now: Instant) -> list[Effect]:
        logger.info("the token of %s (%s) has ended", self._viewers[viewer].claims.subject, viewer)
        close = CloseViewer(viewer, rpc.CLOSE_UNAUTHENTICATED, "the token has expired: sign in again")
        return [*self._left(viewer, now), close]

    def _left(self, viewer: ViewerId, now: Instant) -> list[Effect]:
        left = self._viewers.pop(viewer, None)
        if left is None:
            return []  # its token ended before
        self._deadlines.clear(_TokenEnds(viewer))
        effects = self._dispatch.viewer_left(viewer, now.steady)
        effects += self._subscriptions.arrange(viewer, (), (), now.steady)
        logger.info("%s left (%s)", left.claims.subject, viewer)
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
            )
            return [Send(viewer, answers.failure(call.id, failure))]
        if caller.claims is not claims:
            self._watch_token(viewer, caller.claims, now)
        return effects


def _is_elsewhere(before: bus.Presence, now: bus.Presence) -> bool:
    """Whether other probes may mean it."""
    return (before.state, before.boot, before.labels) != (now.state, now.boot, now.labels)
