"""What one probe may do, by time and number."""

from math import inf

from sonde_agent.tap.probes.gate import SHORTEST_PAUSE, Gate


def gate(left: float = 60.0, **limits: float | None) -> Gate:
    made = Gate(0.0, left, **limits)  # type: ignore[arg-type]
    made.bind()
    return made


def test_a_probe_is_pending_until_it_is_bound_and_says_why() -> None:
    made = Gate(0.0, 60.0)
    made.unbind("the module shop is not imported yet")
    assert made.state(0.0) == ("pending", "the module shop is not imported yet")
    made.bind()
    assert made.state(0.0) == ("active", "")


def test_hits_are_numbered_from_one_on() -> None:
    made = gate()
    assert [made.admit(1.0), made.admit(1.1)] == [1, 2]
    assert made.state(1.2) == ("hit", "")
    assert (made.hits, made.last_hit) == (2, 1.1)


def test_the_last_hit_of_all_closes_it_for_good() -> None:
    made = gate(most_hits=2)
    assert [made.admit(1.0), made.admit(1.0), made.admit(1.0)] == [1, 2, 0]
    assert not made.is_open
    assert made.is_ended
    assert made.state(1.0) == ("expired", "it had its 2 hits")
    made.prolong(2.0, 100.0)
    assert not made.is_open


def test_over_the_rate_it_is_throttled_until_a_token_is_there() -> None:
    made = gate(rate=1.0)
    assert [made.admit(1.0), made.admit(1.25)] == [1, 0]
    assert not made.is_open
    assert made.opens_at == 2.0
    assert made.state(1.3) == (
        "throttled",
        "hit more often than once a second: the others are not counted",
    )
    assert not made.open_again(1.9)
    assert made.open_again(2.0)
    assert made.admit(2.0) == 2
    assert made.dropped == 1


def test_it_rests_for_a_moment_also_at_a_high_rate() -> None:
    made = gate(rate=1000.0, burst=1)
    assert [made.admit(1.0), made.admit(1.0)] == [1, 0]
    assert made.opens_at == 1.0 + SHORTEST_PAUSE


def test_a_burst_may_come_at_once() -> None:
    made = gate(rate=1.0, burst=3)
    assert [made.admit(1.0) for _ in range(4)] == [1, 2, 3, 0]


def test_what_is_throttled_again_and_again_does_not_seem_to_change() -> None:
    made = gate(rate=1.0)
    now = 1.0
    states = []
    for _ in range(5):
        made.admit(now)
        made.admit(now)
        states.append(made.state(now)[0])
        now += 1.0
        made.open_again(now)
        states.append(made.state(now)[0])
    assert set(states) == {"throttled"}
    assert made.state(now + 10)[0] == "hit"


def test_time_that_is_over_closes_it_and_more_time_opens_it() -> None:
    made = gate(left=5.0)
    assert made.admit(5.0) == 0
    assert made.state(5.0) == ("expired", "its time is over")
    made.prolong(6.0, 5.0)
    assert made.is_open
    assert made.admit(7.0) == 1


def test_suspended_it_is_closed_until_its_time_has_come() -> None:
    made = gate(left=100.0)
    made.suspend(1.0, 60.0, "it took 3 % of one core")
    assert made.admit(2.0) == 0
    assert made.state(2.0) == ("suspended", "it took 3 % of one core")
    assert made.open_again(61.0)
    assert made.opens_at == inf
    assert made.state(61.0) == ("active", "")


def test_held_it_is_closed_until_somebody_has_decided() -> None:
    made = gate()
    made.hold()
    assert made.admit(1.0) == 0
    made.release()
    assert made.admit(1.0) == 1


def test_an_error_is_told_until_it_is_bound() -> None:
    made = gate()
    made.refuse("a.py is the end of several paths")
    assert not made.is_open
    assert made.state(1.0) == ("error", "a.py is the end of several paths")
    made.bind()
    assert made.is_open


def test_what_only_ever_failed_is_an_error_and_what_worked_once_is_not() -> None:
    made = gate()
    made.failed("there is no name n here")
    made.failed("there is no name n here")
    assert made.state(1.0) == ("error", "failed 2 times, never worked: there is no name n here")
    made.admit(1.0)
    made.worked()
    assert made.state(1.0) == ("hit", "")
    assert made.failures == 2


def test_expired_goes_before_error_and_error_before_suspended() -> None:
    made = gate(left=5.0)
    made.suspend(1.0, 60.0, "too dear")
    made.refuse("wrong")
    assert made.state(1.0)[0] == "error"
    made.time_out()
    assert made.state(1.0)[0] == "expired"


def test_a_sample_is_a_share_of_chances() -> None:
    made = gate(sample=0.25)
    assert sum(made.is_sampled(each / 100) for each in range(100)) == 25
