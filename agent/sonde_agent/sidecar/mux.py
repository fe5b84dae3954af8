"""Many sessions on one pydevd: the pure core of the sidecar.

pydevd serves one client. Each viewer has a session with numbers and breakpoints of its own; this core turns
the requests of all of them into one conversation and its answers and events back. It does nothing by itself:
`handle(event, now)` returns what must be done. `now` is any clock that only goes forward. What is due by that
time is done before what has happened.

It puts together cores that know nothing of one another, and decides what concerns several of them:

    sessions   who is here, and everything that is said to them
    line       whether there is a line to pydevd, and whether to make it again
    requests   what pydevd is asked for whom, with stops, breakpoints and filters
    seat       who drives
    lease      how long what stands may stand

 * A session whose opening waits for the line, or for the threads that it is told, is answered when they are there.
 * The first request that drives takes the free seat, unless it is refused. A `continue` that comes when
   everything runs takes none. Who does not drive is refused even that: of two that continue at once, one has
   continued and the other is told who drives.
 * Whoever may renew the lease (the driver; anybody while the seat is free) renews it by every request.
 * The lease lapsed: breakpoints sleep, everything is told to run, the seat is free. Any request or act with the
   seat, but no heartbeat, wakes the breakpoints before it is handled itself.
 * A line that is lost, or wedged, is made again while there are sessions: what was under way is answered, what
   stood runs, breakpoints are set again. Breakpoints that are set meanwhile are remembered.
 * The last one to leave, a lost broker or bus: the line is dropped, and pydevd lets everything run.
"""

from typing import Any, Literal, assert_never

from msgspec import Raw

from sonde_agent.redaction import Redaction
from sonde_agent.sidecar import asks, requests
from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.asks import Asker, CloseReason
from sonde_agent.sidecar.lease import Lease
from sonde_agent.sidecar.line import Line, State
from sonde_agent.sidecar.redacting import Redacting
from sonde_agent.sidecar.requests import Requests
from sonde_agent.sidecar.seat import Change, Seat
from sonde_agent.sidecar.sessions import Session, Sessions, breakpoint_set
from sonde_wire import Code, Failure, Reason, Refused, bus, codec, dap

LEASE = 60.0
LONGEST_STOP = 900.0
EVALUATION_LIMIT = 20.0


class Mux:
    def __init__(
        self,
        process: str,
        boot: str,
        *,
        lease: float = LEASE,
        longest_stop: float = LONGEST_STOP,
        evaluation_limit: float = EVALUATION_LIMIT,
        redaction: Redaction | None = None,
    ) -> None:
        """Seconds, as in the sidecar's settings."""
        self._process = process
        self._boot = boot
        self._redacting = Redacting(redaction or Redaction())
        self._sessions = Sessions(self._redacting)
        self._requests = Requests(self._sessions, evaluation_limit, self._redacting)
        self._line = Line()
        self._seat = Seat()
        self._lease = Lease(lease, longest_stop)
        self._capabilities: dict[str, Any] = {}
        self._why_ended: CloseReason = "process_ended"
        self._now = 0.0

    # What others may read -------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self._line.state

    @property
    def sessions(self) -> tuple[bus.SessionInfo, ...]:
        return self._sessions.infos

    @property
    def driver(self) -> str | None:
        return self._seat.driver

    @property
    def stopped_threads(self) -> int:
        return len(self._requests.stops)

    @property
    def next_deadline(self) -> float | None:
        parts = (self._requests, self._lease, self._seat, self._line)
        return min((each.next_deadline for each in parts if each.next_deadline is not None), default=None)

    # Events ---------------------------------------------------------------------------------------------------

    def handle(self, event: e.Input, now: float) -> list[e.Effect]:
        self._now = self._requests.now = now
        out: list[e.Effect] = []
        self._sessions.out = out
        before = (self.state, self.sessions, self.driver, self.stopped_threads)
        self._do_what_is_due()
        self._settle()
        self._take(event)
        self._settle()
        if before != (self.state, self.sessions, self.driver, self.stopped_threads):
            out.append(e.PresenceChanged())
        return out

    def _take(self, event: e.Input) -> None:
        match event:
            case e.OpenAsked():
                self._open(event)
            case e.CloseAsked():
                if session := self._sessions.own(event.command, event.session, event.viewer):
                    self._close([session], "viewer_left", event.command)
                    self._sessions.answer(event.command, bus.Done())
            case e.DapAsked():
                self._asked(event)
            case e.RenewAsked():
                self._renew(event)
            case e.SeatAsked():
                self._seat_asked(event)
            case e.BrokerGone(broker):
                self._close([each for each in self._sessions if each.broker == broker], "broker_lost")
            case e.BusGone():
                self._close(list(self._sessions), "bus_lost")
            case e.ProcessGone():
                if self._line.attached:
                    self._leave("process_ended")
                self._end("process_ended")
            case e.SidecarLeaves():
                self._end("debugger_lost")
            case e.DebuggerConnected():
                self._connected(event)
            case e.DebuggerFailed(failure):
                self._failed(failure)
            case e.DebuggerSaid(message):
                if self._line.attached:
                    self._come(self._requests.said(message))
            case e.LineLost():
                if self._line.attached:
                    self._lose("connection_lost")
            case e.DebuggerGone():
                if self._line.gone(len(self._sessions) > 0, self._now):
                    self._sessions.out.append(e.Connect())
            case e.TimePassed():
                return
            case _:
                assert_never(event)

    def _do_what_is_due(self) -> None:
        if self._lease.has_lapsed(self._now):
            self._lapse()
        elif self._lease.is_overdue(self._now) and self._line.attached:
            self._lose("not_answering")
        if self._line.attached:
            self._come(self._requests.expired())
        self._seat_changed(self._seat.due(self._now))
        if self._line.due(self._now):
            self._sessions.out.append(e.Connect())

    def _settle(self) -> None:
        """The lease follows what stands."""
        stops = self._requests.stops
        self._sessions.out += self._lease.stands(len(stops) > 0, self._now)
        if self._lease.asleep and self._line.attached and stops.standing():
            self._requests.let_run()

    def _come(self, outcomes: list[asks.Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, asks.Wedged):
                self._lose("not_answering")
            elif (joining := self._sessions.get(outcome.session)) is not None:
                self._opened(joining, outcome.threads)

    # Sessions -------------------------------------------------------------------------------------------------

    def _open(self, event: e.OpenAsked) -> None:
        if self.state is State.ENDED:
            self._sessions.fail(event.command, asks.why_closed(self._why_ended, Code.FAILED_PRECONDITION))
            return
        session = self._sessions.add(event)
        if session is None:
            return
        if self._line.attached:
            self._requests.join(session.id)
        elif self._line.wanted():
            self._sessions.out.append(e.Connect())

    def _opened(self, session: Session, threads: tuple[Raw, ...]) -> None:
        command, session.waiting = session.waiting, None
        if command is None:
            return
        self._seat.came(session.id, session.viewer)
        held = self._requests.breakpoints.all_shown()
        state = bus.SessionState(
            session=session.id,
            process=self._process,
            boot=self._boot,
            capabilities=codec.raw(self._capabilities),
            stops=tuple(codec.raw(body) for body in self._requests.stops.bodies),
            sessions=self.sessions,
            threads=threads,
            breakpoints=tuple(breakpoint_set(owner, place, shown) for owner, place, shown in held),
            driver=self._seat.driver,
            asking=self._seat.asking,
            lease=self._lease.shown(self._now),
            asleep=self._lease.asleep,
        )
        self._sessions.tell_opened(session, command)
        self._sessions.answer(command, state)
        self._requests.opened(session.id)

    def _close(self, sessions: list[Session], reason: CloseReason, cause: str | None = None) -> None:
        for session in sessions:
            self._sessions.remove(session)
            if session.waiting is not None:
                self._sessions.fail(session.waiting, asks.why_closed(reason))
            else:
                self._sessions.tell(
                    bus.SessionClosed, session.id, cause, viewer=session.viewer, reason=reason
                )
            self._seat_changed(self._seat.gone(session.id, self._now))
        if len(self._sessions):
            for session in sessions:
                self._requests.forget(session.id, self._line.attached)
        elif self._line.attached:
            self._leave("last_session_closed")
        else:
            self._line.unwanted()
            self._forget_all()

    # The line to pydevd ---------------------------------------------------------------------------------------

    def _connected(self, event: e.DebuggerConnected) -> None:
        if self.state is State.ENDED:
            self._sessions.out.append(e.Disconnect())
        if self.state is not State.CONNECTING:
            return
        again = self._line.connected()
        self._capabilities = asks.passed_on(event.capabilities)
        self._sessions.tell(bus.DebuggerAttached, debugpy=event.debugpy, again=again)
        if not len(self._sessions):
            self._leave("last_session_closed")
            return
        self._requests.attached()
        for message in event.early:
            self._come(self._requests.said(message))
        for session in self._sessions:
            if session.waiting is not None:
                self._requests.join(session.id)

    def _failed(self, failure: Failure) -> None:
        if self.state is not State.CONNECTING:
            return
        again = self._line.again
        if self._line.failed(self._now):
            return
        for session in self._sessions:
            if session.waiting is not None:
                self._sessions.fail(session.waiting, failure)
                self._sessions.remove(session)
        if again:
            self._close(list(self._sessions), "debugger_lost")

    def _lose(self, reason: Literal["connection_lost", "not_answering"]) -> None:
        """Nobody wanted that: the sessions are kept, unless it happens too often."""
        goes_on = self._line.lost(self._now)
        why = asks.lost_meanwhile() if goes_on else asks.why_closed("debugger_lost")
        self._requests.dropped(why, told=goes_on)
        self._settle()
        self._sessions.tell(bus.DebuggerDetached, reason=reason)
        self._sessions.out.append(e.Disconnect())
        if not goes_on:
            self._close(list(self._sessions), "debugger_lost")

    def _leave(self, reason: Literal["last_session_closed", "process_ended"]) -> None:
        self._line.left()
        closed: CloseReason = "process_ended" if reason == "process_ended" else "viewer_left"
        self._requests.dropped(asks.why_closed(closed), told=False)
        self._forget_all()
        self._sessions.tell(bus.DebuggerDetached, reason=reason)
        self._sessions.out.append(e.Disconnect())

    def _forget_all(self) -> None:
        self._requests.over()
        self._sessions.out += self._lease.off()

    def _end(self, why: CloseReason) -> None:
        if self.state is State.CONNECTING:
            self._sessions.out.append(e.Disconnect())
        self._why_ended = why
        self._close(list(self._sessions), why)
        self._line.end()

    # The lease and the seat -----------------------------------------------------------------------------------

    def _lapse(self) -> None:
        self._sessions.out += self._lease.lapse(self._now)
        self._seat_changed(self._seat.lapsed())
        if self._line.attached:
            self._requests.sleep()

    def _acts(self, session: Session) -> None:
        """A person is there."""
        if self._lease.asleep:
            self._sessions.out += self._lease.wake()
            self._requests.wake(self._line.attached)
            self._settle()
        self._seat.worked(session.id, self._now)
        if self._seat.is_open_to(session.id):
            self._sessions.out += self._lease.acted(self._now)

    def _renew(self, event: e.RenewAsked) -> None:
        session = self._sessions.own(event.command, event.session, event.viewer)
        if session is None:
            return
        renewed = False
        if self._seat.is_open_to(session.id):
            renewed, effects = self._lease.renew(self._now)
            self._sessions.out += effects
        state = bus.LeaseState(lease=self._lease.shown(self._now), renewed=renewed)
        self._sessions.answer(event.command, state)

    def _seat_asked(self, event: e.SeatAsked) -> None:
        session = self._sessions.own(event.command, event.session, event.viewer)
        if session is None:
            return
        if session.waiting is not None:
            self._sessions.fail(event.command, asks.not_open())
            return
        self._acts(session)
        try:
            changes = self._seat.act(session.id, event.action, event.to, self._now)
        except Refused as refusal:
            self._sessions.fail(event.command, refusal.failure)
            return
        self._seat_changed(changes, event.command)
        self._sessions.answer(event.command, self._seat.state)

    def _seat_changed(self, changes: list[Change], cause: str | None = None) -> None:
        for each in changes:
            self._sessions.tell(
                bus.SeatChanged,
                cause=cause,
                reason=each.reason,
                driver=each.driver,
                viewer=each.viewer,
                asking=each.asking,
            )

    # Requests of sessions -------------------------------------------------------------------------------------

    def _asked(self, event: e.DapAsked) -> None:
        session = self._sessions.own(event.command, event.session, event.viewer)
        if session is None:
            return
        hides = self._redacting.hides(event.request, event.arguments)
        asker = Asker(event.command, session.id, event.seq, event.request, hides)
        arguments = self._redacting.arguments(event.request, event.arguments)
        try:
            rule = dap.rule_for(event.request)
            if session.waiting is not None:
                raise Refused.from_failure(asks.not_open())
            if event.request != "disconnect":
                self._acts(session)
            if rule.answers is dap.Answers.SESSION:
                self._answer_locally(session, asker, event.arguments)
            elif self._line.attached:
                self._drive(rule, session, event)
                self._requests.forward(rule, asker, arguments, event.timeout)
            elif event.request in requests.SETS:
                self._requests.remember(asker, arguments)
            else:
                raise Refused.from_failure(asks.being_attached())
        except Refused as refusal:
            self._sessions.fail(event.command, refusal.failure)

    def _drive(self, rule: dap.Rule, session: Session, event: e.DapAsked) -> None:
        """Only who has the seat, or gets it by this. Raises `Refused`."""
        if rule.drives and not self._seat.is_open_to(session.id):
            raise self._seat.not_driver(event.request)
        self._requests.check(rule, event.request, event.arguments)
        if rule.drives and not self._requests.resumes_nothing(event.request, event.arguments):
            self._seat_changed(self._seat.take(session.id, self._now), event.command)

    def _answer_locally(self, session: Session, asker: Asker, arguments: dict[str, Any]) -> None:
        match asker.request:
            case "initialize":
                self._sessions.respond(asker, self._capabilities)
            case "attach":
                self._sessions.respond(asker)
                self._sessions.tell_dap("initialized", {}, session.id)
            case "configurationDone":
                self._sessions.respond(asker)
            case "disconnect":
                if arguments.get("terminateDebuggee"):
                    raise Refused(
                        Code.UNIMPLEMENTED,
                        Reason.DAP_NOT_ALLOWED,
                        "a viewer cannot end the process: disconnect without terminateDebuggee",
                    )
                self._sessions.respond(asker)
                self._close([session], "viewer_left", asker.command)
