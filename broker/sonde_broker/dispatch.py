"""The way in: operations to processes as commands on the bus, their replies back to whoever asked. Pure.

Owns what is under way: the commands without an answer and the viewers' sessions. Sessions that nobody owns any more
are closed by commands of our own, sent again until the process answers: delivery on the bus is at most once.
"""

import logging
from collections.abc import Callable

import msgspec
from msgspec import Raw, UnsetType

from sonde_broker import answers
from sonde_broker.commands import (
    MARGIN,
    OPEN_TIMEOUT,
    Order,
    Pending,
    bus_lost,
    process_gone,
    stale_boot,
    timed_out,
    too_many,
)
from sonde_broker.counts import Counts
from sonde_broker.deadlines import Deadlines
from sonde_broker.relay_io import Effect, Instant, Publish, Send, ViewerId
from sonde_broker.sessions import Session, Sessions
from sonde_broker.tokens import Claims
from sonde_wire import Address, Code, Failure, Reason, Refused, bus, codec, rpc, topics
from sonde_wire.facts import facts

logger = logging.getLogger(__name__)

MOST_PENDING = 64
"""Of one viewer."""
MOST_SESSIONS = 16
"""Of one viewer."""
_CLOSE_TIMEOUT = 10.0
_MOST_CLOSES = 3


class Dispatch:
    """`broker` is our name on the bus; `new_id` makes the ids of commands and sessions, never the same twice."""

    def __init__(self, broker: str, new_id: Callable[[], str], counts: Counts) -> None:
        self.sessions = Sessions()
        self._counts = counts
        self.bus_up = False
        """While it is False nothing can be published."""
        self._broker = broker
        self._new_id = new_id
        self._pending: dict[str, Pending] = {}
        self._closing: dict[str, tuple[Session, int]] = {}
        """By command: what it closes, and how often it may be tried yet."""
        self._outcomes: list[tuple[Pending, Raw | Failure]] = []
        self._deadlines: Deadlines[str] = Deadlines()

    @property
    def pending(self) -> int:
        return len(self._pending)

    def deadline(self) -> float | None:
        return self._deadlines.next()

    def ask(
        self,
        claims: Claims,
        pending: Pending,
        order: Order,
        *,
        boot: str | None,
        now: float,
        trace: bus.TraceContext | None = None,
    ) -> list[Effect]:
        """Publishes the command and remembers who waits for it. Raises `Refused` when too many are under way."""
        under_way = sum(each.viewer == pending.viewer and not each.then for each in self._pending.values())
        if under_way >= MOST_PENDING and pending.then is None:
            raise too_many("unanswered calls", MOST_PENDING)
        command = self._new_id()
        self._pending[command] = pending
        self._deadlines.set(command, now + order.timeout + MARGIN)
        identity = bus.ViewerIdentity(
            subject=claims.subject, connection=pending.viewer, scopes=tuple(sorted(claims.scopes))
        )
        return [self._publish(command, pending.process, identity, order, boot, trace)]

    def open_session(
        self,
        claims: Claims,
        pending: Pending,
        wanted: rpc.BeginSession,
        *,
        boot: str,
        now: float,
        trace: bus.TraceContext | None = None,
    ) -> list[Effect]:
        if len(self.sessions.of_viewer(pending.viewer)) >= MOST_SESSIONS:
            raise too_many("debug sessions", MOST_SESSIONS)
        session = self._new_id()
        order = Order(
            bus.OpenSession(session=session, name=wanted.name, metadata=wanted.metadata), OPEN_TIMEOUT
        )
        pending = msgspec.structs.replace(pending, session=session)
        effects = self.ask(claims, pending, order, boot=boot, now=now, trace=trace)
        self.sessions.add(Session(session, pending.viewer, claims.subject, pending.process, boot))
        return effects

    def answer(self, reply: bus.Reply) -> list[Effect]:
        """Only the process that was asked can answer, and only once."""
        command = reply.cause or ""
        closing = self._closing.get(command)
        if closing is not None and str(closing[0].process) == reply.process:
            self._forget_closing(lambda each: each is closing[0])
            return []
        pending = self._pending.get(command)
        if pending is None:
            logger.debug("nobody waits for the reply of %s to %s", reply.process, command)
            return []
        if str(pending.process) != reply.process:
            logger.warning(
                "%s answered command %s, which was sent to %s", reply.process, command, pending.process
            )
            return []
        self._forget(command)
        self._counts.command("answered" if reply.failure is None else "failed")
        if reply.failure is not None:
            self._settle_failure(pending, reply.failure)
            return self._settle(pending, reply.failure)
        if isinstance(reply.result, UnsetType):
            logger.error("the reply of %s to %s carries nothing (%s)", reply.process, command, pending.method)
            failure = Failure(
                code=Code.INTERNAL, reason=Reason.BUG, message=f"{pending.method} was answered with nothing"
            )
            return self._settle(pending, failure)
        if pending.session is not None:
            if pending.method == "session.open":
                self.sessions.confirm(pending.session, reply.boot)
            elif pending.method == "session.close":
                self.sessions.drop(pending.session, pending.process)
        return self._settle(pending, reply.result)

    def take_outcomes(self, now: Instant) -> list[Effect]:
        """What the broker asked for itself and now knows; to be called after everything that happened."""
        effects: list[Effect] = []
        while self._outcomes:
            pending, outcome = self._outcomes.pop(0)
            if pending.then is not None:
                effects += pending.then(outcome, now)
        return effects

    def time_passed(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for command in self._deadlines.take_due(now):
            if command in self._closing:
                effects += self._close_again(*self._closing.pop(command), now)
                continue
            pending = self._pending.pop(command)
            refused = timed_out(pending.method)
            logger.warning(
                "%s did not answer %s (command %s)",
                pending.process,
                pending.method,
                command,
                extra=facts(
                    process=str(pending.process), method=pending.method, viewer=pending.viewer, cause=command
                ),
            )
            self._counts.command("timed_out")
            effects += self._settle(pending, refused.failure)
            if pending.method == "session.open" and pending.session is not None:
                session = self.sessions.get(pending.session, pending.viewer)
                if session is not None:  # it may be open by now, and nobody would know its name
                    self.sessions.drop(session.id, session.process)
                    effects.append(self._close(session, now))
        return effects

    def process_gone(self, process: Address, state: str) -> list[Effect]:
        self._forget_closing(lambda session: session.process == process)
        return self._fail(process_gone(process, state), lambda pending: pending.process == process)

    def process_restarted(self, process: Address) -> list[Effect]:
        self._forget_closing(lambda session: session.process == process)
        return self._fail(stale_boot(process), lambda pending: pending.process == process)

    def bus_down(self) -> list[Effect]:
        self.sessions.clear()
        self._forget_closing(lambda session: True)
        return self._fail(bus_lost(sent=True), lambda pending: True)

    def viewer_left(self, viewer: ViewerId, now: float) -> list[Effect]:
        for command in [each for each, pending in self._pending.items() if pending.viewer == viewer]:
            self._counts.command("abandoned")
            self._forget(command)
        sessions = self.sessions.take_viewer(viewer)
        return [self._close(session, now) for session in sessions] if self.bus_up else []

    def close_where(self, viewer: ViewerId, unwanted: Callable[[Session], bool], now: float) -> list[Effect]:
        """Closes sessions that a viewer may no longer have."""
        effects: list[Effect] = []
        for session in self.sessions.of_viewer(viewer):
            if unwanted(session):
                self.sessions.drop(session.id, session.process)
                effects.append(self._close(session, now))
        return effects

    def _settle_failure(self, pending: Pending, failure: Failure) -> None:
        """A session that did not open, or that its process does not know, is no session."""
        if pending.session is not None and (
            pending.method == "session.open" or failure.reason is Reason.UNKNOWN_SESSION
        ):
            self.sessions.drop(pending.session, pending.process)

    def _fail(self, why: Refused, chosen: Callable[[Pending], bool]) -> list[Effect]:
        effects: list[Effect] = []
        for command, pending in [each for each in self._pending.items() if chosen(each[1])]:
            self._forget(command)
            self._counts.command("abandoned")
            self._settle_failure(pending, why.failure)
            effects += self._settle(pending, why.failure)
        return effects

    def _settle(self, pending: Pending, outcome: Raw | Failure) -> list[Effect]:
        if pending.then is not None:
            self._outcomes.append((pending, outcome))
            return []
        if isinstance(outcome, Failure):
            return [Send(pending.viewer, answers.failure(pending.request, outcome))]
        return [Send(pending.viewer, answers.result(pending.request, outcome))]

    def _forget(self, command: str) -> None:
        del self._pending[command]
        self._deadlines.clear(command)

    def _close_again(self, session: Session, tries: int, now: float) -> list[Effect]:
        if tries:
            return [self._close(session, now, tries)]
        logger.warning("%s did not say that session %s is closed", session.process, session.id)
        return []

    def _forget_closing(self, chosen: Callable[[Session], bool]) -> None:
        for command in [each for each, (session, _) in self._closing.items() if chosen(session)]:
            del self._closing[command]
            self._deadlines.clear(command)

    def _close(self, session: Session, now: float, tries: int = _MOST_CLOSES) -> Publish:
        """No viewer waits for the answer."""
        order = Order(bus.CloseSession(session=session.id), _CLOSE_TIMEOUT)
        viewer = bus.ViewerIdentity(subject=session.subject, connection=session.viewer, scopes=())
        command = self._new_id()
        self._closing[command] = (session, tries - 1)
        self._deadlines.set(command, now + order.timeout + MARGIN)
        return self._publish(command, session.process, viewer, order, None)

    def _publish(
        self,
        command: str,
        process: Address,
        viewer: bus.ViewerIdentity,
        order: Order,
        boot: str | None,
        trace: bus.TraceContext | None = None,
    ) -> Publish:
        message = bus.Command(
            process=str(process),
            id=command,
            broker=self._broker,
            viewer=viewer,
            timeout=order.timeout,
            operation=order.operation,
            boot=boot,
            trace=trace,
        )
        topic = topics.of_process(process, topics.Channel.COMMANDS)
        return Publish(topic, codec.encode(message), expires=order.timeout)
