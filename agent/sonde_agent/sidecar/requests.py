"""The one conversation with pydevd: the requests of all sessions go into it, its answers and events come out. Pure.

Only requests of `sonde_wire.dap.RULES` get here, and those that need a stopped thread only while one stands:
pydevd would not answer them. `continue` with nothing to continue is answered here; so are two in a row (see
`stops`), and breakpoints that change nothing for pydevd. Each request has a deadline:

    asked --answer--> relayed
      +--deadline, and it can run the program's code--> INTERRUPTED --a refusal--> told so; --nothing--> NO_ANSWER
      +--deadline, any other--> NO_ANSWER, and pydevd is probed with `threads`: it answers that at once as long as
                                it lives at all; without an answer the line is `Wedged`
"""

from typing import Any, assert_never

from sonde_agent.sidecar import asks, filters
from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.asks import (
    Asker,
    Check,
    Forward,
    Interrupted,
    Join,
    Joined,
    Locate,
    Outcome,
    Probe,
    Resume,
    SetBreakpoints,
    SetFilters,
    Tag,
    Wedged,
)
from sonde_agent.sidecar.breakpoints import Breakpoints, Place, Spec, read_place, read_specs
from sonde_agent.sidecar.dap.channel import Asked, Channel, Incoming, body_of
from sonde_agent.sidecar.doubt import WITHIN, Doubt, Question
from sonde_agent.sidecar.locating import WITHIN as LOCATE_WITHIN
from sonde_agent.sidecar.locating import Locating
from sonde_agent.sidecar.redacting import Redacting
from sonde_agent.sidecar.sessions import Sessions
from sonde_agent.sidecar.stops import Stops
from sonde_wire import Code, Failure, MalformedMessage, Reason, Refused, bus, codec, dap

GRACE = 2.0
"""Seconds that an interrupted request has to come back."""
PROBE_WITHIN = 2.0
JOIN_WITHIN = 2.0
"""Seconds for the threads that a late joiner is told; without an answer it joins without them."""

SETS = frozenset({"setBreakpoints", "setFunctionBreakpoints", "setExceptionBreakpoints"})
_RUNS_CODE = frozenset(
    {"evaluate", "variables", "setVariable", "setExpression", "completions", "exceptionInfo"}
)
_EVENTS_FOR_ALL = frozenset({"thread", "output", "module"})
_ONE_THREAD = frozenset({"next", "stepIn", "stepOut", "goto", "exceptionInfo"})
_STEPS = frozenset({"next", "stepIn", "stepOut"})


class Requests:
    """`now` is to be set before anything is called; nothing may be asked while there is no line."""

    def __init__(self, sessions: Sessions, evaluation_limit: float, redacting: Redacting) -> None:
        self.now = 0.0
        self.stops = Stops()
        self.breakpoints = Breakpoints()
        self._filters = filters.Filters()
        self._sessions = sessions
        self._redacting = redacting
        self._limit = evaluation_limit
        self._channel: Channel[Tag] = Channel()
        self._doubt = Doubt()
        self._locating = Locating()
        self._lines = 0
        self._probing = False

    @property
    def next_deadline(self) -> float | None:
        return self._channel.next_deadline

    # The line -------------------------------------------------------------------------------------------------

    def attached(self) -> None:
        """On a new line: what the sessions have is set."""
        self._channel = Channel()
        self._probing = False
        self._doubt.begin(self._lines > 0)
        self._locating.begin()
        self._lines += 1
        if self.breakpoints.armed:
            self._send_all()

    def dropped(self, why: Failure, *, told: bool) -> None:
        """Everything runs. Who waits is answered; sessions that go on see what stood run, if they are `told`."""
        self._doubt.over(None)
        self._locating.begin()
        for asked in self._channel.abandon():
            if (asker := _asker(asked.tag)) is not None:
                self._sessions.fail(asker.command, why)
        stood = self.stops.bodies if told else ()
        self.stops.gone(None)
        self._redacting.forget()
        for body in stood:
            self._sessions.tell_dap("continued", {"threadId": body["threadId"], "allThreadsContinued": False})
        self.breakpoints.lost()
        self._filters.lost()

    def over(self) -> None:
        """Nobody debugs any more."""
        self.breakpoints.clear()
        self._filters.clear()

    def join(self, session: str) -> None:
        self._ask("threads", {}, Join(session), self.now + JOIN_WITHIN)

    def opened(self, session: str) -> None:
        """It is told where what stands does, which no event after its beginning would say."""
        for thread in self.stops.standing() if self.breakpoints.armed else ():
            if place := self._locating.place(thread):
                self._sessions.tell(bus.StopLocated, session, **place)
            self._locate(thread)

    def forget(self, session: str, attached: bool) -> None:
        """Takes what a session had away, and nothing else."""
        places = self.breakpoints.places_of(session)
        changed = self.breakpoints.forget(session)
        filtered = self._filters.forget(session)
        for place in places:
            self._sessions.tell_breakpoints(self.breakpoints.news(place))
        if attached:
            for place in changed:
                self._send_breakpoints(place, None)
            if filtered:
                self._send_filters(None)

    # Sleep ----------------------------------------------------------------------------------------------------

    def sleep(self) -> None:
        """Everything runs on and nothing stops: breakpoints first, so that nobody meets one again at once."""
        self.breakpoints.armed = self._filters.armed = False
        self._send_all()
        for asked in self._channel.waiting:
            if isinstance(asked.tag, Forward) and asked.tag.runs_code:
                self._interrupt(asked, asked.tag.asker)
        self.let_run()

    def let_run(self) -> None:
        """What stands, and what may stand."""
        threads = (*self.stops.standing(), *self._doubt.threads)
        self._doubt.over(None)
        if threads:
            self.stops.resuming(threads)
            self._ask("continue", {"threadId": threads[0]}, Resume(None, threads))

    def wake(self, attached: bool) -> None:
        self.breakpoints.armed = self._filters.armed = True
        if attached:
            self._send_all()
        for body in self.stops.show():
            self._tell_stopped(body)

    # Requests of sessions -------------------------------------------------------------------------------------

    def resumes_nothing(self, request: str, arguments: dict[str, Any]) -> bool:
        """A `continue` that came when everything ran already."""
        return request == "continue" and not self.stops.standing(_one_thread(arguments))

    def check(self, rule: dap.Rule, request: str, arguments: dict[str, Any]) -> None:
        """Raises `Refused`."""
        if not rule.stopped_only:
            return
        thread = arguments.get("threadId") if request in _ONE_THREAD else None
        if request in _ONE_THREAD and type(thread) is not int:
            raise Refused(
                Code.INVALID_ARGUMENT, Reason.INVALID_PARAMS, f"{request} needs a threadId, a number"
            )
        if not self.stops.standing(thread):
            which = "no thread is stopped" if thread is None else f"thread {thread} is not stopped"
            raise Refused(
                Code.FAILED_PRECONDITION,
                Reason.NOT_STOPPED,
                f"{which}: pause it, or wait for a breakpoint, before {request}",
            )

    def forward(self, rule: dap.Rule, asker: Asker, arguments: dict[str, Any], timeout: float) -> None:
        """What was checked. Raises `Refused`."""
        runs_code = asker.request in _RUNS_CODE
        within = min(rule.deadline, timeout)
        if runs_code:  # what comes of the interruption is to be told while the asker still waits
            within = min(rule.deadline, self._limit, timeout - min(GRACE, timeout / 4))
        deadline = self.now + within
        match asker.request:
            case request if request in SETS:
                self._set(asker, arguments, deadline)
            case "continue":
                one = _one_thread(arguments)
                threads = self.stops.standing(one)
                if threads:
                    self._resume(asker, arguments, threads, deadline)
                else:
                    self._sessions.respond(asker, {"allThreadsContinued": one is None})
            case request if request in _STEPS:
                self._resume(asker, arguments, (arguments["threadId"],), deadline)
            case _:
                self._ask(asker.request, arguments, Forward(asker, runs_code), deadline)

    def remember(self, asker: Asker, arguments: dict[str, Any]) -> None:
        """Breakpoints while the line is being made again: they are set with it. Raises `Refused`."""
        self._set(asker, arguments, None)

    def _set(self, asker: Asker, arguments: dict[str, Any], deadline: float | None) -> None:
        """No deadline: not now."""
        if asker.request == "setExceptionBreakpoints":
            news = self._filters.replace(asker.session, filters.read(arguments))
            if news and deadline is not None:
                self._send_filters(asker, deadline)
            else:
                self._sessions.respond(asker)
            return
        place = read_place(arguments) if asker.request == "setBreakpoints" else None
        own = read_specs(arguments, place)
        if self.breakpoints.replace(asker.session, place, own) and deadline is not None:
            self._send_breakpoints(place, asker, deadline, own)
        else:
            self._sessions.respond(asker, {"breakpoints": self.breakpoints.shown(asker.session, place)})
            self._sessions.tell_breakpoints(self.breakpoints.news(place), asker.session)

    def _resume(
        self, asker: Asker, arguments: dict[str, Any], threads: tuple[int, ...], deadline: float
    ) -> None:
        self.stops.resuming(threads)
        self._ask(asker.request, arguments, Resume(asker, threads), deadline)

    def _send_all(self) -> None:
        for place in self.breakpoints.places:
            self._send_breakpoints(place, None)
        if self._filters.in_use:
            self._send_filters(None)

    def _send_breakpoints(
        self, place: Place, asker: Asker | None, deadline: float | None = None, own: tuple[Spec, ...] = ()
    ) -> None:
        request, arguments = self.breakpoints.to_request(place)
        tag = SetBreakpoints(asker, place, self.breakpoints.at_pydevd(place), own)
        self._ask(request, arguments, tag, deadline)

    def _send_filters(self, asker: Asker | None, deadline: float | None = None) -> None:
        tag = SetFilters(asker, self._filters.at_pydevd())
        self._ask("setExceptionBreakpoints", self._filters.to_request(), tag, deadline)

    def _ask(self, request: str, arguments: dict[str, Any], tag: Tag, deadline: float | None = None) -> None:
        if deadline is None:
            deadline = self.now + dap.RULES[request].deadline
        body = self._channel.ask(request, arguments, tag, deadline, self.now)
        self._sessions.out.append(e.Send(body))

    # What becomes of them -------------------------------------------------------------------------------------

    def said(self, message: Incoming) -> list[Outcome]:
        asked = self._channel.answered(message) if message.type == "response" else None
        try:
            if asked is not None:
                return self._answered(asked, message)
            if message.type == "event":
                self._event(message.event, self._redacting.event(message.event, body_of(message)))
        except MalformedMessage:  # before anything was made of it
            if asked is not None and (asker := _asker(asked.tag)) is not None:
                self._sessions.fail(asker.command, asks.lost_meanwhile())
            return [Wedged()]
        return []

    def expired(self) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for asked in self._channel.expired(self.now):
            outcomes += self._unanswered(asked)
        return outcomes

    def _answered(self, asked: Asked[Tag], response: Incoming) -> list[Outcome]:
        match asked.tag:
            case Forward(asker):
                self._sessions.relay(asker, response)
            case Interrupted(asker, after):
                if response.success:  # it was quicker
                    self._sessions.relay(asker, response)
                else:
                    stands = bool(self.stops.standing())
                    failure = asks.interrupted(asked.command, after, stands=stands)
                    self._sessions.fail(asker.command, failure)
            case Resume(asker, threads):
                if not response.success:
                    self.stops.not_resumed(threads)
                if asker is not None:
                    self._sessions.relay(asker, response)
            case SetBreakpoints(asker, place, sent, own):
                if response.success:
                    self.breakpoints.learn(place, sent, _listed(response, "breakpoints"))
                if asker and response.success:
                    shown = self.breakpoints.shown(asker.session, place, own)
                    self._sessions.respond(asker, {"breakpoints": shown})
                elif asker:
                    self._sessions.relay(asker, response)
                self._sessions.tell_breakpoints(
                    self.breakpoints.news(place), asker.session if asker else None
                )
            case SetFilters(asker, sent):
                if response.success:
                    self._filters.learn(sent)
                if asker:
                    self._sessions.relay(asker, response)
            case Check():
                self._doubted(self._doubt.answered(asked.tag, response))
            case Locate(thread):
                where = self._locating.answered(asked.tag, response)
                if where and self.breakpoints.armed:
                    self._sessions.tell(bus.StopLocated, **where)
                self._locate(thread)
            case Join(session):
                listed = self._redacting.threads(_listed(response, "threads"))
                return [Joined(session, tuple(codec.raw(each) for each in listed))]
            case Probe():
                self._probing = False
            case _:
                assert_never(asked.tag)
        return []

    def _unanswered(self, asked: Asked[Tag]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        match asked.tag:
            case Forward(runs_code=True):
                self._interrupt(asked, asked.tag.asker)
                return []
            case Interrupted():
                failure = asks.not_interrupted(asked.command, asked.tag.after)
                self._sessions.fail(asked.tag.asker.command, failure)
                return []
            case Probe():
                return [Wedged()]
            case Check():
                self._doubted(self._doubt.unanswered(asked.tag))
            case Locate(thread):
                self._locating.unanswered(asked.tag)
                self._locate(thread)
                return []
            case Join(session):
                outcomes = [Joined(session, ())]
            case Resume(_, threads):
                self.stops.not_resumed(threads)
            case _:
                pass
        if (asker := _asker(asked.tag)) is not None:
            self._sessions.fail(asker.command, asks.no_answer(asked.command))
        self._probe(asked)
        return outcomes

    def _interrupt(self, asked: Asked[Tag], asker: Asker) -> None:
        tag = Interrupted(asker, self.now - asked.since)
        self._channel.wait_again(asked, tag, self.now + GRACE)
        self._sessions.out.append(e.Interrupt(asked.seq))

    def _probe(self, asked: Asked[Tag]) -> None:
        """Not before the request had its own time, whatever its asker gave it: the process may just be busy."""
        if not self._probing:
            self._probing = True
            had = asked.since + dap.RULES[asked.command].deadline
            self._ask("threads", {}, Probe(), max(self.now + PROBE_WITHIN, had))

    # What pydevd tells ----------------------------------------------------------------------------------------

    def _event(self, name: str, body: dict[str, Any]) -> None:
        thread = body.get("threadId")
        match name:
            case "stopped" if isinstance(thread, int):
                if "hitBreakpointIds" in body:
                    ids = body["hitBreakpointIds"]
                    ours = self.breakpoints.ours(ids if isinstance(ids, list) else [])
                    body = {**body, "hitBreakpointIds": ours}
                question = self._doubt.stopped(thread, body) if self.breakpoints.armed else None
                self._doubted(question or body)
            case "continued":
                everything = body.get("allThreadsContinued") is True or not isinstance(thread, int)
                self._went_on(None if everything else thread, name, body)
            case "breakpoint":
                changed = body.get("breakpoint")
                for place in self.breakpoints.note_changed(changed) if isinstance(changed, dict) else ():
                    self._sessions.tell_breakpoints(self.breakpoints.news(place))
            case "thread" if body.get("reason") == "exited" and isinstance(thread, int):
                self._went_on(thread, name, body)
            case _ if name in _EVENTS_FOR_ALL:
                self._sessions.tell_dap(name, body)
            case _:
                return  # pydevd's own, or about a session's life, which is not pydevd's to tell

    def _went_on(self, thread: int | None, event: str, body: dict[str, Any]) -> None:
        hidden = event == "continued" and thread is not None and self.stops.is_hidden(thread)
        self._doubt.over(thread)
        self._locating.over(thread)
        self.stops.gone(thread)
        if not self.stops:
            self._redacting.forget()
        if not hidden:
            self._sessions.tell_dap(event, body)

    def _doubted(self, verdict: Question | dict[str, Any] | None) -> None:
        """A question to ask, or a stop to show. One that came while breakpoints sleep is not shown."""
        if isinstance(verdict, Question):
            self._ask(verdict.command, verdict.arguments, verdict.check, self.now + WITHIN)
        elif verdict is not None:
            shown = self.breakpoints.armed
            self.stops.stopped(verdict["threadId"], verdict, shown=shown)
            if shown:
                self._tell_stopped(verdict)

    def _tell_stopped(self, body: dict[str, Any]) -> None:
        self._sessions.tell_dap("stopped", body)
        self._locating.stopped(body["threadId"], body)
        self._locate(body["threadId"])

    def _locate(self, thread: int) -> None:
        """After everything that is said of the stop, and for nobody when nobody is there to see it."""
        if self.breakpoints.armed and self._sessions.infos and self.stops.standing(thread):
            question = self._locating.ask(thread)
            if question is not None:
                arguments = {"threadId": thread, "startFrame": 0, "levels": 1}
                self._ask("stackTrace", arguments, question, self.now + LOCATE_WITHIN)


def _asker(tag: Tag) -> Asker | None:
    return None if isinstance(tag, Check | Locate | Join | Probe) else tag.asker


def _one_thread(arguments: dict[str, Any]) -> int | None:
    return arguments.get("threadId") if arguments.get("singleThread") is True else None


def _listed(response: Incoming, key: str) -> list[Any]:
    listed = body_of(response).get(key) if response.success else None
    return listed if isinstance(listed, list) else []
