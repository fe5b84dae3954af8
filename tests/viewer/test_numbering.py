from hypothesis import given
from hypothesis import strategies as st

from sonde_viewer.numbering import Hole, Numbers, holes, in_order
from sonde_wire import bus, rpc
from sonde_wire.history import Cursor
from tests.viewer.fake_broker import BOOT, SHOP
from tests.viewer.recorded import started

OLDER = "f" * 32


def gap(first: int, last: int, boot: str = BOOT) -> rpc.Gap:
    return rpc.Gap(process=SHOP.process, boot=boot, first=first, last=last)


def place(seq: int, boot: str = BOOT, process: str = SHOP.process) -> Cursor:
    return Cursor(process=process, boot=boot, seq=seq)


@given(st.lists(st.tuples(st.sampled_from((BOOT, OLDER)), st.integers(1, 20)), max_size=60))
def test_each_event_is_new_once_and_in_order_whatever_comes(told: list[tuple[str, int]]) -> None:
    numbers = Numbers()
    new = [(boot, seq) for boot, seq in told if numbers.is_new(started(seq, boot=boot))]
    for which in (BOOT, OLDER):
        seqs = [seq for boot, seq in new if boot == which]
        assert seqs == sorted(set(seqs))
        assert max(seqs, default=0) == max((seq for boot, seq in told if boot == which), default=0)


def test_an_older_boot_that_is_told_again_does_not_make_the_present_one_new() -> None:
    numbers = Numbers()
    assert numbers.is_new(started(7))
    assert numbers.is_new(started(3, boot=OLDER))
    assert not numbers.is_new(started(7))
    assert not numbers.is_new(started(3, boot=OLDER))


def test_cursors_tell_of_each_process_how_far_its_newest_boot_has_got() -> None:
    numbers = Numbers([place(4)])
    numbers.is_new(started(2, process="default/worker/w-1"))
    numbers.is_new(started(1, boot=OLDER))
    assert numbers.cursors() == (place(2, process="default/worker/w-1"), place(1, OLDER))


def test_what_is_missing_is_behind_whoever_goes_on() -> None:
    numbers = Numbers([place(4)])
    assert numbers.missed(gap(3, 9)) == 5
    assert numbers.is_new(started(6))
    assert numbers.missed(gap(3, 9)) == 3
    numbers.skip(gap(7, 9))
    assert numbers.cursors() == (place(9),)
    assert numbers.missed(gap(3, 9)) == 0


def test_the_process_that_was_silent_for_longest_is_forgotten_first() -> None:
    numbers = Numbers()
    for number in range(20_001):
        numbers.is_new(started(1, process=f"default/p/i-{number}"))
    assert len(numbers.cursors()) == 20_000
    assert numbers.is_new(started(1, process="default/p/i-0"))


def test_events_told_again_are_put_between_live_ones_by_number_and_by_time() -> None:
    live, again = (
        [started(9), started(1, process="default/worker/w-1", time=1_004.5)],
        [started(3), started(4)],
    )
    found = list(in_order([*live, *again, gap(5, 8)]))
    assert [each.first if isinstance(each, rpc.Gap) else each.seq for each in found] == [3, 4, 5, 1, 9]


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0, 9)), max_size=20))
def test_the_order_of_numbers_holds_whatever_the_clock_did(told: list[tuple[int, float]]) -> None:
    found = [
        each
        for each in in_order([started(seq, time=time) for seq, time in told])
        if isinstance(each, bus.Event)
    ]
    assert [each.seq for each in found] == sorted(seq for seq, _ in told)


@given(st.sets(st.integers(1, 12)), st.integers(1, 12), st.integers(0, 6))
def test_holes_are_what_is_not_there(numbers: set[int], first: int, more: int) -> None:
    found = holes(numbers, first, first + more)
    inside = [number for hole in found for number in range(hole.first, hole.last + 1)]
    assert inside == [number for number in range(first, first + more + 1) if number not in numbers]
    assert all(isinstance(hole, Hole) and hole.first <= hole.last for hole in found)
