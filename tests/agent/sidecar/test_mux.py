"""The multiplexer: given sessions and a debugger, when something happens, then exactly these effects."""

from typing import Any

import msgspec
import pytest

from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.dap.channel import Incoming
from sonde_agent.sidecar.mux import MOST_SESSIONS, Mux, State
from sonde_wire import Code, Failure, Reason, bus, codec

PROCESS, BOOT = "default/shop/a", "0" * 32
FILE = "/app/shop.py"


class Bench:
    """A mux, a clock, and pydevd's part played by hand."""

    def __init__(self) -> None:
        self.mux = Mux(PROCESS, BOOT)
        self.now = 100.0
        self.sent: list[dict[str, Any]] = []
        self.answers: dict[str, e.Answer] = {}
        self.told: list[e.Tell] = []
        self.others: list[e.Effect] = []
        self._commands = 0

    def do(self, event: e.Input) -> list[e.Effect]:
        self.others = []
        effects = self.mux.handle(event, self.now)
        for effect in effects:
            match effect:
                case e.Answer():
                    assert effect.command not in self.answers, "answered twice"
                    self.answers[effect.command] = effect
                case e.Tell():
                    self.told.append(effect)
                case e.Send(body):
                    self.sent.append(codec.decode_any(body))
                case _:
                    self.others.append(effect)
        return effects

    def open(self, session: str, viewer: str = "ada", broker: str = "b1") -> str:
        command = f"open {session}"
        self.do(e.OpenAsked(command=command, session=session, viewer=viewer, broker=broker, time=5.0))
        return command

    def connect(self, *early: Incoming) -> None:
        capabilities = {
            "supportsLogPoints": True,
            "supportsTerminateRequest": True,
            "supportsStepBack": False,
        }
        self.do(e.DebuggerConnected(debugpy="1.8.22", capabilities=capabilities, early=early))

    def ask(self, session: str, request: str, viewer: str = "ada", **arguments: Any) -> str:
        self._commands += 1
        command = f"command {self._commands}"
        self.do(
            e.DapAsked(
                command=command,
                session=session,
                viewer=viewer,
                seq=self._commands + 1000,
                request=request,
                arguments=arguments,
                timeout=60,
            )
        )
        return command

    def say(self, event: str, **body: Any) -> None:
        self.do(e.DebuggerSaid(said(event, **body)))

    def respond(self, to: int = -1, *, success: bool = True, **body: Any) -> None:
        """To the request that pydevd got at that place in the order."""
        response = Incoming(
            type="response", request_seq=self.sent[to]["seq"], success=success, body=codec.raw(body)
        )
        self.do(e.DebuggerSaid(response))

    def response(self, command: str) -> dict[str, Any]:
        result = self.answers[command].result
        assert result is not None, self.answers[command].failure
        response = codec.decode_any(result)
        assert isinstance(response, dict)
        return response

    def failure(self, command: str) -> Failure:
        failure = self.answers[command].failure
        assert failure is not None
        return failure

    def dap_events(self, name: str) -> list[tuple[str | None, dict[str, Any]]]:
        events = [
            (t.session, codec.decode_any(t.fields["message"])) for t in self.told if t.kind is bus.DapEvent
        ]
        return [(session, message["body"]) for session, message in events if message["event"] == name]

    def kinds(self) -> list[str]:
        return [each.kind.__name__ for each in self.told]


def said(event: str, **body: Any) -> Incoming:
    return Incoming(type="event", event=event, body=codec.raw(body))


@pytest.fixture
def bench() -> Bench:
    """One session, attached."""
    bench = Bench()
    bench.open("s1")
    bench.connect()
    return bench


def stopped(bench: Bench, thread: int = 1) -> None:
    bench.say("stopped", reason="breakpoint", threadId=thread, allThreadsStopped=False)


# The line's life


def test_the_first_session_connects_and_is_answered_when_the_line_is_there() -> None:
    bench = Bench()
    opening = bench.open("s1")
    assert bench.others == [e.Connect(), e.PresenceChanged()]
    assert opening not in bench.answers and bench.mux.sessions == ()
    bench.connect()
    state = codec.decode(bench.answers[opening].result or b"", bus.SessionState)
    assert codec.decode_any(state.capabilities) == {"supportsLogPoints": True}
    assert (state.session, state.process, state.boot) == ("s1", PROCESS, BOOT)
    assert bench.kinds() == ["DebuggerAttached", "SessionOpened"]
    assert bench.others == [e.PresenceChanged()]


def test_a_late_joiner_gets_the_stops_in_force(bench: Bench) -> None:
    stopped(bench, 1)
    stopped(bench, 2)
    bench.say("continued", threadId=1, allThreadsContinued=False)
    opening = bench.open("s2", viewer="eve")
    state = codec.decode(bench.answers[opening].result or b"", bus.SessionState)
    assert [codec.decode_any(each)["threadId"] for each in state.stops] == [2]
    assert [each.viewer for each in state.sessions] == ["ada", "eve"]


def test_the_last_one_out_lets_go_of_the_debugger(bench: Bench) -> None:
    stopped(bench)
    bench.open("s2")
    bench.do(e.CloseAsked(command="c1", session="s1", viewer="ada"))
    assert e.Disconnect() not in bench.others
    bench.do(e.CloseAsked(command="c2", session="s2", viewer="ada"))
    assert e.Disconnect() in bench.others
    assert (bench.mux.state, bench.mux.stopped_threads) == (State.LEAVING, 0)
    assert bench.kinds()[-2:] == ["SessionClosed", "DebuggerDetached"]
    bench.do(e.DebuggerGone())
    assert bench.mux.state is State.DETACHED


def test_who_comes_while_it_lets_go_is_connected_after(bench: Bench) -> None:
    bench.do(e.CloseAsked(command="c1", session="s1", viewer="ada"))
    opening = bench.open("s2")
    assert bench.others == []
    bench.do(e.DebuggerGone())
    assert e.Connect() in bench.others
    bench.connect()
    assert bench.answers[opening].failure is None


def test_who_left_while_connecting_leaves_no_debugger_behind() -> None:
    bench = Bench()
    opening = bench.open("s1")
    bench.do(e.CloseAsked(command="c1", session="s1", viewer="ada"))
    assert bench.failure(opening).code is Code.ABORTED
    bench.connect()
    assert e.Disconnect() in bench.others


def test_a_debugger_that_does_not_come_is_told_to_all_who_wait() -> None:
    bench = Bench()
    openings = [bench.open("s1"), bench.open("s2")]
    why = Failure(code=Code.UNAVAILABLE, reason=Reason.DEBUGGER_UNAVAILABLE, message="no")
    bench.do(e.DebuggerFailed(why))
    assert [bench.failure(each) for each in openings] == [why, why]
    assert bench.mux.state is State.DETACHED
    bench.open("s1")
    assert e.Connect() in bench.others


def test_a_lost_debugger_closes_every_session_and_asks_nothing_more(bench: Bench) -> None:
    bench.open("s2")
    bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 1}])
    waiting = bench.ask("s1", "threads")
    sent = len(bench.sent)
    bench.do(e.DebuggerGone())
    assert bench.failure(waiting).reason is Reason.DEBUGGER_LOST
    assert len(bench.sent) == sent
    assert bench.kinds()[-3:] == ["DebuggerDetached", "SessionClosed", "SessionClosed"]
    assert bench.mux.sessions == () and e.Disconnect() in bench.others


def test_a_lost_broker_takes_its_sessions_with_it() -> None:
    bench = Bench()
    bench.open("s1", broker="b1")
    bench.connect()
    bench.open("s2", broker="b2")
    bench.do(e.BrokerGone("b1"))
    assert [each.session for each in bench.mux.sessions] == ["s2"]
    assert bench.told[-1].fields["reason"] == "broker_lost"
    bench.do(e.BusGone())
    assert bench.mux.sessions == () and e.Disconnect() in bench.others


def test_an_ended_process_takes_no_more_sessions(bench: Bench) -> None:
    waiting = bench.ask("s1", "threads")
    bench.do(e.ProcessGone())
    assert waiting in bench.answers
    assert [t.fields.get("reason") for t in bench.told[-2:]] == ["process_ended", "process_ended"]
    assert bench.failure(bench.open("s2")).reason is Reason.PROCESS_ENDED
    bench.do(e.DebuggerGone())
    assert bench.mux.state is State.ENDED


def test_sessions_are_bounded_and_unique(bench: Bench) -> None:
    bench.answers.clear()
    assert bench.failure(bench.open("s1")).code is Code.ALREADY_EXISTS
    for number in range(MOST_SESSIONS - 1):
        bench.open(f"more {number}")
    assert bench.failure(bench.open("too many")).reason is Reason.TOO_MANY


# Requests


def test_a_request_goes_under_our_number_and_comes_back_under_the_sessions(bench: Bench) -> None:
    bench.open("s2", viewer="eve")
    first = bench.ask("s1", "threads")
    second = bench.ask("s2", "modules", viewer="eve")
    assert [each["seq"] for each in bench.sent] == [1, 2]
    bench.respond(1, modules=[])
    bench.respond(0, threads=[])
    assert bench.response(first) == {
        "seq": 1,
        "type": "response",
        "request_seq": 1001,
        "success": True,
        "command": "threads",
        "body": {"threads": []},
    }
    assert bench.response(second)["request_seq"] == 1002


def test_another_viewers_session_does_not_exist(bench: Bench) -> None:
    assert bench.failure(bench.ask("s1", "threads", viewer="eve")).reason is Reason.UNKNOWN_SESSION
    bench.do(e.CloseAsked(command="c", session="s1", viewer="eve"))
    assert bench.failure("c").code is Code.NOT_FOUND
    assert bench.sent == []


def test_what_pydevd_would_not_answer_is_not_asked(bench: Bench) -> None:
    assert bench.failure(bench.ask("s1", "loadedSources")).reason is Reason.DAP_NOT_ALLOWED
    assert bench.failure(bench.ask("s1", "exceptionInfo", threadId=1)).reason is Reason.NOT_STOPPED
    assert bench.failure(bench.ask("s1", "next", threadId=1)).reason is Reason.NOT_STOPPED
    stopped(bench, 1)
    assert bench.failure(bench.ask("s1", "next", threadId=2)).reason is Reason.NOT_STOPPED
    assert bench.failure(bench.ask("s1", "next")).reason is Reason.INVALID_PARAMS
    assert bench.sent == []
    bench.ask("s1", "next", threadId=1)
    assert [each["command"] for each in bench.sent] == ["next"]


def test_a_request_without_an_answer_ends_in_no_answer(bench: Bench) -> None:
    waiting = bench.ask("s1", "threads")
    assert bench.mux.next_deadline == bench.now + 10
    bench.now += 10
    bench.do(e.TimePassed())
    assert bench.failure(waiting).reason is Reason.NO_ANSWER
    bench.respond(threads=[])
    assert bench.mux.next_deadline is None


def test_the_sessions_own_life_is_answered_here(bench: Bench) -> None:
    assert bench.response(bench.ask("s1", "initialize"))["body"] == {"supportsLogPoints": True}
    assert bench.response(bench.ask("s1", "attach"))["success"]
    assert bench.dap_events("initialized") == [("s1", {})]
    assert bench.response(bench.ask("s1", "configurationDone"))["success"]
    refused = bench.failure(bench.ask("s1", "disconnect", terminateDebuggee=True))
    assert refused.reason is Reason.DAP_NOT_ALLOWED
    assert bench.response(bench.ask("s1", "disconnect"))["success"]
    assert bench.mux.sessions == () and bench.sent == []


def test_pydevds_refusal_is_passed_on_as_it_is(bench: Bench) -> None:
    asked = bench.ask("s1", "evaluate", expression="x")
    refusal = Incoming(type="response", request_seq=1, success=False, message="NameError: x")
    bench.do(e.DebuggerSaid(refusal))
    response = bench.response(asked)
    assert (response["success"], response["message"]) == (False, "NameError: x")


def test_an_answer_too_large_for_the_bus_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sonde_agent.sidecar.mux.MOST_BODY", 10)
    asked = bench.ask("s1", "evaluate", expression="huge")
    bench.respond(result="x" * 20)
    assert bench.failure(asked).reason is Reason.TOO_MANY


# Stops


def test_continue_while_running_is_answered_here(bench: Bench) -> None:
    response = bench.response(bench.ask("s1", "continue", threadId=1))
    assert response["body"] == {"allThreadsContinued": True} and bench.sent == []


def test_the_second_of_two_continues_does_not_reach_pydevd(bench: Bench) -> None:
    stopped(bench)
    first = bench.ask("s1", "continue", threadId=1)
    second = bench.ask("s1", "continue", threadId=1)
    assert len(bench.sent) == 1
    assert bench.response(second)["body"] == {"allThreadsContinued": True}
    bench.say("continued", threadId=1, allThreadsContinued=False)
    stopped(bench)
    bench.respond(0, allThreadsContinued=True)
    assert bench.response(first)["success"]
    assert bench.mux.stopped_threads == 1
    bench.ask("s1", "continue", threadId=1)
    assert len(bench.sent) == 2


def test_a_continue_that_failed_leaves_the_thread_stopped(bench: Bench) -> None:
    stopped(bench)
    bench.ask("s1", "continue", threadId=1)
    bench.respond(success=False)
    bench.ask("s1", "continue", threadId=1)
    assert len(bench.sent) == 2


def test_a_single_thread_goes_on_alone(bench: Bench) -> None:
    stopped(bench, 1)
    stopped(bench, 2)
    bench.ask("s1", "continue", threadId=1, singleThread=True)
    bench.say("continued", threadId=1, allThreadsContinued=False)
    assert bench.mux.stopped_threads == 1
    bench.ask("s1", "continue", threadId=1, singleThread=True)
    assert len(bench.sent) == 1


def test_a_thread_that_ends_stands_no_more(bench: Bench) -> None:
    stopped(bench, 1)
    bench.say("thread", reason="exited", threadId=1)
    assert bench.mux.stopped_threads == 0 and e.PresenceChanged() in bench.others
    assert bench.dap_events("thread")


def test_what_is_pydevds_own_is_not_passed_on(bench: Bench) -> None:
    before = len(bench.told)
    for event in ("initialized", "process", "terminated", "debugpyAttach", "pydevdInputRequested"):
        bench.say(event)
    assert len(bench.told) == before


# The first stop after a re-attach


@pytest.fixture
def again(bench: Bench) -> Bench:
    """Attached for the second time, and a stop has come that may be old."""
    bench.do(e.CloseAsked(command="c", session="s1", viewer="ada"))
    bench.do(e.DebuggerGone())
    bench.open("s2")
    bench.connect(said("stopped", reason="breakpoint", threadId=1))
    assert bench.mux.stopped_threads == 0
    assert (bench.sent[-1]["command"], bench.sent[-1]["arguments"]["threadId"]) == ("stackTrace", 1)
    return bench


def test_a_stop_that_holds_is_shown(again: Bench) -> None:
    again.respond(stackFrames=[{"id": 7}])
    assert again.sent[-1]["arguments"] == {"expression": "0", "frameId": 7, "context": "watch"}
    again.respond(result="0")
    assert again.mux.stopped_threads == 1 and len(again.dap_events("stopped")) == 1


def test_a_stop_left_over_is_dropped(again: Bench) -> None:
    again.respond(stackFrames=[{"id": 7}])
    again.respond(success=False)
    assert again.mux.stopped_threads == 0 and again.dap_events("stopped") == []
    again.say("stopped", reason="breakpoint", threadId=1)
    assert again.mux.stopped_threads == 1


def test_a_stop_that_ends_while_it_is_checked_is_dropped(again: Bench) -> None:
    again.say("continued", threadId=1, allThreadsContinued=False)
    again.respond(stackFrames=[{"id": 7}])
    assert again.mux.stopped_threads == 0 and len(again.dap_events("stopped")) == 0


def test_in_doubt_a_stop_is_shown(again: Bench) -> None:
    again.now += 5
    again.do(e.TimePassed())
    assert again.mux.stopped_threads == 1


# Breakpoints


def test_pydevd_gets_the_union_and_each_session_its_own_answer(bench: Bench) -> None:
    bench.open("s2")
    bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 9}])
    bench.respond(breakpoints=[{"id": 0, "verified": True, "line": 9}])
    asked = bench.ask("s2", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 5}, {"line": 9}])
    assert [each["line"] for each in bench.sent[-1]["arguments"]["breakpoints"]] == [9, 5]
    bench.respond(
        breakpoints=[{"id": 1, "verified": True, "line": 9}, {"id": 2, "verified": False, "line": 5}]
    )
    shown = bench.response(asked)["body"]["breakpoints"]
    assert [(each["line"], each["verified"]) for each in shown] == [(5, False), (9, True)]
    bench.say("stopped", reason="breakpoint", threadId=1, hitBreakpointIds=[1])
    assert bench.dap_events("stopped")[0][1]["hitBreakpointIds"] == [shown[1]["id"]]
    bench.say("breakpoint", reason="changed", breakpoint={"id": 2, "verified": True, "line": 6})
    ((session, body),) = bench.dap_events("breakpoint")
    assert session == "s2" and body["breakpoint"]["id"] == shown[0]["id"] and body["breakpoint"]["verified"]


def test_a_session_that_leaves_takes_only_its_own(bench: Bench) -> None:
    bench.open("s2")
    bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 5}])
    bench.ask("s2", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 5}, {"line": 9}])
    bench.ask("s1", "setExceptionBreakpoints", filters=["raised"])
    bench.sent.clear()
    bench.do(e.CloseAsked(command="c", session="s1", viewer="ada"))
    assert [(each["command"], each.get("arguments")) for each in bench.sent] == [
        ("setExceptionBreakpoints", {"filters": []})
    ]


def test_an_unchanged_union_is_answered_here(bench: Bench) -> None:
    bench.open("s2")
    bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 5}])
    bench.respond(breakpoints=[{"id": 0, "verified": True, "line": 5}])
    asked = bench.ask("s2", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 5}])
    assert len(bench.sent) == 1
    assert bench.response(asked)["body"]["breakpoints"][0]["verified"]


def test_malformed_breakpoints_and_options_are_refused(bench: Bench) -> None:
    assert bench.failure(bench.ask("s1", "setBreakpoints")).reason is Reason.INVALID_PARAMS
    options = bench.ask("s1", "setExceptionBreakpoints", filters=[], exceptionOptions=[{"path": []}])
    assert bench.failure(options).reason is Reason.DAP_NOT_ALLOWED
    assert bench.sent == []


def test_an_answer_for_a_session_that_closed_meanwhile_goes_nowhere_wrong(bench: Bench) -> None:
    bench.open("s2")
    asked = bench.ask("s1", "threads")
    bench.do(e.CloseAsked(command="c", session="s1", viewer="ada"))
    bench.respond(threads=[])
    assert bench.failure(asked).code is Code.ABORTED
    assert isinstance(bench.answers["c"].result, msgspec.Raw)


def test_two_lists_in_flight_are_each_answered_with_their_own(bench: Bench) -> None:
    first = bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 5}, {"line": 9}])
    second = bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 9}])
    bench.respond(-2, breakpoints=[{"id": 0, "verified": True}, {"id": 1, "verified": True}])
    bench.respond(-1, breakpoints=[{"id": 2, "verified": True}])
    shown = [each["verified"] for each in bench.response(first)["body"]["breakpoints"]]
    assert shown == [False, True]
    assert [each["line"] for each in bench.response(second)["body"]["breakpoints"]] == [9]


def test_a_union_that_pydevd_has_not_confirmed_is_sent_again(bench: Bench) -> None:
    asked: dict[str, Any] = {"source": {"path": FILE}, "breakpoints": [{"line": 5}]}
    bench.open("s2")
    bench.ask("s1", "setBreakpoints", **asked)
    second = bench.ask("s2", "setBreakpoints", **asked)  # while the first is on its way
    assert len(bench.sent) == 2 and second not in bench.answers
    bench.now += 60
    bench.do(e.TimePassed())
    assert bench.failure(second).reason is Reason.NO_ANSWER
    again = bench.ask("s1", "setBreakpoints", **asked)
    bench.respond(breakpoints=[{"id": 3, "verified": True, "line": 5}])
    assert bench.response(again)["body"]["breakpoints"][0]["verified"]
    bench.ask("s1", "setBreakpoints", **asked)
    assert len(bench.sent) == 3
    bench.ask("s1", "setExceptionBreakpoints", filters=["raised"])
    bench.respond(success=False)
    bench.ask("s1", "setExceptionBreakpoints", filters=["raised"])
    bench.respond()
    bench.ask("s1", "setExceptionBreakpoints", filters=["raised"])
    assert len(bench.sent) == 5


def test_a_stop_in_doubt_is_not_shown_when_everybody_leaves(bench: Bench) -> None:
    bench.do(e.CloseAsked(command="c", session="s1", viewer="ada"))
    bench.do(e.DebuggerGone())
    bench.open("s2")
    bench.connect()
    bench.say("stopped", threadId=7, reason="breakpoint")
    bench.do(e.CloseAsked(command="d", session="s2", viewer="ada"))
    assert bench.dap_events("stopped") == []


def test_a_sidecar_that_leaves_takes_nobody_in_any_more(bench: Bench) -> None:
    bench.do(e.SidecarLeaves())
    assert e.Disconnect() in bench.others
    bench.do(e.DebuggerGone())
    late = bench.open("s2")
    assert bench.failure(late).reason is Reason.DEBUGGER_LOST
    assert bench.mux.state is State.ENDED and e.Connect() not in bench.others


def test_a_debugger_that_comes_when_the_sidecar_has_left_is_sent_away() -> None:
    bench = Bench()
    opening = bench.open("s1")
    bench.do(e.SidecarLeaves())
    assert bench.failure(opening).reason is Reason.DEBUGGER_LOST
    bench.connect()
    assert e.Disconnect() in bench.others and bench.kinds() == []
