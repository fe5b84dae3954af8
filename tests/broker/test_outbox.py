"""One viewer's way out, over a line that only takes what the test lets it take."""

from typing import Literal

import msgspec
import pytest

from sonde_broker import answers, outbox
from sonde_broker.outbox import CAUGHT_UP, CUT_ABOVE, LAG_ABOVE, LONGEST_LAG, Outbox, text_frame
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
        {"process": CHECKOUT, "boot": BOOT, "first": 5, "last": 8},
        {"process": CART, "boot": BOOT, "first": 1, "last": 3},
    ]
    deliver(box, events(9, 9))
    assert texts(line) == [{"an": "event"}]


@pytest.mark.parametrize("topic", ["presence", "probes"])
def test_one_that_lags_gets_the_newest_of_each_process_and_probe_later_and_no_old_metrics(
    box: Outbox, line: Line, topic: Literal["presence", "probes"]
) -> None:
    line.unsent = LAG_ABOVE + 1
    for state in (b'"old"', b'"new"'):
        deliver(box, Frame(topic, b"{}", items=((CHECKOUT, state),)), Frame("metrics", b"{}"))
    line.unsent = 0
    box.watch(1.0)
    [told] = texts(line)
    assert told == msgspec.json.decode(answers.spliced(topic, [b'"new"']))


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
    missed = Frame("gap", b"{}", spans=(Span(CHECKOUT, BOOT, 5, 6),))
    deliver(box, missed, Frame("events", b"{}", spans=(Span(CHECKOUT, BOOT, 3, 9),)))
    line.unsent = 0
    box.watch(1.0)
    assert [each["params"] for each in texts(line)] == [  # type: ignore[index]  # decoded JSON
        {"process": CHECKOUT, "boot": BOOT, "first": 3, "last": 9}
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
