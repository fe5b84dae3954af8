"""The seat and the lease at work in the multiplexer: who may do what, and what happens when nobody is there."""

import pytest

from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.line import State
from sonde_wire import Code, Reason, bus, codec
from tests.agent.sidecar.by_hand import FILE, Bench, stopped


@pytest.fixture
def bench() -> Bench:
    """Two sessions, ada's s1 and eve's s2; s1 has a breakpoint and a filter; a thread stands."""
    bench = Bench()
    bench.open("s1")
    bench.connect()
    bench.open("s2", viewer="eve")
    bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 5}])
    bench.respond(breakpoints=[{"id": 0, "verified": True, "line": 5}])
    bench.ask("s1", "setExceptionBreakpoints", filters=["uncaught"])
    bench.respond()
    stopped(bench)
    bench.sent.clear()
    return bench


# Who drives


def test_the_first_request_that_drives_takes_the_free_seat(bench: Bench) -> None:
    bench.ask("s1", "evaluate", expression="1")
    assert bench.mux.driver is None, "looking is not driving"
    bench.ask("s1", "next", threadId=1)
    (taken,) = bench.events(bus.SeatChanged)
    assert (taken.reason, taken.driver, taken.viewer, taken.session) == ("taken", "s1", "ada", None)
    assert bench.mux.driver == "s1" and e.PresenceChanged() in bench.others


@pytest.mark.parametrize("request_", ["continue", "next", "pause", "setVariable", "goto"])
def test_who_does_not_drive_is_refused_with_the_drivers_name(bench: Bench, request_: str) -> None:
    bench.seat("s1", "take")
    refused = bench.failure(bench.ask("s2", request_, viewer="eve", threadId=1))
    assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, Reason.NOT_DRIVER)
    assert "ada drives" in refused.message and "ask for the seat" in refused.message
    assert bench.sent == []


def test_of_two_that_continue_at_once_one_has_continued_and_the_other_is_told_who(bench: Bench) -> None:
    first = bench.ask("s1", "continue", threadId=1)
    second = bench.ask("s2", "continue", viewer="eve", threadId=1)
    assert len(bench.requests("continue")) == 1
    bench.say("continued", threadId=1, allThreadsContinued=False)
    bench.respond(allThreadsContinued=True)
    assert bench.response(first)["success"]
    assert "ada drives" in bench.failure(second).message
    third = bench.ask("s2", "continue", viewer="eve", threadId=1)
    assert bench.failure(third).reason is Reason.NOT_DRIVER, "also when there is nothing to continue any more"


def test_a_request_that_is_refused_takes_no_seat_and_neither_does_a_continue_of_nothing(
    bench: Bench,
) -> None:
    bench.ask("s1", "next", threadId=9)
    bench.ask("s1", "next")
    bench.say("continued", threadId=1, allThreadsContinued=False)
    assert bench.response(bench.ask("s2", "continue", viewer="eve"))["success"]
    assert bench.mux.driver is None and bench.events(bus.SeatChanged) == []


def test_the_seat_is_handed_over(bench: Bench) -> None:
    bench.seat("s1", "take")
    asked = bench.seat("s2", "ask", viewer="eve")
    state = codec.decode(bench.answers[asked].result or b"", bus.SeatState)
    assert (state.driver, state.viewer, state.asking) == ("s1", "ada", ("s2",))
    bench.seat("s1", "grant")
    assert [each.reason for each in bench.events(bus.SeatChanged)] == ["taken", "asked", "granted"]
    bench.ask("s2", "next", viewer="eve", threadId=1)
    assert [each["command"] for each in bench.sent] == ["next"]
    assert "eve drives" in bench.failure(bench.seat("s1", "take")).message


def test_a_driver_that_does_nothing_for_half_a_minute_loses_the_seat_to_who_asked(bench: Bench) -> None:
    bench.seat("s1", "take")
    bench.seat("s2", "ask", viewer="eve")
    bench.wait(20)
    bench.renew("s1")
    bench.wait(9)
    assert bench.mux.driver == "s1"
    bench.wait(1)
    assert bench.mux.driver == "s2"


def test_a_driver_that_leaves_leaves_the_seat_free(bench: Bench) -> None:
    bench.seat("s1", "take")
    bench.do(e.CloseAsked(command="c", session="s1", viewer="ada"))
    assert bench.events(bus.SeatChanged)[-1].reason == "left" and bench.mux.driver is None


def test_another_viewers_seat_and_lease_are_not_ones_own(bench: Bench) -> None:
    assert bench.failure(bench.seat("s1", "take", viewer="eve")).reason is Reason.UNKNOWN_SESSION
    bench.do(e.RenewAsked(command="r", session="s1", viewer="eve"))
    assert bench.failure("r").reason is Reason.UNKNOWN_SESSION


# The lease


def test_a_stop_begins_a_lease_and_its_end_ends_it(bench: Bench) -> None:
    (begun,) = bench.events(bus.LeaseChanged)
    assert begun.state == "begun" and begun.lease == bus.Lease(left=60, length=60)
    bench.say("continued", threadId=1, allThreadsContinued=False)
    assert bench.events(bus.LeaseChanged)[-1].state == "ended"
    assert bench.mux.next_deadline is None
    stopped(bench, 2)
    assert e.Hold(60.0) in bench.others


def test_any_session_renews_while_nobody_drives_then_only_the_driver(bench: Bench) -> None:
    bench.wait(30)
    state = bench.renew("s2", viewer="eve")
    assert state.renewed and state.lease == bus.Lease(left=60, length=60)
    assert e.Hold(60.0) in bench.others
    bench.seat("s1", "take")
    bench.wait(10)
    state = bench.renew("s2", viewer="eve")
    assert not state.renewed and state.lease == bus.Lease(left=50, length=60)
    bench.ask("s2", "evaluate", viewer="eve", expression="1")
    assert not bench.renew("s2", viewer="eve").renewed
    assert bench.renew("s1").renewed


def test_any_request_of_the_driver_renews_it(bench: Bench) -> None:
    bench.wait(59)
    bench.ask("s1", "scopes", frameId=1)
    assert e.Hold(60.0) in bench.others
    bench.respond(scopes=[])
    bench.wait(59)
    assert bench.mux.stopped_threads == 1


def lapsed(bench: Bench) -> None:
    bench.seat("s1", "take")
    bench.wait(60)


def test_a_lapse_puts_breakpoints_to_sleep_lets_everything_run_and_frees_the_seat(bench: Bench) -> None:
    lapsed(bench)
    assert [(each["command"], each["arguments"]) for each in bench.sent] == [
        ("setBreakpoints", {"source": {"path": FILE}, "breakpoints": []}),
        ("setExceptionBreakpoints", {"filters": []}),
        ("continue", {"threadId": 1}),
    ]
    assert bench.events(bus.LeaseChanged)[-1].state == "lapsed"
    assert bench.events(bus.SeatChanged)[-1].reason == "lapsed" and bench.mux.driver is None
    bench.say("continued", threadId=1, allThreadsContinued=False)
    for at in range(3):
        bench.respond(at, breakpoints=[], allThreadsContinued=True)
    bench.wait(100)
    assert bench.mux.state is State.ATTACHED and len(bench.mux.sessions) == 2
    assert len(bench.dap_events("continued")) == 1
    state = bench.state(bench.open("s3"))
    assert state.asleep and len(state.breakpoints) == 1


def test_what_does_not_run_half_a_second_after_a_lapse_loses_its_debugger(bench: Bench) -> None:
    lapsed(bench)
    bench.wait(0.5)
    assert bench.events(bus.DebuggerDetached)[-1].reason == "not_answering"
    assert bench.mux.stopped_threads == 0 and bench.mux.state is State.LEAVING
    bench.do(e.DebuggerGone())
    bench.sent.clear()
    bench.connect()
    assert bench.requests("setBreakpoints") == [], "they sleep over there too"
    assert bench.state(bench.open("s3")).asleep


def test_a_lapse_ends_what_is_being_evaluated(bench: Bench) -> None:
    bench.seat("s1", "take")
    bench.wait(55)
    asked = bench.ask("s2", "evaluate", viewer="eve", expression="while True: pass")
    bench.wait(5)
    assert bench.events(bus.LeaseChanged)[-1].state == "lapsed"
    bench.respond(0, success=False)
    assert bench.failure(asked).reason is Reason.INTERRUPTED


def test_what_stops_in_its_sleep_is_nobodys_to_see_and_runs_on(bench: Bench) -> None:
    lapsed(bench)
    bench.say("continued", threadId=1, allThreadsContinued=False)
    seen = len(bench.told)
    stopped(bench, 2)
    assert bench.requests("continue")[-1] == {"threadId": 2}
    bench.say("continued", threadId=2, allThreadsContinued=False)
    assert len(bench.told) == seen and bench.mux.next_deadline is not None  # the two answers
    bench.respond(-1, allThreadsContinued=True)
    bench.respond(-2, allThreadsContinued=True)


def test_a_heartbeat_wakes_nobody_and_a_request_arms_before_it_is_handled(bench: Bench) -> None:
    lapsed(bench)
    bench.say("continued", threadId=1, allThreadsContinued=False)
    for at in range(len(bench.sent)):
        bench.respond(at, breakpoints=[], allThreadsContinued=True)
    bench.sent.clear()
    assert not bench.renew("s1").renewed and bench.sent == []
    bench.ask("s2", "modules", viewer="eve")
    assert [each["command"] for each in bench.sent] == [
        "setBreakpoints",
        "setExceptionBreakpoints",
        "modules",
    ]
    assert bench.sent[0]["arguments"]["breakpoints"] == [{"line": 5}]
    assert bench.sent[1]["arguments"] == {"filters": ["uncaught"]}
    stopped(bench)
    assert bench.events(bus.LeaseChanged)[-1].state == "begun"


@pytest.mark.parametrize("action", ["take", "ask", "release"])
def test_an_act_with_the_seat_wakes_too(bench: Bench, action: bus.SeatAction) -> None:
    lapsed(bench)
    bench.seat("s2", action, viewer="eve")
    assert bench.requests("setBreakpoints")[-1]["breakpoints"] == [{"line": 5}]


def test_who_leaves_does_not_wake_what_sleeps(bench: Bench) -> None:
    lapsed(bench)
    bench.ask("s2", "disconnect", viewer="eve")
    assert bench.requests("setBreakpoints")[-1]["breakpoints"] == []


def test_what_still_stands_when_somebody_wakes_it_is_shown_and_has_a_lease(bench: Bench) -> None:
    lapsed(bench)
    bench.say("continued", threadId=1, allThreadsContinued=False)
    stopped(bench, 2)
    shown = len(bench.dap_events("stopped"))
    bench.ask("s1", "modules")
    assert bench.dap_events("stopped")[shown:] == [
        (None, {"reason": "breakpoint", "threadId": 2, "allThreadsStopped": False})
    ]
    assert bench.events(bus.LeaseChanged)[-1].state == "begun"


def test_heartbeats_without_a_person_do_not_keep_a_process_stopped_for_ever() -> None:
    bench = Bench(lease=10, longest_stop=25)
    bench.open("s1")
    bench.connect()
    stopped(bench)
    for _ in range(8):
        bench.wait(3)
        bench.renew("s1")
    assert bench.mux.stopped_threads == 1
    bench.wait(1)
    assert bench.events(bus.LeaseChanged)[-1].state == "lapsed"


def test_what_is_overdue_when_we_wake_up_is_done_before_what_has_come(bench: Bench) -> None:
    bench.now += 300  # as after SIGSTOP
    bench.do(e.LineLost())
    assert [each.state for each in bench.events(bus.LeaseChanged)] == ["begun", "lapsed"]
    bench.do(e.DebuggerGone())
    bench.sent.clear()
    bench.connect()
    assert bench.sent == [], "breakpoints sleep"


def test_a_new_life_begins_awake(bench: Bench) -> None:
    lapsed(bench)
    bench.do(e.BusGone())
    bench.do(e.DebuggerGone())
    bench.open("s3")
    bench.connect()
    bench.ask("s3", "setBreakpoints", source={"path": FILE}, breakpoints=[{"line": 5}])
    assert bench.sent[-1]["arguments"]["breakpoints"] == [{"line": 5}]
    assert bench.mux.driver is None
