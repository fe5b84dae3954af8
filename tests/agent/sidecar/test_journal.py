from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from sonde_agent.sidecar import journal as module
from sonde_agent.sidecar.journal import Journal
from sonde_wire import bus, codec

BOOT = "0" * 32


def journal(**limits: int) -> Journal:
    return Journal("default/shop/a", BOOT, **limits)


def test_events_are_numbered_from_one_and_taken_once() -> None:
    kept = journal()
    assert kept.take() is None
    kept.append(bus.ProcessStarted, 1.0, pid=7)
    kept.append(bus.SessionOpened, 2.0, session="s1", cause="c1", viewer="ada")
    batch = kept.take()
    assert batch is not None
    assert (batch.first, batch.last, batch.process, batch.boot) == (1, 2, "default/shop/a", BOOT)
    events: list[bus.Event] = [
        codec.decode(each, bus.AnyEvent)  # type: ignore[arg-type] # a union
        for each in batch.events
    ]
    assert [event.seq for event in events] == [1, 2]
    assert (events[1].session, events[1].cause) == ("s1", "c1")
    assert kept.take() is None


@given(st.integers(0, 2000), st.integers(0, 600))
def test_a_successor_gives_no_number_twice_wherever_the_first_was_killed(before: int, events: int) -> None:
    told = []  # to the tap, before each event
    first = journal(after=before)
    told.append(first.set_aside)
    for _ in range(events):
        if first.reserve():
            told.append(first.set_aside)
        assert first.append(bus.ProcessStarted, 0.0, pid=1) <= told[-1]
    assert told == sorted(set(told))
    successor = journal(after=told[-1])
    assert successor.append(bus.ProcessStarted, 0.0, pid=1) == told[-1] + 1
    batch = successor.take()
    assert batch is not None and batch.first == batch.last == told[-1] + 1


@given(st.lists(st.integers(0, 20)), st.integers(1, 15))
def test_what_the_ring_lost_is_a_hole_and_never_a_repeat(appended: list[int], most: int) -> None:
    kept, seen = journal(most_events=most), []
    for count in appended:
        for _ in range(count):
            kept.append(bus.ProcessStarted, 0.0, pid=1)
        while batch := kept.take():
            assert len(batch.events) == batch.last - batch.first + 1 <= most
            seen.append((batch.first, batch.last))
    assert all(before[1] < after[0] for before, after in pairwise(seen))
    assert not seen or seen[-1][1] == kept.last


def test_the_ring_is_bounded_by_bytes_too_and_keeps_the_newest() -> None:
    kept = journal(most_bytes=1000)
    for _ in range(5):
        kept.append(bus.SessionOpened, 0.0, viewer="x" * 400)
    batch = kept.take()
    assert batch is not None and batch.last == 5 and batch.first > 1


def test_batches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_EVENTS", 2)
    kept = journal()
    for _ in range(5):
        kept.append(bus.ProcessStarted, 0.0, pid=1)
    sizes = []
    while batch := kept.take():
        sizes.append(len(batch.events))
    assert sizes == [2, 2, 1]


def test_what_did_not_get_out_is_taken_again() -> None:
    kept = journal()
    kept.append(bus.ProcessStarted, 0.0, pid=1)
    batch = kept.take()
    assert batch is not None
    kept.again_from(batch.first)
    assert kept.take() == batch


def filled(count: int, **limits: int) -> Journal:
    """With so many events, all taken."""
    kept = journal(**limits)
    for _ in range(count):
        kept.append(bus.ProcessStarted, 0.0, pid=1)
    while kept.take():
        pass
    return kept


def numbers(events: tuple[Raw, ...]) -> list[int]:
    return [codec.decode(each, bus.ProcessStarted).seq for each in events]


def test_a_batch_says_which_event_is_the_oldest_that_is_left() -> None:
    kept = filled(12, most_events=5)
    kept.append(bus.ProcessStarted, 0.0, pid=1)
    batch = kept.take()
    assert batch is not None
    assert (batch.oldest, batch.first, batch.last) == (9, 13, 13)


def test_what_was_sent_can_be_sent_again_as_far_as_it_is_there() -> None:
    kept = filled(12, most_events=5)
    again = kept.again(3)
    assert (again.first, again.last, again.oldest) == (8, 12, 8)
    assert numbers(again.events) == [8, 9, 10, 11, 12]
    assert numbers(kept.again(11).events) == [11, 12]
    assert kept.take() is None


def test_of_what_a_history_has_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAIL_EVENTS", 4)
    kept = filled(20)
    kept.stored(10)
    assert kept.oldest == 11
    kept.stored(20)
    assert kept.oldest == 17
    monkeypatch.setattr(module, "TAIL_BYTES", 0)
    kept.stored(18)
    assert kept.oldest == 19


def test_what_was_not_sent_yet_is_kept_whatever_a_history_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAIL_EVENTS", 0)
    kept = filled(5)
    kept.append(bus.ProcessStarted, 0.0, pid=1)
    kept.stored(100)
    assert kept.oldest == 6
    batch = kept.take()
    assert batch is not None and batch.first == 6


def test_what_no_history_had_when_it_was_let_go_of_is_counted_where_there_is_one() -> None:
    kept = filled(20, most_events=10)
    assert kept.lost == 0
    kept.stored(15)
    for _ in range(8):
        kept.append(bus.ProcessStarted, 0.0, pid=1)
    assert (kept.oldest, kept.lost) == (19, 3)


def test_what_is_asked_for_is_read_as_far_as_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = filled(12, most_events=8)
    read = kept.read(0, 7)
    assert (read.oldest, read.last, numbers(read.events)) == (5, 12, [5, 6, 7])
    assert numbers(kept.read(7, 9).events) == [8, 9]
    assert numbers(kept.read(10, 500).events) == [11, 12]
    assert kept.read(12, 500).events == kept.read(0, 3).events == kept.read(9, 9).events == ()
    monkeypatch.setattr(module, "ANSWER_BYTES", 1)
    assert numbers(kept.read(8, 12).events) == [9], "one at least"


def test_an_empty_journal_has_nothing_to_read() -> None:
    read = journal(after=256).read(0, 256)
    assert (read.oldest, read.last, read.events) == (257, 256, ())
