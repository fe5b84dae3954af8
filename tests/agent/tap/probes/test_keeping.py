"""What is kept until it is told: results within bounds, and numbers by their size."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_agent.tap.probes import outbox
from sonde_agent.tap.probes.kinds.measures import Numbers
from sonde_agent.tap.probes.outbox import Outbox
from sonde_agent.tap.probes.sketch import Sketch


def test_what_comes_first_wakes_and_what_comes_then_does_not() -> None:
    box = Outbox()
    assert [box.put({"n": each}, 10) for each in range(3)] == [True, False, False]
    assert box.take() == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert box.put({"n": 3}, 10)


def test_what_comes_when_it_is_full_is_lost_and_counted() -> None:
    box = Outbox()
    for each in range(outbox.MOST + 5):
        box.put({"n": each}, 10)
    assert (len(box), box.lost) == (outbox.MOST, 5)
    assert box.take()[-1] == {"n": outbox.MOST - 1}


def test_it_is_full_by_bytes_too_and_gives_no_more_than_fits_a_line() -> None:
    box = Outbox()
    size = outbox.MOST_BYTES // 4
    assert [box.put({}, size) for _ in range(5)] == [True, False, False, False, False]
    assert box.lost == 1
    assert [len(box.take()), len(box.take()), len(box.take())] == [2, 2, 0]
    assert box.put({}, outbox.MOST_BYTES)  # all of it is free again


def test_one_that_is_larger_than_what_goes_at_once_goes_alone() -> None:
    box = Outbox()
    box.put({"n": 0}, outbox.MOST_AT_ONCE + 1)
    box.put({"n": 1}, 10)
    assert box.take() == [{"n": 0}]


@given(st.lists(st.floats(min_value=1e-9, max_value=1e12), min_size=1), st.booleans())
def test_a_quantile_is_within_five_percent(values: list[float], negative: bool) -> None:
    sketch = Sketch()
    values = sorted(-each if negative else each for each in values)
    for each in values:
        sketch.add(each)
    (least, most) = sketch.quantiles(0.0, 1.0)
    assert least == pytest.approx(values[0], rel=0.05)
    assert most == pytest.approx(values[-1], rel=0.05)


def test_both_sides_of_zero_are_in_order() -> None:
    sketch = Sketch()
    for each in (-100.0, -1.0, 0.0, 1.0, 100.0):
        sketch.add(each)
    found = sketch.quantiles(0.2, 0.4, 0.6, 0.8, 1.0)
    assert found == sorted(found)
    assert found[2] == 0.0


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_what_is_told_can_be_sent_and_lies_within(values: list[float]) -> None:
    numbers = Numbers(with_sizes=True)
    for each in values:
        numbers.add(each)
    told = numbers.read()
    json.dumps(told, allow_nan=False)
    assert told["count"] == len(values)
    if values:
        assert told["least"] <= told["p50"] <= told["p99"] <= told["most"]
