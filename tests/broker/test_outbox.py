"""One viewer's way out, over a line that only takes what the test lets it take."""

from typing import Literal

import msgspec
import pytest

from sonde_broker import answers, outbox
from sonde_broker.outbox import (
    CAUGHT_UP,
    CUT_ABOVE,
    LAG_ABOVE,
    LONGEST_LAG,
    THIN_METRICS,
    THIN_OUTPUT,
    Outbox,
    text_frame,
)
from sonde_broker.relay_io import Frame, Span
from tests.broker.messages import BOOT, CART, CHECKOUT


class Line:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.unsent = 0
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.unsent += len(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closing


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def box(line: Line) -> Outbox:
    return Outbox(line)


def events(first: int, last: int, process: str = CHECKOUT) -> Frame:
    return Frame("events", b'{"an":"event"}', spans=(Span(process, BOOT, first, last),))


def deliver(box: Outbox, *frames: Frame) -> None:
    box.deliver(frames, b"".join(text_frame(frame.payload) for frame in frames))


def texts(line: Line) -> list[object]:
    """The messages in what was written last."""
    data, found = line.written[-1], []
    while data:
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        found.append(msgspec.json.decode(data[start : start + length]))
        data = data[start + length :]
    return found


def test_a_viewer_that_keeps_up_gets_everything_at_once(box: Outbox, line: Line) -> None:
    deliver(box, events(1, 1))
    assert texts(line) == [{"an": "event"}]


def test_one_that_lags_misses_events_and_is_told_which(box: Outbox, line: Line) -> None:
    line.unsent = LAG_ABOVE + 1
    for seq in range(5, 9):
        deliver(box, events(seq, seq))
    deliver(box, events(1, 3, CART))
    assert line.written == []
    line.unsent = CAUGHT_UP
    assert box.watch(1.0) is None
    assert [each["params"] for each in texts(line)] == [  # type: ignore[index]  # decoded JSON
        {"process": CHECKOUT, "boot": BOOT, "first": 5, "last": 8, "reason": "slow_viewer"},
        {"process": CART, "boot": BOOT, "first": 1, "last": 3, "reason": "slow_viewer"},
    ]
    deliver(box, events(9, 9))
    assert texts(line) == [{"an": "event"}]


@pytest.mark.parametrize("unsent", [THIN_METRICS + 1, LAG_ABOVE + 1])
@pytest.mark.parametrize("topic", ["presence", "probes", "metrics"])
def test_one_that_is_behind_gets_the_newest_of_each_process_and_probe_later(
    box: Outbox, line: Line, topic: Literal["presence", "probes", "metrics"], unsent: int
) -> None:
    line.unsent = unsent
    for state in (b'"old"', b'"new"'):
        deliver(box, Frame(topic, b"{}", items=((CHECKOUT, state),)))
    line.unsent = 0
    box.watch(1.0)
    [told] = texts(line)
    assert told == msgspec.json.decode(answers.spliced(topic, [b'"new"']))


def printed(first: int, last: int) -> Frame:
    """Of which the first was printed."""
    whole, rest = Span(CHECKOUT, BOOT, first, last), (Span(CHECKOUT, BOOT, first, first),)
    return Frame("events", b'{"all":1}', spans=(whole,), lean=b'{"less":1}', thinned=rest)


def test_metrics_are_held_back_first_then_what_is_printed_and_then_everything(
    box: Outbox, line: Line
) -> None:
    metrics = Frame("metrics", b'{"metrics":1}', items=((CHECKOUT, b"{}"),))
    line.unsent = THIN_METRICS
    deliver(box, metrics, printed(1, 2))
    assert texts(line) == [{"metrics": 1}, {"all": 1}]
    line.unsent = THIN_METRICS + 1
    deliver(box, metrics, printed(3, 4))
    assert texts(line) == [{"all": 1}]
    line.unsent = THIN_OUTPUT + 1
    deliver(box, metrics, printed(5, 6))
    assert texts(line) == [{"less": 1}]
    line.unsent = LAG_ABOVE + 1
    line.written.clear()
    deliver(box, metrics, printed(7, 8))
    assert line.written == []
    line.unsent = 0
    box.watch(1.0)
    [first, second, newest] = texts(line)
    assert [each["params"]["first"] for each in (first, second)] == [5, 7]  # type: ignore[index]
    assert [each["params"]["last"] for each in (first, second)] == [5, 8]  # type: ignore[index]
    assert newest == msgspec.json.decode(answers.spliced("metrics", [b"{}"]))


def test_one_that_misses_here_and_there_too_often_misses_all_for_a_while(box: Outbox, line: Line) -> None:
    line.unsent = THIN_OUTPUT + 1
    for number in range(0, 3 * outbox.MOST_GAPS, 2):
        deliver(box, printed(number + 1, number + 2))
        line.unsent = THIN_OUTPUT + 1
    line.unsent = 0
    box.watch(1.0)
    assert len(texts(line)) <= outbox.MOST_GAPS + 2
    assert texts(line)[-1]["params"]["last"] == 3 * outbox.MOST_GAPS  # type: ignore[index]


def test_one_that_lags_is_not_current_before_it_has_really_caught_up(box: Outbox, line: Line) -> None:
    line.unsent = LAG_ABOVE + 1
    deliver(box, events(1, 1))
    line.unsent = CAUGHT_UP + 1
    deliver(box, events(2, 2))
    box.watch(1.0)
    assert line.written == []


def test_answers_are_written_even_to_one_that_lags(box: Outbox, line: Line) -> None:
    line.unsent = LAG_ABOVE + 1
    box.send(b'{"id":1}')
    assert texts(line) == [{"id": 1}]


def test_a_large_answer_is_not_held_against_its_viewer(box: Outbox, line: Line) -> None:
    box.send(b" " * (2 * CUT_ABOVE))
    assert box.watch(1.0) is None
    deliver(box, events(1, 1))
    assert texts(line) == [{"an": "event"}]


def test_one_with_too_much_unsent_is_cut(box: Outbox, line: Line) -> None:
    line.unsent = CUT_ABOVE + 1
    assert box.watch(1.0)


def test_nothing_more_is_written_to_one_that_was_cut_off_and_that_is_told_once(
    box: Outbox, line: Line
) -> None:
    line.unsent = CUT_ABOVE + 1
    box.watch(1.0)
    box.send(b"{}")
    deliver(box, events(1, 1))
    line.unsent = 0
    assert box.watch(2.0) is None
    deliver(box, events(2, 2))
    assert line.written == []


def test_the_gap_of_one_that_lags_takes_in_what_the_broker_itself_did_not_get(
    box: Outbox, line: Line
) -> None:
    line.unsent = LAG_ABOVE + 1
    missed = Frame("gap", b"{}", spans=(Span(CHECKOUT, BOOT, 3, 6),))
    deliver(box, missed, Frame("events", b"{}", spans=(Span(CHECKOUT, BOOT, 7, 9),)))
    line.unsent = 0
    box.watch(1.0)
    assert [each["params"] for each in texts(line)] == [  # type: ignore[index]  # decoded JSON
        {"process": CHECKOUT, "boot": BOOT, "first": 3, "last": 9, "reason": "slow_viewer"}
    ]


def test_one_that_asks_without_ever_reading_is_cut(box: Outbox, line: Line) -> None:
    for _ in range(outbox.MOST_ANSWERS // CUT_ABOVE + 1):
        box.send(b" " * CUT_ABOVE)
    assert box.watch(1.0)


def test_one_that_stays_behind_for_too_long_is_cut_and_one_that_recovers_is_not(
    box: Outbox, line: Line
) -> None:
    line.unsent = CAUGHT_UP + 1
    assert box.watch(1.0) is None
    assert box.watch(1.0 + LONGEST_LAG) is None
    line.unsent = 0
    assert box.watch(2.0 + LONGEST_LAG) is None
    line.unsent = CAUGHT_UP + 1
    assert box.watch(3.0 + LONGEST_LAG) is None
    assert box.watch(3.1 + 2 * LONGEST_LAG)


def test_nothing_is_written_to_a_line_that_is_closing(box: Outbox, line: Line) -> None:
    line.closing = True
    box.send(b"{}")
    deliver(box, events(1, 1))
    assert box.watch(1.0) is None
    assert line.written == []
