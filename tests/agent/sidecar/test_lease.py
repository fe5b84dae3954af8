"""The lease: how long what stands may stand, on a clock that the test moves."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.lease import ANNOUNCED_EVERY, LET_GO_WITHIN, Lease, State
from sonde_wire import bus

LENGTH, LONGEST = 60.0, 900.0


@pytest.fixture
def lease() -> Lease:
    """Something stands since 100."""
    lease = Lease(LENGTH, LONGEST)
    begun, hold = lease.stands(True, 100.0)
    assert told(begun) == {"state": "begun", "lease": bus.Lease(left=LENGTH, length=LENGTH)}
    assert hold == e.Hold(LENGTH)
    return lease


def told(effect: e.Effect) -> dict[str, Any]:
    assert isinstance(effect, e.Tell) and effect.kind is bus.LeaseChanged
    assert effect.session is None, "it concerns everybody"
    return effect.fields


def test_it_runs_from_the_first_thread_that_stands_to_the_last(lease: Lease) -> None:
    assert lease.stands(True, 110.0) == []
    assert lease.next_deadline == 160.0, "another thread that stops does not prolong it"
    (ended,) = lease.stands(False, 120.0)
    assert told(ended) == {"state": "ended"}
    assert lease.state is State.IDLE
    assert lease.next_deadline is None and lease.shown(120.0) is None


def test_a_heartbeat_renews_it_and_is_announced(lease: Lease) -> None:
    renewed, (announced, hold) = lease.renew(130.0)
    assert renewed and hold == e.Hold(LENGTH)
    assert told(announced)["lease"] == bus.Lease(left=LENGTH, length=LENGTH)
    assert lease.next_deadline == 190.0


def test_a_heartbeat_while_nothing_stands_is_heard_and_changes_nothing() -> None:
    lease = Lease(LENGTH, LONGEST)
    assert lease.renew(1.0) == (True, [])


def test_a_request_renews_it_and_moves_the_taps_timer_with_it(lease: Lease) -> None:
    assert lease.acted(100.5) == [], "less than a second is not worth it"
    assert lease.next_deadline == 160.0
    assert lease.acted(102.0) == [e.Hold(LENGTH)]
    assert lease.next_deadline == 162.0


def test_renewals_by_requests_are_announced_now_and_then(lease: Lease) -> None:
    announced = []
    for second in range(1, 21):
        announced += [each for each in lease.acted(100.0 + second) if isinstance(each, e.Tell)]
    assert len(announced) == 20 / ANNOUNCED_EVERY


def test_heartbeats_alone_do_not_keep_it_for_ever(lease: Lease) -> None:
    now = 100.0
    while (now := now + 20) < 100 + LONGEST - LENGTH:
        assert lease.renew(now)[0]
    while (now := now + 20) < 100 + LONGEST:
        lease.renew(now)
    assert lease.next_deadline == 100 + LONGEST
    renewed, effects = lease.renew(999.0)
    assert not renewed and effects == []
    lease.acted(999.5)
    assert lease.next_deadline == 999.5 + LENGTH, "a person is there"
    assert lease.renew(1001.0)[0]


def test_a_stop_that_nobody_renews_lapses_and_everything_is_let_go(lease: Lease) -> None:
    assert not lease.has_lapsed(159.9) and lease.has_lapsed(160.0)
    (lapsed,) = lease.lapse(160.0)
    assert told(lapsed)["state"] == "lapsed" and "breakpoints sleep" in told(lapsed)["message"]
    assert lease.asleep and lease.shown(160.0) is None
    assert lease.next_deadline == 160.0 + LET_GO_WITHIN
    assert lease.renew(160.1) == (False, []), "a heartbeat does not wake anybody"
    assert lease.stands(False, 160.1) == []
    assert lease.state is State.ASLEEP and lease.next_deadline is None
    assert not lease.is_overdue(999.0)


def test_what_does_not_run_when_it_is_told_to_is_overdue(lease: Lease) -> None:
    lease.lapse(160.0)
    assert not lease.is_overdue(160.4) and lease.is_overdue(160.5)


def test_what_stops_in_its_sleep_is_let_go_too(lease: Lease) -> None:
    lease.lapse(160.0)
    lease.stands(False, 160.1)
    assert lease.stands(True, 200.0) == []
    assert lease.state is State.LETTING_GO and lease.is_overdue(200.5)


def test_a_session_that_acts_wakes_it_and_what_stands_gets_a_lease_anew(lease: Lease) -> None:
    lease.lapse(160.0)
    (awake,) = lease.wake()
    assert told(awake)["state"] == "ended" and not lease.asleep
    assert lease.stands(True, 160.2)
    assert lease.next_deadline == 220.2


def test_when_nobody_debugs_any_more_it_ends_and_sleeps_no_more(lease: Lease) -> None:
    (ended,) = lease.off()
    assert told(ended) == {"state": "ended"}
    lease.stands(True, 200.0)
    lease.lapse(260.0)
    assert lease.off() == [] and not lease.asleep


def test_a_longest_stop_that_is_shorter_than_a_lease_wins() -> None:
    lease = Lease(60.0, 5.0)
    begun, hold = lease.stands(True, 0.0)
    assert told(begun)["lease"].left == 5.0 and hold == e.Hold(5.0)


_events = st.tuples(
    st.sampled_from(["stands", "runs", "renew", "act", "wake", "off"]), st.floats(0, 50, allow_nan=False)
)


@given(st.lists(_events, max_size=40))
def test_whatever_happens_the_tap_holds_no_longer_than_the_lease_and_what_stands_has_a_deadline(
    events: list[tuple[str, float]],
) -> None:
    lease, now, held, stands = Lease(LENGTH, 120.0), 0.0, 0.0, False
    for event, passed in events:
        now += passed
        if lease.has_lapsed(now):
            lease.lapse(now)
        if lease.is_overdue(now):
            stands = False  # the line was dropped
        lease.stands(stands, now)
        effects: list[e.Effect] = []
        match event:
            case "stands" | "runs":
                stands = event == "stands"
            case "renew":
                effects = lease.renew(now)[1]
            case "act":
                effects = lease.acted(now)
            case "wake" if lease.asleep:
                effects = lease.wake()
            case "off":
                stands = False
                effects = lease.off()
        effects = [*effects, *lease.stands(stands, now)]
        for effect in effects:
            if isinstance(effect, e.Hold):
                held = now + effect.seconds
        assert stands == (lease.next_deadline is not None)
        if lease.state is State.RUNNING:
            assert lease.next_deadline is not None and held == pytest.approx(lease.next_deadline)
            assert lease.next_deadline <= now + LENGTH
