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

from msgspec import Raw, Struct

from sonde_broker import access, answers
from sonde_broker.calls import Call
from sonde_broker.commands import (
    OPEN_TIMEOUT,
    Order,
    Pending,
    bus_lost,
    process_gone,
    read_dap,
    read_order,
    stale_boot,
    too_many,
    unknown_session,
)
from sonde_broker.deadlines import Deadlines
from sonde_broker.dispatch import Dispatch
from sonde_broker.errors import BadToken
from sonde_broker.fleet import GRACE, Fleet, Known
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
from sonde_broker.sessions import Session
from sonde_broker.subscriptions import WINDOW, Group, GroupKey, Subscriptions
from sonde_broker.tokens import Claims
from sonde_wire import Address, Code, Reason, Refused, Scope, Selector, bus, rpc, topics

logger = logging.getLogger(__name__)

MOST_SUBSCRIPTIONS = 32
"""Of one viewer."""
EXPIRE_EVERY = 60.0
_SNAPSHOT_BYTES = 64 * 1024


class Viewer(Struct):
    claims: Claims
    wishes: dict[int, tuple[tuple[rpc.Topic, Selector], ...]]
    last_subscription: int = 0


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
    ) -> None:
        self.fleet = Fleet()
        self.bus_up = False
        self._broker = broker
        self._version = version
        self._verify = verify
        self._viewers: dict[ViewerId, Viewer] = {}
        self._subscriptions = Subscriptions()
        self._dispatch = Dispatch(broker, new_id)
        self._deadlines: Deadlines[_Due] = Deadlines()

    def deadline(self) -> float | None:
        """When, on the steady clock, `TimePassed` is to be told."""
        due = [at for at in (self._deadlines.next(), self._dispatch.deadline()) if at is not None]
        return min(due, default=None)

    def handle(self, happening: Happening, now: Instant) -> list[Effect]:
        match happening:
            case EventsSeen():
                return self._events(happening, now)
            case MetricsSeen():
                return self._metrics(happening, now)
            case PresenceSeen():
                return self._presence(happening, now)
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
                self.fleet.forget(process)
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
        groups = self._subscriptions.interested("events", seen.process)
        if not groups:
            return []
        batch = seen.batch
        span = Span(batch.process, batch.boot, batch.first, batch.last)
        joined = b",".join(batch.events)
        for group in groups:
            group.collect_events(span, joined)
        return self._flush_or_wait(groups, now)

    def _metrics(self, seen: MetricsSeen, now: Instant) -> list[Effect]:
        groups = self._subscriptions.interested("metrics", seen.process)
        for group in groups:
            group.collect_metrics(str(seen.process), seen.encoded)
        return self._flush_or_wait(groups, now)

    def _presence(self, seen: PresenceSeen, now: Instant) -> list[Effect]:
        before = self.fleet.get(seen.process)
        if not self.fleet.update(seen.process, seen.presence, seen.encoded, now.wall):
            return []
        self._deadlines.begin(_ExpireFleet(), now.steady + EXPIRE_EVERY)
        presence = seen.presence
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
        self.bus_up = up
        status = answers.notification("bus", rpc.BusStatus(bus="up" if up else "down"))
        effects: list[Effect] = [Send(viewer, status) for viewer in self._viewers]
        if up:
            self.fleet.doubt()
            self._deadlines.set(_GraceEnds(), now.steady + GRACE)
            return effects
        self._deadlines.clear(_GraceEnds())
        return self._dispatch.bus_down() + effects

    def _time_passed(self, now: Instant) -> list[Effect]:
        effects = self._dispatch.time_passed(now.steady)
        for due in self._deadlines.take_due(now.steady):
            match due:
                case _WindowEnds(group):
                    effects += self._subscriptions.flush(group, now.steady)
                case _TokenEnds(viewer):
                    effects += self._token_ended(viewer, now)
                case _GraceEnds():
                    for process, known in self.fleet.lose_unconfirmed(now.wall):
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
        if self.fleet:
            self._deadlines.begin(_ExpireFleet(), now.steady + EXPIRE_EVERY)
        if not self.bus_up:
            return []
        return [
            Publish(topics.of_process(process, topics.Channel.PRESENCE), b"", retain=True)
            for process in self.fleet.expire(now.wall)
        ]

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
        effects = self._dispatch.viewer_left(viewer, bus_up=self.bus_up)
        effects += self._subscriptions.arrange(viewer, (), (), now.steady)
        logger.info("%s left (%s)", left.claims.subject, viewer)
        return effects

    # What viewers ask

    def _called(self, viewer: ViewerId, call: Call, now: Instant) -> list[Effect]:
        caller = self._viewers.get(viewer)
        if caller is None:
            return []  # it called after its token ended, while it was being closed
        try:
            return self._perform(viewer, caller, call, now)
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

    def _perform(self, viewer: ViewerId, caller: Viewer, call: Call, now: Instant) -> list[Effect]:
        claims = caller.claims
        access.require_scope(claims, rpc.METHODS[call.method].scope, call.method)
        match call.params:
            case rpc.RenewToken(token=token):
                return self._renew(viewer, caller, token, call, now)
            case rpc.ListProcesses(selector=text):
                return [Send(viewer, answers.result(call.id, self._list(claims, text)))]
            case rpc.Subscribe():
                return self._subscribe(viewer, caller, call.params, call, now)
            case rpc.Unsubscribe(subscription=number):
                return self._unsubscribe(viewer, caller, number, call, now)
            case rpc.OfProcess() | rpc.SourceOfProcess():
                return self._ask_process(viewer, claims, call.params, call, now)
            case rpc.OfSession(session=name):
                session = self._session(viewer, name)
                return self._close_session(claims, session, call, now)
            case rpc.DapCall():
                return self._dap(viewer, claims, call.params, call, now)
            case rpc.Nothing():
                return [Send(viewer, answers.result(call.id, self._welcome(claims)))]
            case _:
                raise AssertionError(f"no way to perform {call.method}")

    def _welcome(self, claims: Claims) -> rpc.Welcome:
        return rpc.Welcome(
            broker=self._broker,
            version=self._version,
            subject=claims.subject,
            scopes=tuple(sorted(claims.scopes)),
            selectors=tuple(str(selector) for selector in claims.selectors),
            expires=claims.expires,
            bus="up" if self.bus_up else "down",
        )

    def _renew(self, viewer: ViewerId, caller: Viewer, token: str, call: Call, now: Instant) -> list[Effect]:
        """The new token's rights take the place of the old one's, the smaller ones too."""
        try:
            claims = self._verify(token, now.wall)
        except BadToken as error:
            logger.warning("%s (%s) renewed with a bad token: %s", caller.claims.subject, viewer, error)
            raise error.refused() from None
        if claims.subject != caller.claims.subject:
            raise Refused(
                Code.PERMISSION_DENIED,
                Reason.BAD_TOKEN,
                "that token is somebody else's; connect anew to become somebody else",
            )
        caller.claims = claims
        self._watch_token(viewer, claims, now)
        if Scope.OBSERVE not in claims.scopes:
            caller.wishes.clear()
        effects: list[Effect] = [*self._arrange(viewer, caller, now)]
        if self.bus_up:
            effects += self._dispatch.close_where(
                viewer,
                lambda session: (
                    Scope.CONTROL not in claims.scopes or not access.sees(claims, session.process)
                ),
            )
        return [*effects, Send(viewer, answers.result(call.id, self._welcome(claims)))]

    def _list(self, claims: Claims, selector: str) -> Raw:
        """Presence messages are copied as they came (the shape of `rpc.ProcessList`)."""
        seen = [
            known.encoded
            for address, known in self.fleet.matching(Selector.parse(selector))
            if access.sees(claims, address)
        ]
        return Raw(b'{"processes":[%b]}' % b",".join(seen))

    def _arrange(self, viewer: ViewerId, caller: Viewer, now: Instant) -> list[Effect]:
        wishes = [wish for wishes in caller.wishes.values() for wish in wishes]
        return [*self._subscriptions.arrange(viewer, wishes, caller.claims.selectors, now.steady)]

    def _subscribe(
        self, viewer: ViewerId, caller: Viewer, params: rpc.Subscribe, call: Call, now: Instant
    ) -> list[Effect]:
        if len(caller.wishes) >= MOST_SUBSCRIPTIONS:
            raise too_many("subscriptions", MOST_SUBSCRIPTIONS)
        selector = Selector.parse(params.selector)
        caller.last_subscription += 1
        caller.wishes[caller.last_subscription] = tuple((topic, selector) for topic in params.topics)
        subscribed = rpc.Subscribed(subscription=caller.last_subscription)
        effects = self._arrange(viewer, caller, now)
        effects.append(Send(viewer, answers.result(call.id, subscribed)))
        if "presence" in params.topics:
            effects += self._snapshot(viewer, caller.claims, selector)
        return effects

    def _snapshot(self, viewer: ViewerId, claims: Claims, selector: Selector) -> list[Effect]:
        """The presence of all that match, in frames of moderate size."""
        effects: list[Effect] = []
        part: list[bytes] = []
        size = 0
        for address, known in self.fleet.matching(selector):
            if not access.sees(claims, address):
                continue
            part.append(known.encoded)
            size += len(known.encoded)
            if size >= _SNAPSHOT_BYTES:
                effects.append(Send(viewer, answers.spliced("presence", part)))
                part, size = [], 0
        if part:
            effects.append(Send(viewer, answers.spliced("presence", part)))
        return effects

    def _unsubscribe(
        self, viewer: ViewerId, caller: Viewer, number: int, call: Call, now: Instant
    ) -> list[Effect]:
        if caller.wishes.pop(number, None) is None:
            raise Refused(
                Code.NOT_FOUND, Reason.UNKNOWN_SUBSCRIPTION, f"this connection has no subscription {number}"
            )
        return [*self._arrange(viewer, caller, now), Send(viewer, answers.result(call.id, bus.Done()))]

    # What needs the process

    def _online(self, claims: Claims, process: Address) -> Known:
        """Raises `Refused` unless the viewer sees the process, it is online, and we can reach it."""
        known = self.fleet.get(process)
        access.require_process(claims, process, known=known is not None)
        assert known is not None  # noqa: S101 - require_process has just refused None
        if not known.online:
            raise process_gone(process, known.presence.state)
        if not self.bus_up:
            raise bus_lost()
        return known

    def _ask_process(
        self,
        viewer: ViewerId,
        claims: Claims,
        params: rpc.OfProcess | rpc.SourceOfProcess,
        call: Call,
        now: Instant,
    ) -> list[Effect]:
        process = Address.parse(params.process)
        known = self._online(claims, process)
        pending = Pending(viewer, call.id, call.method, process)
        if call.method == "session.open":
            boot = known.presence.boot
            return self._dispatch.open_session(claims, pending, OPEN_TIMEOUT, boot=boot, now=now.steady)
        return self._dispatch.ask(claims, pending, read_order(params, call.method), boot=None, now=now.steady)

    def _session(self, viewer: ViewerId, name: str) -> Session:
        session = self._dispatch.sessions.get(name, viewer)
        if session is None:
            raise bus_lost() if not self.bus_up else unknown_session(name)
        return session

    def _close_session(self, claims: Claims, session: Session, call: Call, now: Instant) -> list[Effect]:
        """Also where the process is gone: then there is nothing left to close, and that is no failure."""
        known = self.fleet.get(session.process)
        if known is None or not known.online or known.presence.boot != session.boot:
            self._dispatch.sessions.drop(session.id, session.process)
            return [Send(session.viewer, answers.result(call.id, bus.Done()))]
        pending = Pending(session.viewer, call.id, call.method, session.process, session.id)
        order = Order(bus.CloseSession(session=session.id))
        return self._dispatch.ask(claims, pending, order, boot=session.boot, now=now.steady)

    def _dap(
        self, viewer: ViewerId, claims: Claims, params: rpc.DapCall, call: Call, now: Instant
    ) -> list[Effect]:
        order, command, scope = read_dap(params)
        access.require_scope(claims, scope, f"the DAP request {command!r}")
        session = self._session(viewer, params.session)
        known = self._online(claims, session.process)
        if known.presence.boot != session.boot:
            raise stale_boot(session.process)
        pending = Pending(viewer, call.id, f"dap {command}", session.process, session.id)
        return self._dispatch.ask(claims, pending, order, boot=session.boot, now=now.steady)
