"""The multiplexer: given sessions and a debugger, when something happens, then exactly these effects."""

from typing import Any

import msgspec
import pytest

from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.dap.channel import Incoming
from sonde_agent.sidecar.line import State
from sonde_agent.sidecar.sessions import MOST_SESSIONS
from sonde_wire import Code, Failure, Reason, bus, codec
from tests.agent.sidecar.by_hand import BOOT, FILE, PROCESS, THREAD, Bench, said, stopped


@pytest.fixture
def bench() -> Bench:
    """One session, attached."""
    bench = Bench()
    bench.open("s1")
    bench.connect()
    return bench


# The line's life


def test_the_first_session_connects_and_is_answered_when_the_line_and_the_threads_are_there() -> None:
    bench = Bench(slow=True)
    opening = bench.open("s1")
    assert bench.others == [e.Connect(), e.PresenceChanged()]
    bench.connect()
    assert bench.kinds() == ["DebuggerAttached"] and not bench.told[0].fields["again"]
    assert opening not in bench.answers and bench.mux.sessions == ()
    assert [each["command"] for each in bench.sent] == ["threads"]
    bench.respond(threads=[THREAD])
    state = bench.state(opening)
    assert codec.decode_any(state.capabilities) == {"supportsLogPoints": True}
    assert (state.session, state.process, state.boot) == ("s1", PROCESS, BOOT)
    assert [codec.decode_any(each) for each in state.threads] == [THREAD]
    assert (state.driver, state.asking, state.lease, state.asleep) == (None, (), None, False)
    assert bench.kinds() == ["DebuggerAttached", "SessionOpened"]
    assert bench.others == [e.PresenceChanged()]


def test_a_session_joins_without_the_threads_when_pydevd_does_not_name_them() -> None:
    bench = Bench(slow=True)
    opening = bench.open("s1")
    bench.connect()
    bench.wait(2)
    assert bench.state(opening).threads == ()


def test_a_session_is_told_of_by_the_name_and_the_metadata_that_its_viewer_gave_it(bench: Bench) -> None:
    bench.open("s2", name="why is it slow", metadata={"ticket": "SHOP-7"})
    opened = bench.events(bus.SessionOpened)[-1]
    assert (opened.viewer, opened.name, opened.metadata) == ("ada", "why is it slow", {"ticket": "SHOP-7"})
    assert [each.name for each in bench.mux.sessions] == ["", "why is it slow"]


def test_what_the_program_prints_is_a_kind_of_event_of_its_own(bench: Bench) -> None:
    bench.say("output", category="stdout", output="hello")
    bench.say("thread", reason="started", threadId=7)
    printed, started = bench.told[-2:]
    assert (printed.kind, started.kind) == (bus.Output, bus.DapEvent)
    message = codec.decode_any(printed.fields["message"])
    assert (message["type"], message["event"], message["body"]["output"]) == ("event", "output", "hello")


def test_a_text_that_no_broker_would_take_is_cut(bench: Bench) -> None:
    bench.say("output", category="stdout", output="\0" * 3_000_000)
    ((_, body),) = bench.dap_events("output")
    assert body["output"].endswith("... (2900000 characters more)\n")
    assert len(codec.encode(body)) < 900_000


def test_a_session_that_is_not_open_yet_can_ask_nothing(bench: Bench) -> None:
    bench.slow = True
    bench.open("s2")
    assert bench.failure(bench.ask("s2", "threads")).code is Code.UNAVAILABLE
    assert bench.failure(bench.seat("s2", "take")).code is Code.UNAVAILABLE


def test_a_late_joiner_gets_the_stops_in_force(bench: Bench) -> None:
    stopped(bench, 1)
    stopped(bench, 2)
    bench.say("continued", threadId=1, allThreadsContinued=False)
    opening = bench.open("s2", viewer="eve")
    state = bench.state(opening)
    assert [codec.decode_any(each)["threadId"] for each in state.stops] == [2]
    assert [each.viewer for each in state.sessions] == ["ada", "eve"]


def test_a_late_joiner_gets_everybodys_breakpoints_the_driver_and_the_lease(bench: Bench) -> None:
    bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 5}])
    bench.respond(breakpoints=[{"id": 0, "verified": True, "line": 6}])
    bench.ask("s1", "setFunctionBreakpoints", breakpoints=[{"name": "price"}])
    stopped(bench)
    bench.seat("s1", "take")
    bench.open("s2", viewer="eve")
    bench.seat("s2", "ask", viewer="eve")
    bench.now += 10
    state = bench.state(bench.open("s3", viewer="eve"))
    assert [(each.owner, each.path) for each in state.breakpoints] == [("s1", FILE), ("s1", None)]
    (shown,) = (codec.decode_any(each) for each in state.breakpoints[0].breakpoints)
    assert (shown["line"], shown["verified"]) == (6, True)
    assert (state.driver, state.asking) == ("s1", ("s2",))
    assert state.lease is not None and state.lease.left < state.lease.length


def test_the_last_one_out_lets_go_of_the_debugger(bench: Bench) -> None:
    stopped(bench)
    bench.open("s2")
    bench.do(e.CloseAsked(command="c1", session="s1", viewer="ada"))
    assert e.Disconnect() not in bench.others
    bench.do(e.CloseAsked(command="c2", session="s2", viewer="ada"))
    assert e.Disconnect() in bench.others
    assert (bench.mux.state, bench.mux.stopped_threads) == (State.LEAVING, 0)
    assert bench.kinds()[-3:] == ["SessionClosed", "LeaseChanged", "DebuggerDetached"]
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
    assert [each["seq"] for each in bench.sent] == [3, 4]  # each joined before
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
    bench.respond(0, threads=[])  # too late
    bench.respond(1, threads=[])  # the probe
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
    refusal = Incoming(
        type="response", request_seq=bench.sent[-1]["seq"], success=False, message="NameError: x"
    )
    bench.do(e.DebuggerSaid(refusal))
    response = bench.response(asked)
    assert (response["success"], response["message"]) == (False, "NameError: x")


def test_an_answer_too_large_for_the_bus_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sonde_agent.sidecar.sessions.MOST_BODY", 10)
    asked = bench.ask("s1", "evaluate", expression="huge")
    bench.respond(result="x" * 20)
    assert bench.failure(asked).reason is Reason.TOO_MANY


# What does not come back


@pytest.mark.parametrize(
    ("request_", "given", "deadline"),
    [("evaluate", 60, 20), ("completions", 60, 10), ("evaluate", 8, 6), ("evaluate", 2, 1.5)],
)
def test_what_runs_code_has_the_shortest_of_three_times(
    bench: Bench, request_: str, given: float, deadline: float
) -> None:
    stopped(bench)
    bench.ask("s1", request_, timeout=given, expression="x")
    until = bench.now + deadline
    bench.do(e.TimePassed())
    while bench.now < until:
        assert e.Interrupt(bench.sent[-1]["seq"]) not in bench.others
        bench.now += 0.5
        bench.do(e.TimePassed())
    assert e.Interrupt(bench.sent[-1]["seq"]) in bench.others


def test_an_evaluation_that_was_interrupted_says_so_and_the_session_lives(bench: Bench) -> None:
    stopped(bench)
    asked = bench.ask("s1", "evaluate", expression="while True: pass")
    bench.wait(20)
    assert asked not in bench.answers
    bench.respond(success=False)
    failure = bench.failure(asked)
    assert (failure.code, failure.reason) == (Code.DEADLINE_EXCEEDED, Reason.INTERRUPTED)
    assert failure.message == "evaluate was interrupted after 20 s; the thread still stands"
    assert bench.mux.stopped_threads == 1 and len(bench.sent) == 1


def test_an_evaluation_that_was_quicker_than_its_interruption_is_answered_with_its_result(
    bench: Bench,
) -> None:
    asked = bench.ask("s1", "evaluate", expression="1")
    bench.wait(20)
    bench.respond(result="1")
    assert bench.response(asked)["body"] == {"result": "1"}


def test_an_evaluation_that_cannot_be_interrupted_is_said_to_go_on_and_nothing_is_dropped(
    bench: Bench,
) -> None:
    asked = bench.ask("s1", "evaluate", expression="sum(range(10**12))")
    bench.wait(22)
    failure = bench.failure(asked)
    assert failure.reason is Reason.NO_ANSWER and "native code" in failure.message
    bench.wait(30)
    assert bench.mux.state is State.ATTACHED and len(bench.sent) == 1


def test_a_request_without_an_answer_makes_pydevd_be_probed_and_dropped_when_it_is_wedged(
    bench: Bench,
) -> None:
    stopped(bench)
    bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 5}])
    bench.wait(11)
    assert [each["command"] for each in bench.sent] == ["setBreakpoints", "threads"]
    waiting = bench.ask("s1", "modules")
    bench.wait(1)
    assert bench.failure(waiting) == Failure(
        code=Code.ABORTED,
        reason=Reason.DEBUGGER_LOST,
        message="the debugger was lost while this was under way; it is being attached again: ask once more",
    )
    assert bench.events(bus.DebuggerDetached)[-1].reason == "not_answering"
    assert bench.mux.state is State.LEAVING and bench.mux.sessions


def test_pydevd_that_answers_the_probe_is_left_alone(bench: Bench) -> None:
    bench.ask("s1", "modules")
    bench.ask("s1", "threads")
    bench.wait(10)
    assert [each["command"] for each in bench.sent] == ["modules", "threads", "threads"], (
        "one probe at a time"
    )
    bench.respond(threads=[])
    bench.wait(60)
    assert bench.mux.state is State.ATTACHED


def test_an_asker_with_little_time_does_not_make_a_busy_process_a_wedged_one(bench: Bench) -> None:
    asked = bench.ask("s1", "modules", timeout=0.5)
    bench.wait(9.5)
    assert bench.failure(asked).reason is Reason.NO_ANSWER
    assert not bench.events(bus.DebuggerDetached)
    bench.wait(0.5)
    assert bench.mux.state is State.LEAVING


def test_a_debugger_that_does_not_speak_dap_is_dropped_and_who_asked_it_is_answered(bench: Bench) -> None:
    asked = bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 5}])
    nonsense = Incoming(type="response", request_seq=bench.sent[-1]["seq"], body=msgspec.Raw(b"{"))
    bench.do(e.DebuggerSaid(nonsense))
    assert bench.failure(asked).reason is Reason.DEBUGGER_LOST
    assert bench.events(bus.DebuggerDetached)


# The line is lost, and made again


@pytest.fixture
def lost(bench: Bench) -> Bench:
    """Two sessions with breakpoints in one file, a thread that stood there, and a line that broke."""
    bench.open("s2", viewer="eve")
    bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 5}])
    bench.respond(breakpoints=[{"id": 0, "verified": True, "line": 5}])
    bench.ask("s2", "setBreakpoints", viewer="eve", source={"path": FILE}, breakpoints=[{"line": 9}])
    bench.respond(breakpoints=[{"id": 1, "verified": True}, {"id": 2, "verified": True}])
    bench.ask("s1", "setExceptionBreakpoints", filters=["uncaught"])
    bench.respond()
    stopped(bench)
    bench.do(e.LineLost())
    bench.sent.clear()
    return bench


def test_sessions_survive_the_loss_of_the_line_and_see_everything_run(lost: Bench) -> None:
    assert [each.session for each in lost.mux.sessions] == ["s1", "s2"]
    assert e.Disconnect() in lost.others and lost.mux.stopped_threads == 0
    assert lost.dap_events("continued") == [(None, {"threadId": 1, "allThreadsContinued": False})]
    assert lost.events(bus.LeaseChanged)[-1].state == "ended"
    assert lost.events(bus.DebuggerDetached)[-1].reason == "connection_lost"


def test_what_was_set_is_set_again_before_anything_else_and_nobody_is_told_what_is_as_before(
    lost: Bench,
) -> None:
    lost.do(e.DebuggerGone())
    assert e.Connect() in lost.others
    told = len(lost.told)
    lost.connect()
    assert lost.told[told].fields["again"] is True
    assert [each["command"] for each in lost.sent] == ["setBreakpoints", "setExceptionBreakpoints"]
    assert [each["line"] for each in lost.sent[0]["arguments"]["breakpoints"]] == [5, 9]
    lost.respond(0, breakpoints=[{"id": 0, "verified": True, "line": 5}, {"id": 1, "verified": True}])
    lost.respond(1)
    assert [each.kind for each in lost.told[told:]] == [bus.DebuggerAttached]


def test_a_breakpoint_that_comes_back_otherwise_is_told(lost: Bench) -> None:
    lost.do(e.DebuggerGone())
    lost.connect()
    told = len(lost.told)
    lost.respond(0, breakpoints=[{"id": 0, "verified": False, "line": 5}, {"id": 1, "verified": True}])
    changed, event = lost.told[told:]
    assert changed.fields["breakpoints"].owner == "s1"
    assert event.session == "s1" and lost.dap_events("breakpoint")[-1][1]["breakpoint"]["verified"] is False


def test_what_is_asked_meanwhile_is_told_to_try_again_but_breakpoints_are_remembered(lost: Bench) -> None:
    refused = lost.failure(lost.ask("s1", "threads"))
    assert (refused.code, refused.reason) == (Code.UNAVAILABLE, Reason.DEBUGGER_LOST)
    asked = lost.ask("s2", "setBreakpoints", viewer="eve", source={"path": FILE}, breakpoints=[{"line": 7}])
    (shown,) = lost.response(asked)["body"]["breakpoints"]
    assert shown["verified"] is False
    assert lost.response(lost.ask("s1", "initialize"))["success"]
    assert lost.sent == []
    lost.do(e.DebuggerGone())
    lost.connect()
    assert [each["line"] for each in lost.sent[0]["arguments"]["breakpoints"]] == [5, 7]


def test_who_joins_meanwhile_is_answered_when_it_is_there_again(lost: Bench) -> None:
    opening = lost.open("s3")
    assert opening not in lost.answers
    lost.do(e.DebuggerGone())
    lost.connect()
    assert len(lost.state(opening).breakpoints) == 2


def test_attempts_are_paused_and_when_they_are_used_up_the_sessions_are_closed(lost: Bench) -> None:
    opening = lost.open("s3")
    lost.do(e.DebuggerGone())
    why = Failure(code=Code.UNAVAILABLE, reason=Reason.TAP_LOST, message="no")
    lost.do(e.DebuggerFailed(why))
    assert e.Connect() not in lost.others
    lost.wait(0.5)
    lost.do(e.DebuggerFailed(why))
    lost.wait(2)
    assert e.Connect() in lost.others
    lost.do(e.DebuggerFailed(why))
    assert lost.failure(opening) == why
    assert [each.reason for each in lost.events(bus.SessionClosed)] == ["debugger_lost", "debugger_lost"]
    assert lost.mux.state is State.DETACHED and lost.mux.sessions == ()
    lost.open("s4")
    assert e.Connect() in lost.others


def test_who_leaves_meanwhile_takes_its_own_and_the_last_one_ends_the_attempt(lost: Bench) -> None:
    lost.do(e.CloseAsked(command="c1", session="s1", viewer="ada"))
    lost.do(e.DebuggerGone())
    lost.connect()
    assert [each["line"] for each in lost.sent[0]["arguments"]["breakpoints"]] == [9]
    lost.do(e.LineLost())
    lost.do(e.CloseAsked(command="c2", session="s2", viewer="eve"))
    lost.do(e.DebuggerGone())
    assert lost.mux.state is State.DETACHED and e.Connect() not in lost.others


def test_a_process_that_ends_meanwhile_is_the_reason_that_sessions_hear(lost: Bench) -> None:
    lost.do(e.ProcessGone())
    assert {each.reason for each in lost.events(bus.SessionClosed)} == {"process_ended"}
    lost.do(e.DebuggerGone())
    assert lost.mux.state is State.ENDED and e.Connect() not in lost.others


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


def test_everybody_is_told_when_a_sessions_breakpoints_in_a_file_change_or_go(bench: Bench) -> None:
    bench.open("s2", viewer="eve")
    bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 9}])
    assert bench.events(bus.BreakpointsChanged) == []
    bench.respond(breakpoints=[{"id": 0, "verified": True, "line": 9}])
    (set_,) = bench.events(bus.BreakpointsChanged)
    assert (set_.session, set_.breakpoints.owner, set_.breakpoints.path) == (None, "s1", FILE)
    assert [codec.decode_any(each)["verified"] for each in set_.breakpoints.breakpoints] == [True]
    assert bench.dap_events("breakpoint") == [], "its owner has been answered"
    bench.do(e.CloseAsked(command="c", session="s1", viewer="ada"))
    gone = bench.events(bus.BreakpointsChanged)[-1]
    assert (gone.breakpoints.owner, gone.breakpoints.breakpoints) == ("s1", ())


def test_a_breakpoint_that_has_to_give_way_to_anothers_is_told_to_its_owner(bench: Bench) -> None:
    bench.open("s2", viewer="eve")
    bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 9, "logMessage": "x"}])
    bench.respond(breakpoints=[{"id": 0, "verified": True, "line": 9}])
    bench.ask("s2", "setBreakpoints", viewer="eve", source={"path": FILE}, breakpoints=[{"line": 9}])
    bench.respond(breakpoints=[{"id": 1, "verified": True, "line": 9}])
    ((session, body),) = bench.dap_events("breakpoint")
    assert session == "s1" and not body["breakpoint"]["verified"]
    assert "another session" in body["breakpoint"]["message"]


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
    assert bench.failure(options).reason is Reason.INVALID_PARAMS
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
    bench.now += 10
    bench.do(e.TimePassed())
    assert bench.failure(second).reason is Reason.NO_ANSWER
    assert bench.sent.pop()["command"] == "threads"  # the probe
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
