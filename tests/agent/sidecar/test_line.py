"""The line to pydevd: when it is made, and when it is given up."""

import pytest

from sonde_agent.sidecar.line import PAUSES, TROUBLED_FOR, Line, State


@pytest.fixture
def line() -> Line:
    """Attached."""
    line = Line()
    assert line.wanted() and line.state is State.CONNECTING
    assert not line.wanted()
    assert not line.connected() and line.attached
    return line


def test_a_first_attempt_that_fails_is_the_last() -> None:
    line = Line()
    line.wanted()
    assert not line.failed(1.0)
    assert line.state is State.DETACHED and line.wanted()


def test_a_lost_line_is_made_again_at_once_and_says_so(line: Line) -> None:
    assert line.lost(10.0) and line.again
    assert line.gone(True, 11.0) and line.state is State.CONNECTING
    assert line.connected() and not line.again


def test_attempts_that_fail_come_with_longer_pauses_and_are_given_up(line: Line) -> None:
    line.lost(10.0)
    line.gone(True, 10.0)
    now, pauses = 10.0, []
    while line.failed(now):
        assert line.next_deadline is not None
        pauses.append(line.next_deadline - now)
        assert not line.due(line.next_deadline - 0.01)
        now = line.next_deadline
        assert line.due(now) and line.state is State.CONNECTING
    assert pauses == list(PAUSES[1:])
    assert line.state is State.DETACHED and not line.again


def test_a_line_that_is_lost_again_and_again_is_given_up_but_not_when_it_took_long(line: Line) -> None:
    for moment in (0.0, 1.0, 2.0, 2.0 + TROUBLED_FOR):
        assert line.lost(moment)
        if not line.gone(True, moment):
            assert line.due(moment + PAUSES[-1])
        line.connected()
    assert line.lost(3.0 + TROUBLED_FOR)
    line.gone(True, 100.0)
    line.connected()
    assert line.lost(4.0 + TROUBLED_FOR)
    line.gone(True, 100.0)
    line.connected()
    assert not line.lost(5.0 + TROUBLED_FOR)
    assert not line.again


def test_when_everybody_leaves_meanwhile_it_is_not_made_again(line: Line) -> None:
    line.lost(10.0)
    line.unwanted()
    assert not line.gone(False, 11.0) and line.state is State.DETACHED


def test_who_leaves_in_a_pause_leaves_no_attempt_behind(line: Line) -> None:
    line.lost(10.0)
    line.gone(True, 10.0)
    line.failed(10.0)
    line.unwanted()
    assert line.state is State.DETACHED and line.next_deadline is None
    assert not line.due(99.0)


def test_what_is_over_stays_over(line: Line) -> None:
    line.left()
    line.end()
    assert not line.gone(True, 1.0) and not line.wanted() and not line.due(99.0)
    assert line.state is State.ENDED
