"""The driver's seat: who has it, who gets it next, and what the others are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_agent.sidecar.seat import UNHEARD, Seat
from sonde_wire import Code, Reason, Refused, bus


@pytest.fixture
def seat() -> Seat:
    """Three sessions, of which s1 (ada's) drives."""
    seat = Seat()
    for session, viewer in (("s1", "ada"), ("s2", "eve"), ("s3", "eve")):
        seat.came(session, viewer)
    (taken,) = seat.take("s1", 0.0)
    assert (taken.reason, taken.driver, taken.viewer) == ("taken", "s1", "ada")
    return seat


def test_a_taken_seat_is_refused_with_the_drivers_name_and_what_to_do(seat: Seat) -> None:
    with pytest.raises(Refused, match="ada drives this process: ask for the seat") as refused:
        seat.act("s2", "take", None, 1.0)
    assert refused.value.failure.code is Code.FAILED_PRECONDITION
    assert refused.value.failure.reason is Reason.NOT_DRIVER
    assert seat.driver == "s1"
    assert seat.act("s1", "take", None, 1.0) == []


def test_asks_wait_in_order_and_a_grant_goes_to_the_longest_waiting(seat: Seat) -> None:
    (first,) = seat.act("s3", "ask", None, 1.0)
    assert (first.reason, first.driver, first.asking) == ("asked", "s1", ("s3",))
    (second,) = seat.act("s2", "ask", None, 2.0)
    assert second.asking == ("s3", "s2")
    assert seat.act("s3", "ask", None, 3.0) == [], "it keeps its place"
    (granted,) = seat.act("s1", "grant", None, 4.0)
    assert (granted.reason, granted.driver, granted.viewer) == ("granted", "s3", "eve")
    assert granted.asking == ("s2",)


def test_a_driver_may_grant_to_whom_it_likes_among_the_open_sessions(seat: Seat) -> None:
    seat.act("s3", "ask", None, 1.0)
    with pytest.raises(Refused, match="no such session"):
        seat.act("s1", "grant", "s9", 2.0)
    assert seat.act("s1", "grant", "s1", 2.0) == []
    (granted,) = seat.act("s1", "grant", "s2", 2.0)
    assert (granted.driver, granted.asking) == ("s2", ("s3",))
    with pytest.raises(Refused, match="eve drives"):
        seat.act("s1", "grant", "s3", 3.0)


def test_a_grant_to_nobody_is_refused_with_what_to_do_instead(seat: Seat) -> None:
    with pytest.raises(Refused, match="release it"):
        seat.act("s1", "grant", None, 1.0)
    seat.act("s1", "release", None, 2.0)
    with pytest.raises(Refused, match="nobody drives"):
        seat.act("s1", "grant", "s2", 3.0)


def test_a_released_seat_goes_to_who_waits_and_is_free_when_nobody_does(seat: Seat) -> None:
    seat.act("s2", "ask", None, 1.0)
    released, granted = seat.act("s1", "release", None, 2.0)
    assert (released.reason, released.driver, released.viewer) == ("released", None, None)
    assert (granted.reason, granted.driver) == ("granted", "s2")
    (released,) = seat.act("s2", "release", None, 3.0)
    assert released.driver is None and seat.is_open_to("s3")
    assert seat.act("s2", "release", None, 4.0) == []


def test_who_asks_for_a_free_seat_has_it(seat: Seat) -> None:
    seat.act("s1", "release", None, 1.0)
    (taken,) = seat.act("s2", "ask", None, 2.0)
    assert (taken.reason, taken.driver) == ("taken", "s2")


def test_who_waits_can_take_the_ask_back(seat: Seat) -> None:
    seat.act("s2", "ask", None, 1.0)
    (back,) = seat.act("s2", "release", None, 2.0)
    assert (back.reason, back.driver, back.asking) == ("released", "s1", ())
    assert seat.next_deadline is None


def test_who_leaves_frees_the_seat_or_its_place_in_the_row(seat: Seat) -> None:
    seat.act("s2", "ask", None, 1.0)
    (left,) = seat.gone("s2", 2.0)
    assert (left.reason, left.driver, left.asking) == ("left", "s1", ())
    assert seat.gone("s3", 3.0) == []
    (left,) = seat.gone("s1", 4.0)
    assert (left.reason, left.driver) == ("left", None)


def test_the_second_session_of_one_viewer_is_another_session(seat: Seat) -> None:
    seat.gone("s1", 1.0)
    seat.take("s2", 2.0)
    with pytest.raises(Refused, match="eve drives"):
        seat.take("s3", 3.0)


def test_an_ask_that_is_not_heard_is_granted_by_itself(seat: Seat) -> None:
    seat.act("s2", "ask", None, 10.0)
    assert seat.next_deadline == 10.0 + UNHEARD
    assert seat.due(10.0 + UNHEARD - 0.1) == []
    (granted,) = seat.due(10.0 + UNHEARD)
    assert (granted.reason, granted.driver) == ("granted", "s2")
    assert seat.next_deadline is None


def test_a_driver_that_works_keeps_the_seat(seat: Seat) -> None:
    seat.act("s2", "ask", None, 10.0)
    seat.worked("s3", 20.0)  # somebody else's work does not count
    assert seat.next_deadline == 10.0 + UNHEARD
    seat.worked("s1", 30.0)
    assert seat.due(10.0 + UNHEARD) == []
    assert seat.next_deadline == 30.0 + UNHEARD


def test_after_a_lapse_nobody_drives_and_nobody_waits(seat: Seat) -> None:
    seat.act("s2", "ask", None, 1.0)
    (lapsed,) = seat.lapsed()
    assert (lapsed.reason, lapsed.driver, lapsed.asking) == ("lapsed", None, ())
    assert seat.lapsed() == []
    assert seat.state == bus.SeatState()


_sessions = st.sampled_from(["a", "b", "c"])
_acts = st.tuples(
    st.sampled_from(["came", "gone", "take", "release", "ask", "grant", "work", "lapse", "wait"]),
    _sessions,
    st.none() | _sessions,
)


@given(st.lists(_acts, max_size=40))
def test_the_driver_and_who_waits_are_always_open_sessions_and_nobody_waits_for_long(
    acts: list[tuple[str, str, str | None]],
) -> None:
    seat, here, now = Seat(), set(), 0.0
    for act, session, to in acts:
        now += 1
        before = seat.state
        changes = []
        match act:
            case "came":
                here.add(session)
                seat.came(session, session.upper())
            case "gone":
                here.discard(session)
                changes = seat.gone(session, now)
            case "work":
                seat.worked(session, now)
            case "lapse":
                changes = seat.lapsed()
            case "wait":
                now += UNHEARD
                changes = seat.due(now)
                assert seat.next_deadline is None or seat.next_deadline > now
            case "take" | "release" | "ask" | "grant" if session in here:
                try:
                    changes = seat.act(session, act, to, now)
                except Refused:
                    assert seat.state == before
        assert seat.driver is None or seat.driver in here
        assert set(seat.asking) <= here - {seat.driver}
        assert not (seat.asking and seat.driver is None)
        assert bool(changes) == (seat.state != before)
        if changes:
            last = changes[-1]
            assert (last.driver, last.viewer, last.asking) == (seat.driver, seat.viewer, seat.asking)
