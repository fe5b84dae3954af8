"""Whatever sessions, pydevd and time do, in whatever order: what always holds.

pydevd is a model of its own here: it takes requests in their order when it likes, threads hit what it has armed,
and it can hang, hang up or stay away.
"""

from collections import deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.dap.channel import Incoming
from sonde_agent.sidecar.line import State
from sonde_agent.sidecar.mux import Mux
from sonde_wire import Code, Failure, Reason, bus, codec
from tests.agent.sidecar.by_hand import BOOT, PROCESS, answer, said

LEASE, LONGEST = 20.0, 60.0
THREADS = (1, 2, 3)
FILES = ("/app/a.py", "/app/b.py")
sessions = st.sampled_from(["s1", "s2", "s3"])
threads = st.sampled_from(THREADS)
files = st.sampled_from(FILES)
lines = st.lists(st.integers(1, 3), unique=True)


class Pydevd:
    """One line of it. `hear` what the mux sends; `step` works on one request; what it says is collected."""

    def __init__(self) -> None:
        self.inbox: deque[dict[str, Any]] = deque()
        self.armed: dict[str, list[int]] = {}
        self.filters: list[str] = []
        self.standing: set[int] = set()
        self.hangs = False
        self._id = 0

    def hit(self, thread: int, file: str) -> list[Incoming]:
        if self.hangs or thread in self.standing or not self.armed.get(file):
            return []
        self.standing.add(thread)
        return [said("stopped", reason="breakpoint", threadId=thread)]

    def step(self) -> list[Incoming]:
        if self.hangs or not self.inbox:
            return []
        request = self.inbox.popleft()
        arguments, seq = request.get("arguments", {}), request["seq"]
        match request["command"]:
            case "setBreakpoints":
                asked = arguments["breakpoints"]
                self.armed[arguments["source"]["path"]] = [each["line"] for each in asked]
                self._id += len(asked)
                numbered = [{"id": self._id + at, "verified": True} for at in range(len(asked))]
                return [answer(seq, breakpoints=numbered)]
            case "setExceptionBreakpoints":
                self.filters = arguments["filters"]
                return [answer(seq)]
            case "continue":
                ran, self.standing = self.standing, set()
                return [answer(seq, allThreadsContinued=True), *map(_continued, sorted(ran))]
            case "next":
                thread = arguments["threadId"]
                runs = thread in self.standing
                self.standing.discard(thread)
                return [answer(seq), *([_continued(thread)] if runs else [])]
            case "stackTrace":
                stands = arguments["threadId"] in self.standing
                return [answer(seq, stackFrames=[{"id": arguments["threadId"], "line": 1}] if stands else [])]
            case "threads":
                return [answer(seq, threads=[{"id": each, "name": "t"} for each in THREADS])]
            case _:
                return [answer(seq)]


def _continued(thread: int) -> Incoming:
    return said("continued", threadId=thread, allThreadsContinued=False)


class Always(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.mux = Mux(PROCESS, BOOT, lease=LEASE, longest_stop=LONGEST)
        self.now = 0.0
        self.pydevd: Pydevd | None = None
        self.connecting = self.leaving = False
        self.commands = 0
        self.waiting: set[str] = set()
        self.wanted: dict[str, dict[str, set[int]]] = {file: {} for file in FILES}
        self.asleep = False
        self.seen: set[int] = set()
        """Threads that a session sees stand, by the events alone."""

    # performing

    def do(self, event: e.Input) -> None:
        for effect in self.mux.handle(event, self.now):
            match effect:
                case e.Answer(command=command):
                    assert command in self.waiting, "answered twice, or never asked"
                    self.waiting.discard(command)
                case e.Send(body):
                    if self.pydevd is not None:
                        self.pydevd.inbox.append(codec.decode_any(body))
                case e.Connect():
                    assert not self.connecting and not self.leaving and self.pydevd is None
                    self.connecting = True
                case e.Disconnect():
                    self.pydevd = None
                    self.leaving = True
                case e.Hold(seconds=seconds):
                    assert 0 < seconds <= LEASE, "the tap refuses more than the longest lease"
                case e.Tell():
                    self.told(effect)
                case e.Interrupt() | e.PresenceChanged():
                    pass

    def told(self, event: e.Tell) -> None:
        if event.kind is bus.LeaseChanged:
            self.asleep = event.fields["state"] == "lapsed"
        elif event.kind is bus.SessionClosed:
            if not self.mux.sessions:  # nobody is left who sees anything
                self.seen.clear()
        elif event.kind is bus.StopLocated:
            assert event.fields["thread"] in self.seen and not self.asleep
        elif event.kind is bus.DapEvent:
            message = codec.decode_any(event.fields["message"])
            thread = message["body"].get("threadId")
            if message["event"] == "stopped":
                self.seen.add(thread)
            elif message["event"] == "continued":
                self.seen.discard(thread)

    def ask(self, kind: type[Any], session: str, **fields: Any) -> None:
        self.commands += 1
        command = f"command {self.commands}"
        self.waiting.add(command)
        self.do(kind(command=command, session=session, viewer="ada", **fields))

    def dap(self, session: str, request: str, **arguments: Any) -> None:
        self.ask(e.DapAsked, session, seq=1, request=request, arguments=arguments, timeout=30.0)

    def say(self, messages: list[Incoming]) -> None:
        for message in messages:
            if self.pydevd is not None:
                self.do(e.DebuggerSaid(message))

    # what sessions do

    @initialize()
    def begin(self) -> None:
        """Something to begin with, or most runs would be about nothing."""
        self.opens("s1")
        self.connected()
        self.steps(3)
        self.sets("s1", FILES[0], [1])
        self.steps(3)

    @rule(session=sessions)
    def opens(self, session: str) -> None:
        self.ask(e.OpenAsked, session, broker="b", time=0.0)

    @rule(session=sessions)
    def closes(self, session: str) -> None:
        here = {each.session for each in self.mux.sessions}
        self.ask(e.CloseAsked, session)
        if session in here:
            for wanted in self.wanted.values():
                wanted.pop(session, None)

    @rule(session=sessions, file=files, at=lines)
    def sets(self, session: str, file: str, at: list[int]) -> None:
        if session in {each.session for each in self.mux.sessions}:
            self.wanted[file][session] = set(at)
        self.dap(session, "setBreakpoints", source={"path": file}, breakpoints=[{"line": x} for x in at])

    @rule(
        session=sessions, thread=threads, request=st.sampled_from(["continue", "next", "evaluate", "modules"])
    )
    def asks(self, session: str, thread: int, request: str) -> None:
        self.dap(session, request, threadId=thread)

    @rule(session=sessions)
    def renews(self, session: str) -> None:
        self.ask(e.RenewAsked, session)

    @rule(
        session=sessions, to=st.none() | sessions, action=st.sampled_from(["take", "release", "ask", "grant"])
    )
    def sits(self, session: str, to: str | None, action: bus.SeatAction) -> None:
        self.ask(e.SeatAsked, session, action=action, to=to)

    # what pydevd does

    @rule(thread=threads, file=files)
    def hits(self, thread: int, file: str) -> None:
        if self.pydevd is not None:
            self.say(self.pydevd.hit(thread, file))

    @rule(count=st.integers(1, 6))
    def steps(self, count: int) -> None:
        for _ in range(count):
            if self.pydevd is not None:
                self.say(self.pydevd.step())

    @rule()
    def hangs(self) -> None:
        if self.pydevd is not None:
            self.pydevd.hangs = True

    @precondition(lambda self: self.pydevd is not None)
    @rule()
    def breaks(self) -> None:
        self.pydevd = None
        self.do(e.LineLost())

    @precondition(lambda self: self.leaving)
    @rule()
    def is_gone(self) -> None:
        self.leaving = False
        self.do(e.DebuggerGone())

    @precondition(lambda self: self.connecting)
    @rule()
    def connected(self) -> None:
        self.connecting = False
        self.pydevd = Pydevd()
        self.do(e.DebuggerConnected(debugpy="1", capabilities={}))

    @precondition(lambda self: self.connecting)
    @rule()
    def stays_away(self) -> None:
        self.connecting = False
        self.do(e.DebuggerFailed(Failure(code=Code.UNAVAILABLE, reason=Reason.TAP_LOST, message="no")))

    @rule(seconds=st.floats(0.1, 15, allow_nan=False))
    def passes(self, seconds: float) -> None:
        until = self.now + seconds
        while (deadline := self.mux.next_deadline) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.do(e.TimePassed())
            assert self.mux.next_deadline is None or self.mux.next_deadline > self.now, "it spins"
        self.now = until

    @rule()
    def nobody_is_there(self) -> None:
        """The promise: within lease + 1 s, whatever pydevd does."""
        if self.pydevd is not None and not self.pydevd.hangs:
            self.steps(len(self.pydevd.inbox))
        stood = self.mux.stopped_threads
        self.passes(LEASE + 1)
        if self.pydevd is not None and not self.pydevd.hangs:
            self.steps(len(self.pydevd.inbox))
        if stood:
            assert self.mux.stopped_threads == 0
            assert self.pydevd is None or not self.pydevd.standing

    # what always holds

    @invariant()
    def what_stands_has_a_deadline(self) -> None:
        if self.mux.stopped_threads:
            deadline = self.mux.next_deadline
            assert deadline is not None and deadline <= self.now + LEASE
            assert self.mux.state is State.ATTACHED

    @invariant()
    def the_driver_is_an_open_session(self) -> None:
        assert self.mux.driver in {None, *(each.session for each in self.mux.sessions)}

    @invariant()
    def when_pydevd_has_done_its_work_both_know_the_same(self) -> None:
        if self.pydevd is None or self.pydevd.inbox or self.mux.state is not State.ATTACHED:
            return
        here = {each.session for each in self.mux.sessions}
        for file, wanted in self.wanted.items():
            union = set().union(*(at for session, at in wanted.items() if session in here))
            assert set(self.pydevd.armed.get(file, ())) == (set() if self.asleep else union)
        assert self.mux.stopped_threads == len(self.pydevd.standing)
        if not self.asleep:
            assert self.seen == self.pydevd.standing, "no stop is lost, and none is shown that is none"

    def teardown(self) -> None:
        """Once everything has gone its way, every command has had its one answer."""
        if self.pydevd is not None:
            self.pydevd.hangs = False
        self.do(e.SidecarLeaves())
        assert not self.waiting
        assert self.mux.sessions == () and self.mux.stopped_threads == 0


Always.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAlways = Always.TestCase
