"""Many sessions on one pydevd: the pure core of the sidecar.

pydevd serves one client. Each viewer has a session with numbers and breakpoints of its own; this core turns
the requests of all of them into one conversation and its answers and events back. It does nothing by itself:
`handle(event, now)` returns what must be done. `now` is any clock that only goes forward.

The line to pydevd exists only while somebody debugs:

    DETACHED --first session--> CONNECTING --connected--> ATTACHED --last one closed, or line lost--> LEAVING
       ^                            |  (nobody left: LEAVING)                                            |
       +---------- failed ----------+<------------- gone; CONNECTING at once if somebody waits ----------+
    any --the process ended, or the sidecar leaves--> ENDED, for good

 * A session whose opening waits for the line is answered when the line is there.
 * Only requests of `sonde_wire.dap.RULES` pass, and those that need a stopped thread only while one stands:
   pydevd would not answer them. Each request that pydevd gets has a deadline.
 * `continue` with nothing to continue is answered here; so are two in a row (see `stops`).
 * Breakpoints are each session's own, pydevd has their union (see `breakpoints`). Who leaves takes only its own.
 * The last one to leave, a lost broker, bus or debugger: the line is dropped, and pydevd lets everything run.
 * After a re-attach pydevd can repeat an old `stopped`. The first one of each later line is checked before it
   is shown: its thread must have a frame that can evaluate `0`. In doubt it is shown: better one stop too many
   on the screen than a thread that stands unseen.
"""

from enum import Enum
from typing import Any, Literal, assert_never

from msgspec import UNSET, Raw, Struct, UnsetType

from sonde_agent.sidecar import asks
from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.asks import (
    WHY_CLOSED,
    Asker,
    Check,
    CloseReason,
    Forward,
    Response,
    Resume,
    SetBreakpoints,
    SetFilters,
    Tag,
    debugger_lost,
    no_answer,
)
from sonde_agent.sidecar.breakpoints import Breakpoints, Place, Spec, read_place, read_specs
from sonde_agent.sidecar.dap.channel import Asked, Channel, Incoming, body_of
from sonde_agent.sidecar.stops import Stops
from sonde_wire import Code, Failure, Reason, Refused, bus, codec, dap

MOST_SESSIONS = 32
MOST_BODY = 8 * 1024 * 1024
"""Bytes of one answer; a larger one is refused instead of put on the bus."""
CHECK_WITHIN = 2.0

_EVENTS_FOR_ALL = frozenset({"thread", "output", "module"})
_ONE_THREAD = frozenset({"next", "stepIn", "stepOut", "goto", "exceptionInfo"})
_RESUMES = frozenset({"next", "stepIn", "stepOut"})


class State(Enum):
    DETACHED = "detached"
    CONNECTING = "connecting"
    ATTACHED = "attached"
    LEAVING = "leaving"
    ENDED = "ended"


class Session(Struct):
    """`waiting` is the command that opened it, until it is answered; `seq` numbers our messages to it."""

    id: str
    viewer: str
    broker: str
    opened: float
    waiting: str | None
    seq: int = 0


class Mux:
    def __init__(self, process: str, boot: str) -> None:
        self._process = process
        self._boot = boot
        self.state = State.DETACHED
        self._sessions: dict[str, Session] = {}
        self._breakpoints = Breakpoints()
        self._stops = Stops()
        self._channel: Channel[Tag] = Channel()
        self._capabilities: dict[str, Any] = {}
        self._why_ended: CloseReason = "process_ended"
        self._attached_before = False
        self._in_doubt = False
        self._checking: set[int] = set()
        self._now = 0.0
        self._out: list[e.Effect] = []

    # What others may read -------------------------------------------------------------------------------------

    @property
    def sessions(self) -> tuple[bus.SessionInfo, ...]:
        return tuple(
            bus.SessionInfo(session=each.id, viewer=each.viewer, opened=each.opened)
            for each in self._sessions.values()
            if each.waiting is None
        )

    @property
    def stopped_threads(self) -> int:
        return len(self._stops)

    @property
    def next_deadline(self) -> float | None:
        return self._channel.next_deadline

    # Events ---------------------------------------------------------------------------------------------------

    def handle(self, event: e.Input, now: float) -> list[e.Effect]:
        self._now = now
        self._out = []
        before = (self.state, self.sessions, self.stopped_threads)
        match event:
            case e.OpenAsked():
                self._open(event)
            case e.CloseAsked():
                self._close_asked(event)
            case e.DapAsked():
                self._asked(event)
            case e.BrokerGone(broker):
                self._close([s for s in self._sessions.values() if s.broker == broker], "broker_lost")
            case e.BusGone():
                self._close(list(self._sessions.values()), "bus_lost")
            case e.ProcessGone():
                if self.state is State.ATTACHED:
                    self._leave("process_ended")
                self._end("process_ended")
            case e.SidecarLeaves():
                self._end("debugger_lost")
            case e.DebuggerConnected():
                self._connected(event)
            case e.DebuggerFailed(failure):
                self._failed(failure)
            case e.DebuggerSaid(message):
                self._said(message)
            case e.DebuggerGone():
                self._gone()
            case e.TimePassed():
                for asked in self._channel.expired(now):
                    self._unanswered(asked.tag, no_answer(asked.command))
            case _:
                assert_never(event)
        if before != (self.state, self.sessions, self.stopped_threads):
            self._out.append(e.PresenceChanged())
        return self._out

    # Sessions -------------------------------------------------------------------------------------------------

    def _open(self, event: e.OpenAsked) -> None:
        if self.state is State.ENDED:
            self._refuse(event.command, Code.FAILED_PRECONDITION, *WHY_CLOSED[self._why_ended])
            return
        if event.session in self._sessions:
            self._refuse(
                event.command, Code.ALREADY_EXISTS, Reason.INVALID_PARAMS, "this session is already open"
            )
            return
        if len(self._sessions) >= MOST_SESSIONS:
            self._refuse(
                event.command,
                Code.RESOURCE_EXHAUSTED,
                Reason.TOO_MANY,
                f"{MOST_SESSIONS} sessions debug this process already; close one first",
            )
            return
        session = Session(event.session, event.viewer, event.broker, event.time, event.command)
        self._sessions[session.id] = session
        if self.state is State.ATTACHED:
            self._opened(session)
        elif self.state is State.DETACHED:
            self._connect()

    def _opened(self, session: Session) -> None:
        command, session.waiting = session.waiting, None
        state = bus.SessionState(
            session=session.id,
            process=self._process,
            boot=self._boot,
            capabilities=codec.raw(self._capabilities),
            stops=tuple(codec.raw(body) for body in self._stops.bodies),
            sessions=self.sessions,
        )
        self._tell(bus.SessionOpened, session.id, command, viewer=session.viewer)
        if command is not None:
            self._out.append(e.Answer(command=command, result=codec.raw(state)))

    def _close_asked(self, event: e.CloseAsked) -> None:
        if session := self._own(event.command, event.session, event.viewer):
            self._close([session], "viewer_left", event.command)
            self._out.append(e.Answer(command=event.command, result=codec.raw(bus.Done())))

    def _own(self, command: str, session: str, viewer: str) -> Session | None:
        """The viewer's session; anybody else's is answered as if it did not exist."""
        found = self._sessions.get(session)
        if found is not None and found.viewer == viewer:
            return found
        self._refuse(
            command, Code.NOT_FOUND, Reason.UNKNOWN_SESSION, "there is no such session; open one first"
        )
        return None

    def _close(self, sessions: list[Session], reason: CloseReason, cause: str | None = None) -> None:
        for session in sessions:
            del self._sessions[session.id]
            if session.waiting is not None:
                self._refuse(session.waiting, Code.ABORTED, *WHY_CLOSED[reason])
            else:
                self._tell(bus.SessionClosed, session.id, cause, viewer=session.viewer, reason=reason)
        if self.state is not State.ATTACHED:
            return
        if not self._sessions:
            self._leave("last_session_closed")
            return
        for session in sessions:
            places, filters = self._breakpoints.forget(session.id)
            for place in places:
                self._send_breakpoints(place, None)
            if filters:
                self._send_filters(None)

    # The line to pydevd ---------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self.state = State.CONNECTING
        self._out.append(e.Connect())

    def _connected(self, event: e.DebuggerConnected) -> None:
        if self.state is State.ENDED:
            self._out.append(e.Disconnect())
        if self.state is not State.CONNECTING:
            return
        self._channel = Channel()
        self._capabilities = asks.passed_on(event.capabilities)
        self.state = State.ATTACHED
        self._in_doubt = self._attached_before
        self._attached_before = True
        self._tell(bus.DebuggerAttached, None, None, debugpy=event.debugpy)
        if not self._sessions:
            self._leave("last_session_closed")
            return
        for message in event.early:
            self._said(message)
        for session in list(self._sessions.values()):
            self._opened(session)

    def _failed(self, failure: Failure) -> None:
        if self.state is not State.CONNECTING:
            return
        self.state = State.DETACHED
        for session in self._sessions.values():
            if session.waiting is not None:
                self._out.append(e.Answer(command=session.waiting, failure=failure))
        self._sessions.clear()

    def _leave(self, reason: Literal["last_session_closed", "connection_lost", "process_ended"]) -> None:
        self.state = State.LEAVING
        self._checking.clear()  # first: a stop in doubt is not worth showing any more
        for asked in self._channel.abandon():
            self._unanswered(asked.tag, debugger_lost())
        self._breakpoints.clear()
        self._stops.gone(None)
        self._tell(bus.DebuggerDetached, None, None, reason=reason)
        self._out.append(e.Disconnect())

    def _gone(self) -> None:
        if self.state is State.ATTACHED:
            # its sessions must not be closed one by one: that would still talk to pydevd
            sessions = list(self._sessions.values())
            self._leave("connection_lost")
            self._close(sessions, "debugger_lost")
        elif self.state is State.LEAVING:
            self.state = State.DETACHED
            if self._sessions:
                self._connect()

    def _end(self, why: CloseReason) -> None:
        if self.state is State.CONNECTING:
            self._out.append(e.Disconnect())
        self._why_ended = why
        self._close(list(self._sessions.values()), why)
        self.state = State.ENDED

    # Requests of sessions -------------------------------------------------------------------------------------

    def _asked(self, event: e.DapAsked) -> None:
        session = self._own(event.command, event.session, event.viewer)
        if session is None:
            return
        asker = Asker(event.command, session.id, event.seq, event.request)
        try:
            rule = dap.rule_for(event.request)
            if session.waiting is not None or self.state is not State.ATTACHED:
                raise Refused.from_failure(debugger_lost())
            if rule.answers is dap.Answers.SESSION:
                self._answer_locally(session, asker, event.arguments)
            else:
                self._check_stopped(rule, event)
                self._forward(asker, event.arguments, self._now + min(rule.deadline, event.timeout))
        except Refused as refusal:
            self._out.append(e.Answer(command=event.command, failure=refusal.failure))

    def _check_stopped(self, rule: dap.Rule, event: e.DapAsked) -> None:
        if not rule.stopped_only:
            return
        thread = event.arguments.get("threadId") if event.request in _ONE_THREAD else None
        if event.request in _ONE_THREAD and type(thread) is not int:
            raise Refused(
                Code.INVALID_ARGUMENT, Reason.INVALID_PARAMS, f"{event.request} needs a threadId, a number"
            )
        if not self._stops.standing(thread):
            which = "no thread is stopped" if thread is None else f"thread {thread} is not stopped"
            raise Refused(
                Code.FAILED_PRECONDITION,
                Reason.NOT_STOPPED,
                f"{which}: pause it, or wait for a breakpoint, before {event.request}",
            )

    def _answer_locally(self, session: Session, asker: Asker, arguments: dict[str, Any]) -> None:
        match asker.request:
            case "initialize":
                self._respond(asker, self._capabilities)
            case "attach":
                self._respond(asker)
                self._tell_dap("initialized", {}, session.id)
            case "configurationDone":
                self._respond(asker)
            case "disconnect":
                if arguments.get("terminateDebuggee"):
                    raise Refused(
                        Code.UNIMPLEMENTED,
                        Reason.DAP_NOT_ALLOWED,
                        "a viewer cannot end the process: disconnect without terminateDebuggee",
                    )
                self._respond(asker)
                self._close([session], "viewer_left", asker.command)

    def _forward(self, asker: Asker, arguments: dict[str, Any], deadline: float) -> None:
        match asker.request:
            case "setBreakpoints" | "setFunctionBreakpoints":
                place = read_place(arguments) if asker.request == "setBreakpoints" else None
                own = read_specs(arguments, place)
                if self._breakpoints.replace(asker.session, place, own):
                    self._send_breakpoints(place, asker, deadline, own)
                else:
                    self._respond(asker, {"breakpoints": self._breakpoints.shown(asker.session, place)})
            case "setExceptionBreakpoints":
                if self._breakpoints.set_filters(asker.session, _read_filters(arguments)):
                    self._send_filters(asker, deadline)
                else:
                    self._respond(asker)
            case "continue":
                one = arguments.get("threadId") if arguments.get("singleThread") is True else None
                threads = self._stops.standing(one)
                if threads:
                    self._resume(asker, arguments, threads, deadline)
                else:
                    self._respond(asker, {"allThreadsContinued": one is None})
            case request if request in _RESUMES:
                self._resume(asker, arguments, (arguments["threadId"],), deadline)
            case _:
                self._ask(asker.request, arguments, Forward(asker), deadline)

    def _resume(
        self, asker: Asker, arguments: dict[str, Any], threads: tuple[int, ...], deadline: float
    ) -> None:
        self._stops.resuming(threads)
        self._ask(asker.request, arguments, Resume(asker, threads), deadline)

    def _send_breakpoints(
        self, place: Place, asker: Asker | None, deadline: float | None = None, own: tuple[Spec, ...] = ()
    ) -> None:
        request, arguments = self._breakpoints.to_request(place)
        tag = SetBreakpoints(asker, place, self._breakpoints.union(place), own)
        self._ask(request, arguments, tag, deadline)

    def _send_filters(self, asker: Asker | None, deadline: float | None = None) -> None:
        filters = self._breakpoints.to_filters_request()
        self._ask("setExceptionBreakpoints", filters, SetFilters(asker), deadline)

    def _ask(self, request: str, arguments: dict[str, Any], tag: Tag, deadline: float | None = None) -> None:
        if deadline is None:
            deadline = self._now + dap.RULES[request].deadline
        self._out.append(e.Send(self._channel.ask(request, arguments, tag, deadline)))

    # What pydevd says -----------------------------------------------------------------------------------------

    def _said(self, message: Incoming) -> None:
        if self.state is not State.ATTACHED:
            return
        if message.type == "response":
            asked = self._channel.answered(message)
            if asked is not None:
                self._answered(asked, message)
        elif message.type == "event":
            self._event(message.event, body_of(message))

    def _answered(self, asked: Asked[Tag], response: Incoming) -> None:
        match asked.tag:
            case Forward(asker):
                self._relay(asker, response)
            case Resume(asker, threads):
                if not response.success:
                    self._stops.not_resumed(threads)
                self._relay(asker, response)
            case SetBreakpoints(asker, place, sent, own):
                if response.success:
                    self._breakpoints.learn(place, sent, _listed(response))
                if asker and response.success:
                    self._respond(asker, {"breakpoints": self._breakpoints.shown(asker.session, place, own)})
                elif asker:
                    self._relay(asker, response)
            case SetFilters(asker):
                if response.success:
                    self._breakpoints.learn_filters()
                if asker:
                    self._relay(asker, response)
            case Check():
                self._checked(asked.tag, response)
            case _:
                assert_never(asked.tag)

    def _unanswered(self, tag: Tag, failure: Failure) -> None:
        if isinstance(tag, Check):
            self._show_stop(tag.thread, tag.body)
            return
        if isinstance(tag, Resume):
            self._stops.not_resumed(tag.threads)
        if tag.asker:
            self._out.append(e.Answer(command=tag.asker.command, failure=failure))

    def _event(self, name: str, body: dict[str, Any]) -> None:
        thread = body.get("threadId")
        match name:
            case "stopped" if isinstance(thread, int):
                self._stopped(thread, body)
            case "continued":
                everything = body.get("allThreadsContinued") is True or not isinstance(thread, int)
                self._checking = set() if everything else self._checking - {thread}
                self._stops.gone(None if everything else thread)
                self._tell_dap(name, body)
            case "breakpoint":
                changed = body.get("breakpoint")
                if isinstance(changed, dict):
                    for session, shown in self._breakpoints.changed(changed):
                        self._tell_dap(name, {**body, "breakpoint": shown}, session)
            case _ if name in _EVENTS_FOR_ALL:
                if name == "thread" and body.get("reason") == "exited" and isinstance(thread, int):
                    self._checking.discard(thread)
                    self._stops.gone(thread)
                self._tell_dap(name, body)
            case _:
                return  # pydevd's own, or about a session's life, which is not pydevd's to tell

    def _stopped(self, thread: int, body: dict[str, Any]) -> None:
        if "hitBreakpointIds" in body:
            ids = body["hitBreakpointIds"]
            body = {**body, "hitBreakpointIds": self._breakpoints.ours(ids if isinstance(ids, list) else [])}
        if self._in_doubt:
            self._in_doubt = False
            self._checking.add(thread)
            arguments = {"threadId": thread, "levels": 1}
            self._ask("stackTrace", arguments, Check(thread, body, False), self._now + CHECK_WITHIN)
        else:
            self._checking.discard(thread)
            self._show_stop(thread, body, checked=False)

    def _checked(self, check: Check, response: Incoming) -> None:
        if not response.success or check.thread not in self._checking:
            self._checking.discard(check.thread)
            return
        if check.has_frame:
            self._show_stop(check.thread, check.body)
            return
        frames = _listed(response, "stackFrames")
        if not frames or not isinstance(frames[0], dict):
            self._checking.discard(check.thread)
            return
        arguments = {"expression": "0", "frameId": frames[0].get("id"), "context": "watch"}
        tag = Check(check.thread, check.body, True)
        self._ask("evaluate", arguments, tag, self._now + CHECK_WITHIN)

    def _show_stop(self, thread: int, body: dict[str, Any], *, checked: bool = True) -> None:
        if checked and thread not in self._checking:
            return
        self._checking.discard(thread)
        self._stops.stopped(thread, body)
        self._tell_dap("stopped", body)

    # Answers and events out -----------------------------------------------------------------------------------

    def _relay(self, asker: Asker, response: Incoming) -> None:
        """pydevd's answer, under the session's own numbers."""
        if isinstance(response.body, Raw) and len(bytes(response.body)) > MOST_BODY:
            self._refuse(
                asker.command,
                Code.RESOURCE_EXHAUSTED,
                Reason.TOO_MANY,
                f"the answer is larger than {MOST_BODY // 1024 // 1024} MiB; ask for less of it",
            )
            return
        self._respond(asker, response.body, success=response.success, message=response.message)

    def _respond(
        self,
        asker: Asker,
        body: dict[str, Any] | Raw | UnsetType = UNSET,
        *,
        success: bool = True,
        message: str | None = None,
    ) -> None:
        session = self._sessions.get(asker.session)
        if session is None:
            self._refuse(
                asker.command, Code.ABORTED, Reason.UNKNOWN_SESSION, "the session was closed meanwhile"
            )
            return
        session.seq += 1
        response = Response(
            seq=session.seq,
            type="response",
            request_seq=asker.seq,
            success=success,
            command=asker.request,
            message=UNSET if message is None else message,
            body=body,
        )
        self._out.append(e.Answer(command=asker.command, result=codec.raw(response)))

    def _refuse(self, command: str, code: Code, reason: Reason, message: str) -> None:
        self._out.append(
            e.Answer(command=command, failure=Failure(code=code, reason=reason, message=message))
        )

    def _tell(self, kind: type[bus.Event], session: str | None, cause: str | None, **fields: Any) -> None:
        self._out.append(e.Tell(kind=kind, fields=fields, session=session, cause=cause))

    def _tell_dap(self, event: str, body: dict[str, Any], session: str | None = None) -> None:
        message = codec.raw({"type": "event", "event": event, "body": body})
        self._tell(bus.DapEvent, session, None, message=message)


def _listed(response: Incoming, key: str = "breakpoints") -> list[Any]:
    listed = body_of(response).get(key)
    return listed if isinstance(listed, list) else []


def _read_filters(arguments: dict[str, Any]) -> tuple[str, ...]:
    if arguments.get("exceptionOptions") or arguments.get("filterOptions"):
        raise Refused(
            Code.UNIMPLEMENTED,
            Reason.DAP_NOT_ALLOWED,
            "exceptionOptions and filterOptions are not offered; use filters: raised, uncaught, userUnhandled",
        )
    filters = arguments.get("filters") or []
    if not isinstance(filters, list) or not all(isinstance(each, str) for each in filters):
        raise Refused(Code.INVALID_ARGUMENT, Reason.INVALID_PARAMS, "filters must be a list of names")
    return tuple(filters)
