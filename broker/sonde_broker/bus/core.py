"""The MQTT server without sockets and clocks: `handle(event, now) -> effects`.

A connection is *waiting* for its CONNECT, then *serving* a session, then forgotten:

    Opened -> waiting --CONNECT accepted--> serving
                 |                             |
                 +--refused, too late, lost    +--DISCONNECT, lost, taken over, silent for 1.5 keep alives,
                 v                             v  too slow, or in breach of the protocol
              forgotten                     forgotten, its will published unless it said DISCONNECT

Both MQTT 3.1.1 and 5, QoS 0 and 1. Not offered, and said so in CONNACK (§3.2.2.3): QoS 2, sessions that outlive
their connection, shared subscriptions, subscription identifiers, topic aliases, enhanced authentication. A client
id belongs to the user who is connected with it: only the same user can take it over.
"""

from collections.abc import Callable, Sequence
from typing import assert_never

import msgspec

from sonde_broker.bus.accounts import Credentials, Grants
from sonde_broker.bus.encoder import encode
from sonde_broker.bus.errors import MalformedPacket
from sonde_broker.bus.events import (
    Answer,
    Close,
    Denied,
    Effect,
    Event,
    Lost,
    Malformed,
    Opened,
    Received,
    Send,
    Stopping,
    Tick,
    Written,
)
from sonde_broker.bus.logins import judge, refusal, welcome
from sonde_broker.bus.message import Message
from sonde_broker.bus.packets import (
    NO_PROPERTIES,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    ReasonCode,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
    Will,
)
from sonde_broker.bus.retained import Retained
from sonde_broker.bus.routes import Routes
from sonde_broker.bus.sessions import InsideSession, QueueFull, Session
from sonde_broker.bus.settings import BusSettings, Counters

__all__ = ["BusCore"]

_SUCCESS = ReasonCode.SUCCESS  # looking up a member of an Enum takes longer than routing should
_SWEEP_SECONDS = 10.0
_REPORTED_DENIALS = 20


class _Ended(Exception):
    """The client at hand must go. Never leaves the core."""

    def __init__(self, reason: ReasonCode, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


class BusCore:
    """All state of one bus. `new_client_id` names the clients that came without a name."""

    def __init__(self, settings: BusSettings, *, new_client_id: Callable[[], str]) -> None:
        self._limits = settings.limits
        self._credentials = Credentials(settings.accounts)
        self._new_client_id = new_client_id
        self._waiting: dict[int, float] = {}
        self._inside: set[int] = set()
        self._sessions: dict[int, Session] = {}
        self._by_client: dict[str, Session] = {}
        self._routes = Routes()
        self._retained = Retained(messages=settings.limits.retained_messages, size=settings.limits.retained)
        self._wills: list[tuple[int, Will]] = []
        self._swept = 0.0
        self._received = 0
        self._sent = 0
        self._dropped = 0
        self._denied = 0

    def counters(self) -> Counters:
        sessions = self._sessions.values()
        return Counters(
            clients=len(self._sessions),
            received=self._received,
            sent=self._sent + sum(session.sent for session in sessions),
            dropped=self._dropped + sum(session.dropped for session in sessions),
            denied=self._denied,
            retained=len(self._retained),
            retained_bytes=self._retained.size,
        )

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What to do about an event at time `now` (seconds of any clock that never goes back)."""
        effects: list[Effect] = []
        if isinstance(event, Received):
            self._packets(event.connection, event.packets, now, effects)
        elif isinstance(event, Written):
            session = self._sessions.get(event.connection)
            if session is not None:
                session.written(event.pending)
                session.pump(self._retained, now, effects)
        else:
            self._rarer(event, now, effects)
        # A will can overrun a receiver that has a will too: one after the other, not one inside the other.
        while self._wills:
            origin, will = self._wills.pop(0)
            self._route(Message(will, origin=origin, now=now), now, effects)
        return effects

    def _rarer(
        self, event: Opened | Malformed | Lost | Tick | Stopping, now: float, effects: list[Effect]
    ) -> None:
        match event:
            case Opened(connection, inside):
                # Twice the clients: those who come back must get in before their old connection is given up.
                if len(self._waiting) + len(self._sessions) >= 2 * self._limits.clients:
                    effects.append(Close(connection, ReasonCode.QUOTA_EXCEEDED, "", "too many connections"))
                else:
                    self._waiting[connection] = now + self._limits.connect
                    if inside:
                        self._inside.add(connection)
            case Malformed(connection, error):
                self._malformed(connection, error, effects)
            case Lost(connection):
                self._waiting.pop(connection, None)
                self._inside.discard(connection)
                if (session := self._sessions.get(connection)) is not None:
                    self._forget(session, publish_will=True)
            case Tick():
                self._tick(now, effects)
            case Stopping():
                for session in list(self._sessions.values()):
                    self._end(
                        session, ReasonCode.SERVER_SHUTTING_DOWN, "the bus stops", effects, publish_will=False
                    )
            case _:
                assert_never(event)

    def _first_packet(self, connection: int, packet: Packet, now: float, effects: list[Effect]) -> None:
        if not isinstance(packet, Connect):
            self._turn_away(connection, ReasonCode.PROTOCOL_ERROR, "the first packet is no CONNECT", effects)
            return
        client_id = packet.client_id or self._new_client_id()
        old = self._by_client.get(client_id)
        full = old is None and len(self._sessions) >= self._limits.clients
        verdict = judge(packet, client_id, self._credentials, holder=old.user if old else None, full=full)
        if not isinstance(verdict, Grants):
            self._refuse(connection, packet, verdict, effects)
            return
        del self._waiting[connection]
        if old is not None:
            self._end(old, ReasonCode.SESSION_TAKEN_OVER, "the client id connected again", effects)
        kind = InsideSession if connection in self._inside else Session
        session = kind(connection, packet, client_id, verdict, self._limits, now)
        self._sessions[connection] = session
        self._by_client[client_id] = session
        effects.append(session.answer(welcome(packet, client_id, self._limits)))

    def _refuse(self, connection: int, packet: Connect, reason: ReasonCode, effects: list[Effect]) -> None:
        self._denied += 1
        effects.append(Denied(connection, packet.client_id, packet.username or "", "connect", ""))
        answer = refusal(packet.version, reason)
        inside = connection in self._inside
        effects.append(
            Answer(connection, answer) if inside else Send(connection, encode(answer, packet.version))
        )
        self._turn_away(connection, reason, "the login was refused", effects)

    def _turn_away(self, connection: int, reason: int, detail: str, effects: list[Effect]) -> None:
        del self._waiting[connection]
        self._inside.discard(connection)
        effects.append(Close(connection, reason, "", detail))

    def _malformed(self, connection: int, error: MalformedPacket, effects: list[Effect]) -> None:
        session = self._sessions.get(connection)
        if session is not None:
            self._end(session, error.reason, error.detail, effects)
        elif connection in self._waiting:
            if error.reason == ReasonCode.UNSUPPORTED_PROTOCOL_VERSION:
                # 3.1.1 §3.1.2.2 asks for this answer, and clients of every version understand it.
                effects.append(Send(connection, encode(Connack(reason=1), Version.V311)))
            self._turn_away(connection, error.reason, error.detail, effects)

    def _packets(self, connection: int, packets: Sequence[Packet], now: float, effects: list[Effect]) -> None:
        for packet in packets:
            session = self._sessions.get(connection)
            if session is not None:
                session.heard = now
                try:
                    if isinstance(packet, Publish):
                        self._publish(session, packet, now, effects)
                    else:
                        self._serve(session, packet, now, effects)
                except _Ended as ended:
                    self._end(session, ended.reason, ended.detail, effects)
                except QueueFull:
                    self._end(session, ReasonCode.QUOTA_EXCEEDED, "does not read what it asked for", effects)
            elif connection in self._waiting:
                self._first_packet(connection, packet, now, effects)

    def _serve(self, session: Session, packet: Packet, now: float, effects: list[Effect]) -> None:
        match packet:
            case Puback():
                session.acknowledged(packet.packet_id)
                session.pump(self._retained, now, effects)
            case Pingreq():
                effects.append(session.answer(Pingresp()))
            case Subscribe():
                self._subscribe(session, packet, now, effects)
            case Unsubscribe():
                removed = [self._unsubscribe(session, wanted) for wanted in packet.filters]
                answer = Unsuback(
                    packet_id=packet.packet_id,
                    reasons=tuple(
                        ReasonCode.SUCCESS if one else ReasonCode.NO_SUBSCRIPTION_EXISTED for one in removed
                    ),
                )
                effects.append(session.answer(answer))
            case Disconnect():
                kept = packet.reason == ReasonCode.DISCONNECT_WITH_WILL
                self._forget(session, publish_will=kept)
                effects.append(Close(session.connection, packet.reason, session.client_id, "disconnected"))
            case Auth():
                raise _Ended(ReasonCode.PROTOCOL_ERROR, "AUTH without an authentication method")
            case Connect():
                raise _Ended(ReasonCode.PROTOCOL_ERROR, "a second CONNECT")
            case _:
                raise _Ended(ReasonCode.PROTOCOL_ERROR, f"a {type(packet).__name__} from a client")

    def _publish(self, session: Session, packet: Publish, now: float, effects: list[Effect]) -> None:
        if packet.qos == 2:
            raise _Ended(ReasonCode.QOS_NOT_SUPPORTED, "a message with QoS 2")
        if packet.properties is not NO_PROPERTIES:
            if packet.properties.topic_alias is not None:
                raise _Ended(ReasonCode.TOPIC_ALIAS_INVALID, "a topic alias")
            if packet.properties.subscription_ids:
                raise _Ended(ReasonCode.PROTOCOL_ERROR, "a subscription identifier in a client's message")
        self._received += 1
        if session.grants.may_publish(packet.topic):
            message = Message(packet, origin=session.connection, now=now)
            reason = self._route(message, now, effects)
        else:
            self._deny(session, "publish to", packet.topic, effects)
            reason = ReasonCode.NOT_AUTHORIZED
        if packet.qos and session.connection in self._sessions:
            # 3.1.1 has no negative PUBACK; the client learns nothing (3.1.1 §3.3.5).
            if session.version is Version.V311:
                reason = _SUCCESS
            answer = Puback(packet_id=packet.packet_id, reason=reason)
            effects.append(session.answer(answer))

    def _route(self, message: Message, now: float, effects: list[Effect]) -> ReasonCode:
        """Keeps and delivers a message that its sender may publish."""
        stored = not message.retain or self._retained.put(message)
        if not stored:
            self._dropped += 1
        overrun: list[Session] = []
        for session, wish in self._routes.to(message.topic):
            if wish.no_local and session.connection == message.origin:
                continue
            try:
                session.deliver(
                    message,
                    message.qos and wish.qos,
                    message.retain and wish.retain_as_published,
                    now,
                    effects,
                )
            except QueueFull:
                overrun.append(session)
        if message.qos or message.retain:
            message.forget_frames()
        for session in overrun:
            self._end(session, ReasonCode.QUOTA_EXCEEDED, "does not keep up", effects)
        return _SUCCESS if stored else ReasonCode.QUOTA_EXCEEDED

    def _subscribe(self, session: Session, packet: Subscribe, now: float, effects: list[Effect]) -> None:
        if packet.properties.subscription_ids:
            raise _Ended(ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED, "a subscription identifier")
        reasons = [self._add(session, wish, effects) for wish in packet.subscriptions]
        if session.version is Version.V311:
            reasons = [reason if reason < 0x80 else ReasonCode.UNSPECIFIED_ERROR for reason in reasons]
        answer = Suback(packet_id=packet.packet_id, reasons=tuple(reasons))
        effects.append(session.answer(answer))
        session.pump(self._retained, now, effects)

    def _add(self, session: Session, wish: Subscription, effects: list[Effect]) -> int:
        if wish.filter.startswith("$share/"):
            return ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
        if not session.grants.may_subscribe(wish.filter):
            self._deny(session, "subscribe to", wish.filter, effects)
            return ReasonCode.NOT_AUTHORIZED
        known = wish.filter in session.subscriptions
        if not known and len(session.subscriptions) >= self._limits.subscriptions:
            return ReasonCode.QUOTA_EXCEEDED
        granted = min(wish.qos, 1)
        session.subscriptions.add(wish.filter)
        self._routes.add(session, msgspec.structs.replace(wish, qos=granted))
        if wish.retain_handling == 0 or (wish.retain_handling == 1 and not known):
            for message in self._retained.matching(wish.filter):
                if not (wish.no_local and message.origin == session.connection):
                    session.owe(message.topic, granted)
        return granted

    def _unsubscribe(self, session: Session, wanted: str) -> bool:
        if wanted not in session.subscriptions:
            return False
        session.subscriptions.remove(wanted)
        self._routes.remove(session, wanted)
        return True

    def _tick(self, now: float, effects: list[Effect]) -> None:
        for connection, deadline in list(self._waiting.items()):
            if now >= deadline:
                self._turn_away(connection, ReasonCode.KEEP_ALIVE_TIMEOUT, "no CONNECT in time", effects)
        for session in list(self._sessions.values()):
            if session.patience and now - session.heard > session.patience:
                self._end(session, ReasonCode.KEEP_ALIVE_TIMEOUT, "silent for too long", effects)
            elif session.behind_since is not None and now - session.behind_since > self._limits.slow:
                self._end(session, ReasonCode.QUOTA_EXCEEDED, "does not keep up", effects)
        if now - self._swept >= _SWEEP_SECONDS:
            self._swept = now
            self._retained.expire(now)

    def _end(
        self,
        session: Session,
        reason: int,
        detail: str,
        effects: list[Effect],
        *,
        publish_will: bool = True,
    ) -> None:
        """Ends a session from this side; MQTT 5 clients are told why (§4.13)."""
        if session.connection not in self._sessions:
            return
        if isinstance(session, InsideSession):
            effects.append(session.answer(Disconnect(reason=reason)))
        elif session.version is Version.V5:
            effects.append(Send(session.connection, encode(Disconnect(reason=reason), Version.V5)))
        effects.append(Close(session.connection, reason, session.client_id, detail))
        self._forget(session, publish_will=publish_will)

    def _forget(self, session: Session, *, publish_will: bool) -> None:
        del self._sessions[session.connection]
        self._inside.discard(session.connection)
        if self._by_client.get(session.client_id) is session:
            del self._by_client[session.client_id]
        for wanted in session.subscriptions:
            self._routes.remove(session, wanted)
        self._sent += session.sent
        self._dropped += session.dropped
        if publish_will and session.will is not None:
            # At once, whatever delay it asks for: the session ends with the connection (§3.1.3.2.2).
            self._wills.append((session.connection, session.will))

    def _deny(self, session: Session, action: str, topic: str, effects: list[Effect]) -> None:
        """Counts each refusal, but reports only a client's first ones, so that nobody can flood the log."""
        self._denied += 1
        session.denials += 1
        if session.denials <= _REPORTED_DENIALS:
            effects.append(Denied(session.connection, session.client_id, session.user, action, topic))
