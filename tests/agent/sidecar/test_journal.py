from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
