"""Performs what viewers ask, one way for each method of `sonde_wire.rpc`. Pure; part of the core.

Every path goes through `access` before it looks at anything else. Raises `Refused`, which `relay` logs and answers.
"""

import logging
from collections.abc import Callable

from msgspec import Raw, Struct

from sonde_broker import access, answers
from sonde_broker.calls import Call
from sonde_broker.commands import (
    Pending,
    bus_lost,
    process_gone,
    read_dap,
    read_order,
    read_session_order,
    stale_boot,
    too_many,
    unknown_session,
)
from sonde_broker.dispatch import Dispatch
from sonde_broker.errors import BadToken
from sonde_broker.fleet import Fleet, Known
from sonde_broker.history_desk import HistoryDesk
from sonde_broker.probe_desk import ProbeDesk
from sonde_broker.relay_io import Effect, Instant, Send, ViewerId
from sonde_broker.reporting import Reporting
from sonde_broker.sessions import Session
from sonde_broker.subscribing import Subscribers, Subscribing
from sonde_broker.subscriptions import Subscriptions
from sonde_broker.tokens import Claims
from sonde_wire import Address, Code, Reason, Refused, Scope, Selector, bus, rpc
from sonde_wire.facts import facts

logger = logging.getLogger(__name__)

MOST_SUBSCRIPTIONS = 32
"""Of one viewer."""
_SNAPSHOT_BYTES = 64 * 1024


class Viewer(Struct):
    """Who it is, and its subscriptions by their number."""

    claims: Claims
    wishes: dict[int, tuple[tuple[rpc.Topic, Selector], ...]]
    last_subscription: int = 0
    passing: bool = False


class Desk:
    """`verify(token, wall time)` raises `BadToken`."""

    def __init__(
        self,
        *,
        broker: str,
        version: str,
        verify: Callable[[str, float], Claims],
        fleet: Fleet,
        subscriptions: Subscriptions,
        subscribers: Subscribers,
        dispatch: Dispatch,
        probes: ProbeDesk,
        history: HistoryDesk,
        reporting: Reporting,
    ) -> None:
        self._broker = broker
        self._version = version
        self._verify = verify
        self._fleet = fleet
        self._subscriptions = subscriptions
        self._subscribers = subscribers
        self._dispatch = dispatch
        self._probes = probes
        self._history = history
        self._reporting = reporting

    def perform(self, viewer: ViewerId, caller: Viewer, call: Call, now: Instant) -> list[Effect]:
        claims = caller.claims
        access.require_scope(claims, rpc.METHODS[call.method].scope, call.method)
        match call.params:
            case rpc.RenewToken(token=token):
                return self._renew(viewer, caller, token, call, now)
            case rpc.ListProcesses(selector=text):
                return [Send(viewer, answers.result(call.id, self._list(claims, text)))]
            case rpc.Subscribe():
                return self._subscribe(viewer, caller, call.params, call, now)
            case rpc.HistoryEvents() | rpc.HistorySessions():
                return self._history.perform(viewer, claims, call, now)
            case rpc.OfSession() if call.method == "history.session":
                return self._history.perform(viewer, claims, call, now)
            case rpc.MakeReport():
                return self._reporting.begin(viewer, claims, call.params, call, now)
            case rpc.Unsubscribe(subscription=number):
                return self._unsubscribe(viewer, caller, number, call, now)
            case rpc.BeginSession():
                return self._open_session(viewer, claims, call.params, call, now)
            case rpc.OfProcess() | rpc.SourceOfProcess() | rpc.DiagnoseProcess():
                return self._ask_process(viewer, claims, call.params, call, now)
            case rpc.OfSession() | rpc.SeatCall():
                return self._ask_session(viewer, claims, call.params, call, now)
            case rpc.DapCall():
                return self._dap(viewer, claims, call.params, call, now)
            case (
                rpc.AddProbe() | rpc.ListProbes() | rpc.OfProbe() | rpc.ProbeResultsCall() | rpc.OfSnapshot()
            ):
                return self._probes.perform(viewer, claims, call, now)
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
            bus="up" if self._dispatch.bus_up else "down",
            store=self._history.status.store,
        )

    def _renew(self, viewer: ViewerId, caller: Viewer, token: str, call: Call, now: Instant) -> list[Effect]:
        """The new token's rights take the place of the old one's, the smaller ones too."""
        try:
            claims = self._verify(token, now.wall)
        except BadToken as error:
            subject, failure = caller.claims.subject, error.refused().failure
            logger.warning(
                "%s (%s) renewed with a bad token: %s",
                subject,
                viewer,
                error,
                extra=facts(viewer=viewer, subject=subject, code=failure.code, reason=failure.reason),
            )
            raise error.refused() from None
        if claims.subject != caller.claims.subject:
            raise Refused(
                Code.PERMISSION_DENIED,
                Reason.BAD_TOKEN,
                "that token is somebody else's; connect anew to become somebody else",
            )
        caller.claims = claims
        if Scope.OBSERVE not in claims.scopes:
            caller.wishes.clear()
        effects: list[Effect] = [*self._arrange(viewer, caller, now)]
        if self._dispatch.bus_up:
            effects += self._dispatch.close_where(
                viewer,
                lambda session: (
                    Scope.CONTROL not in claims.scopes or not access.sees(claims, session.process)
                ),
                now.steady,
            )
        return [*effects, Send(viewer, answers.result(call.id, self._welcome(claims)))]

    def _list(self, claims: Claims, selector: str) -> Raw:
        """Presence messages are copied as they came (the shape of `rpc.ProcessList`)."""
        seen = [
            known.encoded
            for address, known in self._fleet.matching(Selector.parse(selector))
            if access.sees(claims, address)
        ]
        return Raw(b'{"processes":[%b]}' % b",".join(seen))

    def _arrange(self, viewer: ViewerId, caller: Viewer, now: Instant) -> list[Effect]:
        wishes = [wish for wishes in caller.wishes.values() for wish in wishes]
        claims = caller.claims
        values = Scope.INSPECT in claims.scopes
        return [*self._subscriptions.arrange(viewer, wishes, claims.selectors, now.steady, values=values)]

    def _subscribe(
        self, viewer: ViewerId, caller: Viewer, params: rpc.Subscribe, call: Call, now: Instant
    ) -> list[Effect]:
        if len(caller.wishes) + self._subscribers.under_way(viewer) >= MOST_SUBSCRIPTIONS:
            raise too_many("subscriptions", MOST_SUBSCRIPTIONS)
        if params.topics == ("output",):  # beside others it is left out, as all that carries values is
            access.require_scope(caller.claims, Scope.INSPECT, "the topic 'output'")
        self._subscribers.begin(viewer, call.id, params, now)
        return []

    def join(self, asked: Subscribing, caller: Viewer, now: Instant) -> list[Effect]:
        """The end of `subscribe`, with its answer."""
        params, viewer = asked.params, asked.viewer
        selector = Selector.parse(params.selector)
        caller.last_subscription += 1
        if Scope.OBSERVE in caller.claims.scopes:  # it may have renewed its token meanwhile
            caller.wishes[caller.last_subscription] = tuple((topic, selector) for topic in params.topics)
        subscribed = rpc.Subscribed(subscription=caller.last_subscription)
        effects = self._arrange(viewer, caller, now)
        effects.append(Send(viewer, answers.result(asked.request, subscribed)))
        if "presence" in params.topics:
            effects += self._snapshot(viewer, caller.claims, selector)
        if "probes" in params.topics:
            effects += self._probes.subscribed(viewer, caller.claims, selector)
        return effects

    def _snapshot(self, viewer: ViewerId, claims: Claims, selector: Selector) -> list[Effect]:
        """The presence of all that match, in frames of moderate size."""
        effects: list[Effect] = []
        part: list[bytes] = []
        size = 0
        for address, known in self._fleet.matching(selector):
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
        known = self._fleet.get(process)
        access.require_process(claims, process, known=known is not None)
        assert known is not None  # noqa: S101 - require_process has just refused None
        if not known.online:
            raise process_gone(process, known.presence.state)
        if not self._dispatch.bus_up:
            raise bus_lost()
        return known

    def _ask_process(
        self,
        viewer: ViewerId,
        claims: Claims,
        params: rpc.OfProcess | rpc.SourceOfProcess | rpc.DiagnoseProcess,
        call: Call,
        now: Instant,
    ) -> list[Effect]:
        process = Address.parse(params.process)
        self._online(claims, process)
        pending = Pending(viewer, call.id, call.method, process)
        return self._dispatch.ask(
            claims, pending, read_order(params, call.method), boot=None, now=now.steady, trace=call.trace
        )

    def _open_session(
        self, viewer: ViewerId, claims: Claims, params: rpc.BeginSession, call: Call, now: Instant
    ) -> list[Effect]:
        process = Address.parse(params.process)
        known = self._online(claims, process)
        self._forget_dead_sessions(viewer)
        pending = Pending(viewer, call.id, call.method, process)
        return self._dispatch.open_session(
            claims, pending, params, boot=known.presence.boot, now=now.steady, trace=call.trace
        )

    def _forget_dead_sessions(self, viewer: ViewerId) -> None:
        """A process that is killed with its sidecar never says that its sessions are closed; they must not count
        towards the most that a viewer can have. Until then they are kept, for the sake of better refusals."""
        for session in self._dispatch.sessions.of_viewer(viewer):
            known = self._fleet.get(session.process)
            if known is None or known.presence.state == "ended" or known.presence.boot != session.boot:
                self._dispatch.sessions.drop(session.id, session.process)

    def _session(self, viewer: ViewerId, name: str) -> Session:
        session = self._dispatch.sessions.get(name, viewer)
        if session is None:
            raise bus_lost() if not self._dispatch.bus_up else unknown_session(name)
        return session

    def _ask_session(
        self,
        viewer: ViewerId,
        claims: Claims,
        params: rpc.OfSession | rpc.SeatCall,
        call: Call,
        now: Instant,
    ) -> list[Effect]:
        session = self._session(viewer, params.session)
        closes = call.method == "session.close"
        if closes and not self._lives(session):  # nothing is left to close, and that is no failure
            self._dispatch.sessions.drop(session.id, session.process)
            return [Send(viewer, answers.result(call.id, bus.Done()))]
        if not closes:
            self._require_session(claims, session)
        order = read_session_order(params, call.method)
        pending = Pending(viewer, call.id, call.method, session.process, session.id)
        return self._dispatch.ask(claims, pending, order, boot=session.boot, now=now.steady, trace=call.trace)

    def _lives(self, session: Session) -> bool:
        known = self._fleet.get(session.process)
        return known is not None and known.online and known.presence.boot == session.boot

    def _require_session(self, claims: Claims, session: Session) -> None:
        """Raises `Refused` unless the session's process can be asked, and is still the same."""
        if self._online(claims, session.process).presence.boot != session.boot:
            raise stale_boot(session.process)

    def _dap(
        self, viewer: ViewerId, claims: Claims, params: rpc.DapCall, call: Call, now: Instant
    ) -> list[Effect]:
        order, command, scope = read_dap(params)
        access.require_scope(claims, scope, f"the DAP request {command!r}")
        session = self._session(viewer, params.session)
        self._require_session(claims, session)
        pending = Pending(viewer, call.id, f"dap {command}", session.process, session.id)
        return self._dispatch.ask(claims, pending, order, boot=session.boot, now=now.steady, trace=call.trace)
