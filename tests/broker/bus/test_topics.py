"""Topic names, filters and the tree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_broker.bus.errors import InvalidTopic
from sonde_broker.bus.topics import Tree, check_filter, check_topic, covers, matches

level = st.sampled_from(["a", "b", "", "$s"])
names = st.lists(level, min_size=1, max_size=4).map("/".join).filter(bool)
wild = st.lists(st.sampled_from(["a", "b", "", "+", "$s"]), min_size=1, max_size=4)
filters = st.one_of(
    wild.map("/".join),
    wild.map(lambda parts: "/".join([*parts, "#"])),
    st.just("#"),
).filter(bool)


@pytest.mark.parametrize(
    ("wanted", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/B", False),
        ("a/+", "a/b", True),
        ("a/+", "a/", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("+/+", "/a", True),
        ("+", "/a", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("#", "/", True),
        ("#", "$SYS/a", False),
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/a", True),
        ("a/+", "a/$b", True),
    ],
)
def test_a_filter_matches_as_the_specification_says(wanted: str, topic: str, expected: bool) -> None:
    assert matches(wanted, topic) is expected


@pytest.mark.parametrize("wrong", ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a\0", "a/" * 128, "ä" * 40_000])
def test_a_bad_filter_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidTopic):
        check_filter(wrong)


@pytest.mark.parametrize("wrong", ["", "a/+", "#", "a\0", "/" * 200])
def test_a_bad_topic_name_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidTopic):
        check_topic(wrong)


@pytest.mark.parametrize(
    ("pattern", "wanted", "expected"),
    [
        ("a/#", "a/+/b", True),
        ("a/#", "a/#", True),
        ("a/#", "#", False),
        ("a/+", "a/+", True),
        ("a/+", "a/#", False),
        ("a/b", "a/+", False),
        ("#", "+/+", True),
        ("#", "$SYS/#", False),
    ],
)
def test_a_pattern_covers_only_what_lies_inside_it(pattern: str, wanted: str, expected: bool) -> None:
    assert covers(pattern, wanted) is expected


@given(filters, filters, names)
def test_what_a_covered_filter_matches_the_pattern_matches_too(pattern: str, wanted: str, topic: str) -> None:
    if covers(pattern, wanted) and matches(wanted, topic):
        assert matches(pattern, topic)


@given(st.sets(filters, max_size=8), names)
def test_the_tree_finds_the_filters_of_a_topic(held: set[str], topic: str) -> None:
    tree: Tree[str] = Tree()
    for wanted in held:
        tree.set(wanted, wanted)
    found = list(tree.filters_for(topic))
    assert sorted(found) == sorted(wanted for wanted in held if matches(wanted, topic))


@given(st.sets(names, max_size=8), filters)
def test_the_tree_finds_the_topics_of_a_filter(held: set[str], wanted: str) -> None:
    tree: Tree[str] = Tree()
    for topic in held:
        tree.set(topic, topic)
    found = list(tree.topics_for(wanted))
    assert sorted(found) == sorted(topic for topic in held if matches(wanted, topic))


@given(st.lists(filters, max_size=8))
def test_a_tree_emptied_holds_nothing_at_all(held: list[str]) -> None:
    tree: Tree[str] = Tree()
    for wanted in held:
        tree.set(wanted, wanted)
    for wanted in held:
        tree.discard(wanted)
        tree.discard(wanted)
        assert tree.get(wanted) is None
    assert not tree._root.children
