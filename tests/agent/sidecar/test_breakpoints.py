from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_agent.sidecar.breakpoints import (
    MOST_PLACES,
    Breakpoints,
    Spec,
    merge,
    read_place,
    read_specs,
)
from sonde_wire import Refused

FILE = "/app/shop.py"


def lines(*numbers: int) -> tuple[Spec, ...]:
    return tuple(Spec(number) for number in numbers)


def test_pydevd_gets_the_union_and_each_session_its_own_order() -> None:
    table = Breakpoints()
    assert table.replace("a", FILE, lines(9, 3))
    assert table.replace("b", FILE, lines(3, 5))
    assert [spec.at for spec in table.union(FILE)] == [9, 3, 5]
    answered = [{"id": 70 + line, "verified": True, "line": line} for line in (9, 3, 5)]
    table.learn(FILE, table.union(FILE), answered)
    assert [each["line"] for each in table.shown("b", FILE)] == [3, 5]
    assert [each["line"] for each in table.shown("a", FILE)] == [9, 3]
    assert table.shown("a", FILE)[1]["id"] == table.shown("b", FILE)[0]["id"]


def test_ids_stay_when_another_session_changes_the_file_and_pydevd_numbers_anew() -> None:
    table = Breakpoints()
    table.replace("a", FILE, lines(3))
    table.learn(FILE, table.union(FILE), [{"id": 0, "verified": True, "line": 3}])
    (before,) = table.shown("a", FILE)
    table.replace("b", FILE, lines(1))
    table.learn(FILE, table.union(FILE), [{"id": 1, "verified": True}, {"id": 2, "verified": True}])
    assert table.shown("a", FILE)[0]["id"] == before["id"]
    assert table.ours([1]) == [before["id"]]
    assert table.ours([0, 99]) == []


def test_nothing_changes_when_the_union_stays() -> None:
    table = Breakpoints()
    table.replace("a", FILE, lines(3))
    assert not table.replace("b", FILE, lines(3))
    assert table.forget("b") == []
    assert table.forget("a") == [FILE]
    assert table.to_request(FILE) == ("setBreakpoints", {"source": {"path": FILE}, "breakpoints": []})


def test_a_changed_breakpoint_is_told_to_those_who_have_it() -> None:
    table = Breakpoints()
    table.replace("a", FILE, lines(3))
    table.replace("b", FILE, lines(5))
    table.learn(FILE, table.union(FILE), [{"id": 1, "verified": False}, {"id": 2, "verified": False}])
    table.news(FILE)
    assert table.note_changed({"id": 2, "verified": True, "line": 6}) == [FILE]
    (news,) = table.news(FILE)
    assert news.session == "b" and news.breakpoints == news.changed
    assert [(body["verified"], body["line"]) for body in news.changed] == [(True, 6)]
    assert table.news(FILE) == [], "once"
    assert table.note_changed({"id": 9}) == []


def test_what_has_gone_is_news_too() -> None:
    table = Breakpoints()
    table.replace("a", FILE, lines(3, 5))
    (first,) = table.news(FILE)
    assert len(first.breakpoints) == 2 and first.changed == ()
    table.replace("a", FILE, lines(5))
    (fewer,) = table.news(FILE)
    assert [body["line"] for body in fewer.breakpoints] == [5] and fewer.changed == ()
    table.forget("a")
    (none,) = table.news(FILE)
    assert (none.session, none.breakpoints) == ("a", ())


def test_while_they_sleep_pydevd_has_none_and_sessions_keep_theirs() -> None:
    table = Breakpoints()
    table.replace("a", FILE, lines(3))
    table.learn(FILE, table.at_pydevd(FILE), [{"id": 1, "verified": True, "line": 3}])
    table.armed = False
    assert table.to_request(FILE)[1]["breakpoints"] == []
    table.learn(FILE, (), [])
    assert [body["verified"] for body in table.shown("a", FILE)] == [True]
    table.armed = True
    assert table.to_request(FILE)[1]["breakpoints"] == [{"line": 3}]


def test_when_pydevd_is_lost_its_numbers_are_forgotten_and_ours_stay() -> None:
    table = Breakpoints()
    table.replace("a", FILE, lines(3))
    table.learn(FILE, table.at_pydevd(FILE), [{"id": 1, "verified": True, "line": 3}])
    (before,) = table.shown("a", FILE)
    table.lost()
    (lost,) = table.shown("a", FILE)
    assert lost["id"] == before["id"] and not lost["verified"] and "attached again" in lost["message"]
    assert table.ours([1]) == [] and table.places == (FILE,)


def test_the_files_of_a_session_are_bounded() -> None:
    table = Breakpoints()
    for number in range(MOST_PLACES):
        table.replace("a", f"/app/{number}.py", lines(1))
    with pytest.raises(Refused, match="clear those of one first"):
        table.replace("a", FILE, lines(1))
    table.replace("a", "/app/0.py", ())
    assert table.replace("a", FILE, lines(1))


@pytest.mark.parametrize(
    ("specs", "merged"),
    [
        ([Spec(1, "x"), Spec(1)], Spec(1)),
        ([Spec(1, "x"), Spec(1, "x")], Spec(1, "x")),
        ([Spec(1, "x"), Spec(1, "y # why")], Spec(1, "(x\n) or (y # why\n)")),
        ([Spec(1, log_message="m"), Spec(1, "x")], Spec(1, log_message="m")),
    ],
)
def test_one_line_holds_one_breakpoint(specs: list[Spec], merged: Spec) -> None:
    assert merge(specs) == merged


def test_a_merged_condition_holds_when_either_does() -> None:
    merged = merge([Spec(1, "x == 1 # one"), Spec(1, "x == 2")])
    held = [eval(merged.condition, {"x": x}) for x in (1, 2, 3)]  # noqa: S307 - as pydevd does with it
    assert held == [True, True, False]


def test_who_gave_way_is_told_so() -> None:
    table = Breakpoints()
    table.replace("a", FILE, (Spec(1, log_message="sold"),))
    table.replace("b", FILE, (Spec(1, "x"),))
    table.replace("c", FILE, (Spec(2, "x"),))
    table.replace("d", FILE, (Spec(2, "y"),))
    table.learn(FILE, table.union(FILE), [{"id": 1, "verified": True}, {"id": 2, "verified": True}])
    assert [table.shown(each, FILE)[0]["verified"] for each in "abcd"] == [True, False, True, True]
    table.replace("e", FILE, lines(1))
    shown = table.shown("a", FILE)[0]
    assert not shown["verified"] and "another session" in shown["message"]


def test_function_breakpoints_are_united_too() -> None:
    table = Breakpoints()
    table.replace("a", None, (Spec("price"),))
    assert table.to_request(None) == ("setFunctionBreakpoints", {"breakpoints": [{"name": "price"}]})


@pytest.mark.parametrize(
    "arguments",
    [
        {"breakpoints": [{"line": 0}]},
        {"breakpoints": [{"line": True}]},
        {"breakpoints": [{}]},
        {"breakpoints": ["3"]},
        {"breakpoints": {"line": 3}},
        {"breakpoints": [{"line": 3, "condition": 5}]},
    ],
)
def test_malformed_breakpoints_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        read_specs(arguments, FILE)


def test_a_source_without_a_path_is_refused() -> None:
    assert read_place({"source": {"path": "/app/./shop.py"}}) == FILE
    for source in ({}, None, {"path": 3}, {"sourceReference": 4}):
        with pytest.raises(Refused):
            read_place({"source": source})


_specs = st.lists(st.builds(Spec, st.integers(1, 4), st.sampled_from(["", "x"]))).map(tuple)


@given(st.lists(st.tuples(st.sampled_from("abc"), _specs)))
def test_the_union_is_always_one_breakpoint_for_each_line_that_somebody_has(
    changes: list[tuple[str, tuple[Spec, ...]]],
) -> None:
    table, owned = Breakpoints(), {}
    for session, specs in changes:
        table.replace(session, FILE, specs)
        owned[session] = specs
        at = [spec.at for spec in table.union(FILE)]
        assert sorted(at, key=str) == sorted({spec.at for own in owned.values() for spec in own}, key=str)
        assert [each["line"] for each in table.shown(session, FILE)] == [spec.at for spec in specs]
