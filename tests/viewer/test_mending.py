import pytest

from sonde_viewer.errors import InvalidProbe, InvalidTarget, NoAnswer, Refused, ViewerError, closed, denied
from sonde_viewer.mending import Backoff, can_be_mended
from sonde_wire import Code, Reason, rpc
from tests.viewer.fake_broker import refusal


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1011, 1012, 1013, rpc.CLOSE_SLOW_VIEWER])
def test_a_connection_that_broke_is_made_again(code: int | None) -> None:
    assert can_be_mended(closed(code), before=True)


BUSY = Refused(refusal(Reason.TOO_MANY, Code.RESOURCE_EXHAUSTED))


@pytest.mark.parametrize(
    "error", [closed(1012), denied(503), NoAnswer("answer", 1), InvalidTarget("gone"), BUSY]
)
def test_one_that_never_was_is_not_tried_again(error: ViewerError) -> None:
    assert can_be_mended(error, before=True)
    assert not can_be_mended(error, before=False)


@pytest.mark.parametrize(
    "error",
    [
        closed(rpc.CLOSE_UNAUTHENTICATED),
        closed(rpc.CLOSE_BAD_MESSAGE),
        denied(401),
        InvalidProbe("x"),
        Refused(refusal()),
    ],
)
def test_what_would_fail_again_is_told(error: ViewerError) -> None:
    assert not can_be_mended(error, before=True)


def test_waits_grow_to_ten_seconds_and_begin_anew_after_a_connection_that_worked() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.broke(0) for _ in range(9)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
    assert backoff.broke(lasted=9) == 10
    assert backoff.broke(lasted=10) == 0.1


def test_the_jitter_is_full() -> None:
    assert Backoff(lambda: 0.0).broke(0) == 0
