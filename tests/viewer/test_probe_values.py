"""Captured values and snapshots as text, and the difference between two."""

import io

import pytest
from msgspec.structs import replace
from rich.console import Console

from sonde_viewer.probes import sentences, snapshots, values
from sonde_viewer.probes.difference import Change, Difference, diff
from sonde_wire import bus
from sonde_wire.probes import Captured, CapturedThread, ProbeStatus, Value
from tests.viewer.fake_broker import BOOT
from tests.viewer.probing import EVIL, ID, captured, number, rich, taken, text, watched

ORDER = Value(
    type="shop.Order",
    id=7,
    fields=(("total", number(42)), ("lines", Value(type="list", size=100, items=(number(1), number(2))))),
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (number(42), "42"),
        (ORDER, "shop.Order(total=42, lines=[1, 2, … 98 more])"),
        (Value(type="dict", size=1, entries=((text("a"), number(1)),)), "{'a': 1}"),
        (Value(type="tuple", size=2, items=(number(1), number(2))), "(1, 2)"),
        (Value(type="list", size=0, items=()), "[]"),
        (Value(type="collections.deque", size=1, items=(number(1),)), "collections.deque([1])"),
        (Value(type="Counter", size=1, entries=((text("a"), number(1)),)), "Counter({'a': 1})"),
        (Value(type="str", redacted=True), "<str: redacted>"),
        (Value(type="numpy.ndarray", note="float32 (3, 4)"), "<numpy.ndarray: float32 (3, 4)>"),
        (Value(type="list", id=3, seen=True), "<list: shown elsewhere>"),
        (Value(type="list", size=5, cut="depth"), "<list of 5: …>"),
        (Value(type="object"), "<object>"),
        (Value(type="str", value="'aaa", cut="length"), "'aaa…"),
        (Value(type="X", fields=(("a", number(1)),), cut="fields"), "X(a=1, … more fields)"),
        (Value(type="list", items=(number(1),), cut="time"), "[1, … the capture took too long]"),
    ],
)
def test_a_value_fits_on_one_line(value: Value, shown: str) -> None:
    assert values.inline(value) == shown


def test_a_value_that_is_too_wide_becomes_a_tree() -> None:
    rows = [(row.depth, row.name, row.text) for row in values.tree("order", ORDER, width=30)]
    assert rows == [
        (0, "order", "shop.Order"),
        (1, ".total", "42"),
        (1, ".lines", "[1, 2, … 98 more]"),
    ]
    rows = [(row.depth, row.name, row.text) for row in values.tree("order", ORDER, width=5)]
    assert rows[2:] == [(1, ".lines", "list of 100"), (2, "[0]", "1"), (2, "[1]", "2"), (2, "", "… 98 more")]


def shown(event: bus.SnapshotTaken, **options: int) -> str:
    file = io.StringIO()
    console = Console(file=file, markup=False, highlight=False, emoji=False, width=400)
    snapshots.show(console, event, **{"rows": 100, **options})
    return file.getvalue()


def test_a_snapshot_is_a_stack_with_locals_expressions_and_what_surrounds_it() -> None:
    event = replace(taken(7), captured=rich(price=number(3), order=ORDER))
    output = shown(event)
    assert f"snapshot {BOOT[:12]}-7, hit 7 of probe {ID}" in output
    assert "thread MainThread, task Task-7 (handle); it took 20.0 us" in output
    assert "raised ValueError: \\x1b[2Jboo (nobody catches it)" in output
    assert "context request = 'r-1'" in output
    assert "len(lines) = 2" in output
    assert "lines[9]  failed: there is no such item" in output
    assert output.index("main.py:9 in main") < output.index("cart.py:4 in total")
    assert "      price = 3\n      order = shop.Order(total=42" in output
    assert EVIL not in output


def test_a_snapshot_is_shown_as_far_as_one_wants() -> None:
    event = taken(1, a=number(1), b=number(2), c=number(3))
    output = shown(event, rows=2, frames=1)
    assert "1 outer frames are left out" in output
    assert "b = 2" in output
    assert "c = 3" not in output
    assert "there is more" in output


def test_a_snapshot_of_no_frame_is_shown_too() -> None:
    empty = Captured(frames=(), thread=CapturedThread(id=5), duration=0.0)
    assert "thread 5" in shown(replace(taken(1), captured=empty))
    assert sentences.place(empty) == "at no frame of the program's"


def names(difference: Difference) -> list[str]:
    return [change.name for frame in difference.frames for change in frame.changes]


def test_two_snapshots_of_the_same_do_not_differ() -> None:
    other_objects = replace(ORDER, id=999)
    assert not diff(rich(order=ORDER), rich(order=other_objects))


def test_a_difference_is_named_by_what_leads_to_it() -> None:
    dearer = replace(ORDER, fields=(("total", number(50)), ORDER.fields[1] if ORDER.fields else ("", ORDER)))
    difference = diff(captured(n=number(1), order=ORDER), captured(n=number(1), order=dearer))
    assert names(difference) == ["order.total"]
    (change,) = difference.frames[0].changes
    assert (change.before, change.after) == (number(42), number(50))


def test_names_that_only_one_has_are_told_and_others_of_another_shape_are_whole() -> None:
    difference = diff(captured(a=number(1), c=ORDER), captured(b=text("x"), c=number(2)))
    assert difference.frames[0].changes == (
        Change(name="a", before=number(1)),
        Change(name="c", before=ORDER, after=number(2)),
        Change(name="b", after=text("x")),
    )


def test_sizes_that_differ_behind_what_was_taken_are_a_difference() -> None:
    one, other = (Value(type="list", size=size, items=(number(1),)) for size in (10, 11))
    assert names(diff(captured(x=one), captured(x=other))) == ["x"]


def test_entries_go_together_by_key_and_items_by_place() -> None:
    one = Value(type="dict", size=2, entries=((text("a"), number(1)), (text("b"), number(2))))
    other = Value(type="dict", size=2, entries=((text("b"), number(3)), (text("a"), number(1))))
    assert names(diff(captured(x=one), captured(x=other))) == ["x['b']"]


def test_frames_go_together_although_lines_moved_and_another_caller_stands_between() -> None:
    before, after = captured(n=number(1)), captured(n=number(2))
    inner, outer = after.frames
    between = replace(outer, function="again", line=5)
    difference = diff(before, replace(after, frames=(replace(inner, line=6), between, outer)))
    assert [(each.function, each.line_before, each.line_after) for each in difference.frames] == [
        ("total", 4, 6),
        ("again", None, 5),
    ]
    back = diff(replace(after, frames=(inner, between, outer)), before)
    assert [(each.function, each.line_before, each.line_after) for each in back.frames] == [
        ("total", 4, 4),
        ("again", 5, None),
    ]


def test_locals_that_only_one_side_took_tell_nothing() -> None:
    before, after = captured(n=number(1)), captured(n=number(2))
    assert not diff(before, replace(after, frames=(replace(after.frames[0], locals=None), after.frames[1])))


def test_what_surrounds_a_snapshot_is_compared_too() -> None:
    before, after = rich(), captured()
    changes = {change.name: change for change in diff(before, after).about}
    assert set(changes) == {"task", "exception", "context request"}
    assert [each.name for each in diff(before, after).expressions] == ["len(lines)", "lines[9]"]


def test_a_difference_is_bounded() -> None:
    one, other = (
        Value(type="list", size=3000, items=tuple(number(start + each) for each in range(3000)))
        for start in (0, 1)
    )
    assert len(names(diff(captured(x=one), captured(x=other)))) == 1000


def test_a_difference_is_shown_with_signs() -> None:
    file = io.StringIO()
    console = Console(file=file, markup=False, highlight=False, width=400)
    before, after = captured(n=number(1)), captured(n=text(EVIL))
    inner, outer = after.frames
    snapshots.show_difference(
        console, diff(before, replace(after, frames=(replace(inner, line=6), replace(outer, path="/x.py"))))
    )
    output = file.getvalue()
    assert "- /app/main.py:9 in main\n" in output
    assert "+ /x.py:9 in main\n" in output
    assert "  /app/shop/cart.py:4 -> 6 in total\n    n\n      - 1\n      + '\\x1b[2Jboo'\n" in output


def test_every_event_of_a_probe_is_a_sentence() -> None:
    event = replace(taken(7), captured=rich())
    assert sentences.taken(event).endswith("at /app/shop/cart.py:4 in total: ValueError: " + EVIL)
    assert sentences.changed(watched()) == "n: 2 at x.py:4"
    assert sentences.changed(replace(watched(), before=number(1))) == "n: 1 -> 2 at x.py:4"
    status = ProbeStatus(id=ID, state="error", message="two files end so", title="log x.py:4")
    assert sentences.state(status) == f"probe {ID} (log x.py:4) is error: two files end so"
