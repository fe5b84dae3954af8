from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from sonde_viewer.replay import Place, Replay, State
from sonde_wire import bus
from tests.viewer.recorded import (
    DETAIL,
    EVENTS,
    OPENED,
    SESSION,
    breakpoints,
    continued,
    dap,
    head,
    located,
    printed,
    started,
    stopped,
)


def replay(*events: bus.AnyEvent) -> Replay:
    return Replay(DETAIL, events)


MAKERS: tuple[Callable[[int, int], bus.AnyEvent], ...] = (
    lambda seq, n: stopped(seq, n, 40),
    lambda seq, n: continued(seq, n),
    lambda seq, n: continued(seq, n, every=True),
    lambda seq, n: dap(seq, "thread", threadId=n, reason="exited"),
    lambda seq, n: printed(seq, str(n)),
    lambda seq, n: located(seq, n, n),
    lambda seq, n: breakpoints(seq, *range(4, 4 + n)),
    lambda seq, _: breakpoints(seq),
    lambda seq, _: bus.LeaseChanged(**head(seq), state="lapsed"),
    lambda seq, _: bus.DebuggerAttached(**head(seq), debugpy="1.8"),
    lambda seq, _: bus.DebuggerDetached(**head(seq), reason="last_session_closed"),
    lambda seq, n: bus.SeatChanged(**head(seq), reason="taken", driver=str(n), viewer="ada"),
    lambda seq, _: bus.SessionClosed(**head(seq), viewer="ada", reason="viewer_left"),
    lambda seq, _: started(seq),
)
histories = st.lists(st.tuples(st.sampled_from(MAKERS), st.integers(1, 3)), max_size=20).map(
    lambda made: tuple(make(seq, number) for seq, (make, number) in enumerate(made, 1))
)


def seen(at: Replay) -> tuple[State, str]:
    return at.state, at.output()


@given(histories)
def test_back_shows_what_was_seen_on_the_way_there(events: tuple[bus.AnyEvent, ...]) -> None:
    there = replay(*events)
    forward = [seen(there)]
    while there.position < len(there):
        there.next()
        forward.append(seen(there))
    back = [seen(there)]
    while there.position:
        there.previous()
        back.append(seen(there))
    assert back == forward[::-1]


@given(histories, st.lists(st.integers(-3, 25), max_size=10))
def test_a_step_is_the_same_whichever_way_led_to_it(
    events: tuple[bus.AnyEvent, ...], jumps: list[int]
) -> None:
    jumping, walking = replay(*events), replay(*events)
    for step in jumps:
        state = jumping.goto(step)
        assert state.number == max(0, min(step, len(events)))
        walking.goto(0)
        for _ in range(state.number):
            walking.next()
        assert seen(walking) == seen(jumping)


@given(histories)
def test_stops_are_found_forward_and_back(events: tuple[bus.AnyEvent, ...]) -> None:
    there = replay(*events)
    stops = [there.next().number for _ in events if there.state.number < len(events)]
    stops = [number for number in stops if there.goto(number).is_stop]
    there.goto(0)
    forward = []
    while (state := there.next_stop()) is not None:
        forward.append(state.number)
    there.goto(len(there) + 1)
    back = [there.position] if there.state.is_stop else []
    while (state := there.previous_stop()) is not None:
        back.append(state.number)
    assert forward == back[::-1] == stops
    assert {n for n, event in enumerate(events, 1) if _stops(event)} <= set(stops)
    assert all(isinstance(events[n - 1], bus.StopLocated) or _stops(events[n - 1]) for n in stops)


def _stops(event: bus.AnyEvent) -> bool:
    return isinstance(event, bus.DapEvent) and b'"stopped"' in bytes(event.message)


def test_a_stop_is_placed_by_its_breakpoint() -> None:
    there = replay(*EVENTS)
    state = there.next_stop()
    assert state is not None
    (stop,) = state.standing
    assert (state.number, stop.thread, state.place(stop)) == (3, 3, Place("/app/shop.py", 4))
    stepped = replay(dap(1, "stopped", threadId=3, reason="step")).next()
    assert stepped.place(stepped.standing[0]) is None


def test_where_a_thread_stood_is_known_from_its_stop_on_though_it_was_written_down_after() -> None:
    step = {"threadId": 3, "reason": "step"}
    there = replay(
        *(breakpoints(1, 4), stopped(2, 3, 40), continued(3)),
        *(dap(4, "stopped", **step), printed(5, "one"), located(6, 42), continued(7)),
        *(dap(8, "stopped", **step), continued(9), dap(10, "stopped", **step), located(11, 44)),
    )

    def place(number: int) -> Place | None:
        state = there.goto(number)
        (stop,) = state.standing
        return state.place(stop)

    cart = Place("/app/cart.py", 42)
    assert [place(number) for number in (2, 4, 5, 6)] == [Place("/app/shop.py", 4), cart, cart, cart]
    assert place(8) is None, "it ran on before anybody knew"
    assert place(10) == Place("/app/cart.py", 44)
    assert there.state.places.keys() == {4}
    nowhere = replay(dap(1, "stopped", **step), located(2, 42, path=None)).next()
    assert nowhere.place(nowhere.standing[0]) is None


def test_who_came_while_a_thread_stood_sees_it_stand() -> None:
    there = replay(started(1), located(2, 42), located(3, 42), continued(4))
    state = there.next_stop()
    assert state is not None and there.next_stop() is None
    (stop,) = state.standing
    assert (state.number, stop.thread, stop.reason) == (2, 3, "step")
    assert state.place(stop) == Place("/app/cart.py", 42)
    assert there.goto(4).standing == ()


def test_the_story_of_a_session() -> None:
    there = replay(*EVENTS)
    assert (there.state.time, there.state.event, len(there)) == (OPENED, None, 10)
    there.goto(5)
    assert (there.state.viewer, there.state.driver, there.output()) == ("ada", SESSION, "one\n")
    there.goto(8)
    assert ([stop.thread for stop in there.state.standing], there.state.stops) == ([5], 2)
    assert there.next().standing == ()  # the lease lapsed
    assert there.next().closed == "viewer_left"
    assert there.next() is there.state
    assert there.output() == "one\ntwo\n"
    assert there.output(there.goto(6)) == "one\n"


def test_breakpoints_that_were_taken_away_are_gone() -> None:
    there = replay(breakpoints(1, 4), breakpoints(2, 7, owner="other"), breakpoints(3))
    assert [each.owner for each in there.goto(2).breakpoints] == [SESSION, "other"]
    assert [each.owner for each in there.goto(3).breakpoints] == ["other"]


def test_what_is_no_dap_changes_nothing() -> None:
    odd = bus.DapEvent(**head(1), message=EVENTS[1].breakpoints.breakpoints[0])  # type: ignore[union-attr]
    assert replay(odd).next().standing == ()
    assert replay().next().number == 0
