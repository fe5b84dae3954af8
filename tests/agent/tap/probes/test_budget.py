"""What all probes of a process may take together."""

import pytest

from sonde_agent.tap.probes.budget import Budget


def test_within_the_budget_nobody_is_suspended() -> None:
    budget = Budget(0.01)
    assert budget.judge(1.0, {"a": 0.04, "b": 0.05}) == []
    assert budget.used() == pytest.approx(0.009)
    assert budget.used("a") == pytest.approx(0.004)
    assert budget.left == pytest.approx(0.01)


def test_over_it_the_costliest_is_suspended_and_its_share_is_named() -> None:
    budget = Budget(0.01)
    (suspension,) = budget.judge(1.0, {"a": 0.08, "b": 0.05})
    assert suspension.id == "a"
    assert suspension.message.startswith(
        "it took 0.8 % of one core over 10 s, and all probes together may take 1 %"
    )
    assert budget.used() == pytest.approx(0.005)


def test_as_many_are_suspended_as_it_takes() -> None:
    budget = Budget(0.01)
    found = budget.judge(1.0, {"a": 0.5, "b": 0.2, "c": 0.01})
    assert [each.id for each in found] == ["a", "b"]


def test_what_is_longer_ago_than_the_window_counts_no_more() -> None:
    budget = Budget(0.01)
    budget.judge(1.0, {"a": 0.09})
    assert budget.judge(12.0, {"a": 0.18}) == []
    assert budget.used("a") == pytest.approx(0.009)


def test_totals_count_once() -> None:
    budget = Budget(0.01)
    for second in range(10):
        assert budget.judge(second, {"a": 0.09}) == []


def test_it_stays_away_twice_as_long_each_time() -> None:
    budget = Budget(0.01)
    found = [budget.judge(100.0 * turn, {"a": 1.0 + turn})[0].seconds for turn in range(8)]
    assert found[:3] == [60.0, 120.0, 240.0]
    assert found[-1] == 3600.0


def test_what_a_dropped_probe_spent_still_counts() -> None:
    budget = Budget(0.01)
    budget.judge(1.0, {"a": 0.06})
    budget.forget("a")
    (suspension,) = budget.judge(2.0, {"b": 0.05})
    assert suspension.id == "b"
