"""Records behave as frozen dataclasses do, where the tap relies on it."""

from typing import Any

import pytest

from sonde_agent.records import Record, changed


class Point(Record):
    x: int
    y: int = 2
    tags: list[str] = []  # noqa: RUF012 - copied for each


class Pixel(Point):
    colour: str = "black"


class Other(Record):
    x: int
    y: int = 2
    tags: list[str] = []  # noqa: RUF012 - copied for each


def test_fields_are_given_in_order_or_by_name_and_the_rest_has_defaults() -> None:
    assert (Point(1).x, Point(1).y) == (1, 2)
    assert Point(1, 3) == Point(x=1, y=3)
    assert Pixel(1, colour="red").colour == "red"
    assert Pixel.FIELDS == ("x", "y", "tags", "colour")


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((1, 2, [], 4), {})],
    ids=["missing", "twice", "unknown", "too many"],
)
def test_what_is_missing_twice_unknown_or_too_much_is_refused(
    values: tuple[Any, ...], named: dict[str, Any]
) -> None:
    with pytest.raises(TypeError):
        Point(*values, **named)


def test_records_are_equal_only_within_their_class() -> None:
    assert Point(1) == Point(1)
    assert Point(1) != Point(2)
    assert Point(1) != Other(1)
    assert Point(1) != Pixel(1)


def test_a_record_without_lists_can_be_a_key() -> None:
    class Key(Record):
        name: str

    assert {Key("a"): 1}[Key("a")] == 1


def test_a_record_is_frozen() -> None:
    point = Point(1)
    with pytest.raises(AttributeError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del point.y
    assert point == Point(1)


def test_a_list_that_is_a_default_is_nobody_elses() -> None:
    first = Point(1)
    first.tags.append("mine")
    assert Point(1).tags == []


def test_a_changed_record_is_another_one() -> None:
    point = Point(1)
    assert changed(point, y=5) == Point(1, 5)
    assert point.y == 2


def test_a_record_is_matched_and_shown() -> None:
    match Point(1, 3):
        case Point(x, y=3):
            assert x == 1
        case _:
            raise AssertionError
    assert repr(Point(1)) == "Point(x=1, y=2, tags=[])"
