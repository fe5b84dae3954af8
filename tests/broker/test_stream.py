"""The events of processes as they are told on: each once, in order, and every hole noticed."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sonde_broker import ingress
from sonde_broker.recent import Recent
from sonde_broker.relay_io import EventsSeen, Span
from sonde_broker.stream import Stream
from sonde_wire import Address, codec, topics
from tests.broker.messages import BOOT, CHECKOUT, OTHER_BOOT, batch, started

PROCESS = Address.parse(CHECKOUT)


def seen(first: int, last: int, boot: str = BOOT, process: str = CHECKOUT) -> EventsSeen:
    message = batch(*(started(seq, process, boot) for seq in range(first, last + 1)))
    topic = topics.of_process(Address.parse(process), topics.Channel.EVENTS)
    told = ingress.read(topic, codec.encode(message), "b1")
    assert isinstance(told, EventsSeen)
    return told


def numbers(new: EventsSeen | None) -> list[int]:
    if new is None:
        return []
    found = [msgspec.json.decode(each)["seq"] for each in new.batch.events]
    assert found == [each.seq for each in new.headers] == list(range(new.batch.first, new.batch.last + 1))
    return found


def test_what_is_sent_again_is_told_once() -> None:
    stream = Stream()
    assert numbers(stream.take(seen(1, 3))[0]) == [1, 2, 3]
    assert stream.take(seen(1, 3)) == (None, None)
    new, missed = stream.take(seen(2, 5))
    assert (numbers(new), missed) == ([4, 5], None)


def test_a_hole_is_noticed_and_what_comes_too_late_is_not_told() -> None:
    stream = Stream()
    stream.take(seen(5, 5))
    new, missed = stream.take(seen(8, 9))
    assert (numbers(new), missed) == ([8, 9], Span(CHECKOUT, BOOT, 6, 7))
    assert stream.take(seen(6, 7)) == (None, None)


def test_another_boot_and_a_process_that_was_not_heard_of_for_a_while_begin_anew() -> None:
    stream = Stream()
    stream.take(seen(5, 5))
    assert stream.take(seen(3, 3, OTHER_BOOT))[1] is None
    stream.keep_only(lambda _: False)
    assert stream.take(seen(9, 9, OTHER_BOOT))[1] is None


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 6)), max_size=30))
def test_whatever_arrives_is_told_in_order_and_the_rest_is_missed(arrivals: list[tuple[int, int]]) -> None:
    stream, told, missing = Stream(), list[int](), set[int]()
    for first, more in arrivals:
        new, missed = stream.take(seen(first, first + more))
        if missed is not None:
            missing.update(range(missed.first, missed.last + 1))
        told += numbers(new)
    assert told == sorted(set(told))
    if told:
        assert sorted([*told, *missing]) == list(range(told[0], told[-1] + 1))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), max_size=60))
def test_memory_is_bounded_has_no_holes_and_the_newest(arrivals: list[tuple[str, int]]) -> None:
    recent, last = Recent(most_bytes=12_000), dict[str, int]()
    for name, count in arrivals:
        first = last.get(name, 0) + 1
        last[name] = first + count - 1
        recent.add(seen(first, last[name], process=f"shop/{name}/one"))
    sizes = 0
    for name, newest in last.items():
        process = Address.parse(f"shop/{name}/one")
        span = recent.span(process, BOOT)
        kept = [header.seq for each in recent.after(process, BOOT, 0) for header in each.headers]
        sizes += sum(
            len(event) + 400 for each in recent.after(process, BOOT, 0) for event in each.batch.events
        )
        if span is not None:
            assert kept == list(range(span[0], span[1] + 1))
            assert span[1] == newest
    assert sizes <= 12_000
    if arrivals:
        assert recent.span(Address.parse(f"shop/{arrivals[-1][0]}/one"), BOOT) is not None


def test_memory_begins_anew_where_a_hole_is_and_forgets_what_it_is_told_to() -> None:
    recent = Recent()
    recent.add(seen(1, 2))
    recent.add(seen(5, 6))
    assert recent.span(PROCESS, BOOT) == (5, 6)
    assert [each.batch.first for each in recent.after(PROCESS, BOOT, 5)] == [5]
    assert recent.after(PROCESS, BOOT, 6) == []
    assert recent.span(PROCESS, OTHER_BOOT) is None
    recent.forget(PROCESS)
    assert recent.span(PROCESS, BOOT) is None


def test_after_the_bus_was_lost_memory_is_not_asked_and_the_hole_is_still_noticed() -> None:
    stream = Stream()
    stream.take(seen(1, 5))
    stream.bus_lost()
    assert stream.recent.span(PROCESS, BOOT) is None
    assert stream.take(seen(9, 10))[1] == Span(CHECKOUT, BOOT, 6, 8)
    assert stream.recent.span(PROCESS, BOOT) == (9, 10)
