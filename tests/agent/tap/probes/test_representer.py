"""Nodes of values: within limits whatever the value is, and without a line of the program's code."""

import ctypes
import json
import sys
import threading
import types
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_agent.tap.probes.allowance import Limits
from sonde_agent.tap.probes.representer import Representer
from tests.agent.tap.probes.looking import PLENTY, Foreseen, alive, canary_of, fields, node, touched


class Order:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    touched.clear()
    yield
    assert not touched


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (42, {"type": "int", "value": "42"}),
        (True, {"type": "bool", "value": "True"}),
        (None, {"type": "NoneType", "value": "None"}),
        (float("nan"), {"type": "float", "value": "nan"}),
        (float("-inf"), {"type": "float", "value": "-inf"}),
        (1j, {"type": "complex", "value": "1j"}),
        ("it's", {"type": "str", "value": '"it\'s"'}),
        ("a\udc80b", {"type": "str", "value": "'a\\udc80b'"}),
        (b"a\x00", {"type": "bytes", "value": "b'a\\x00'"}),
        (bytearray(b"a"), {"type": "bytearray", "value": "b'a'"}),
        ([], {"type": "list", "size": 0, "items": []}),
        (object(), {"type": "object"}),
    ],
)
def test_a_plain_value_is_as_python_shows_it(thing: object, expected: dict[str, Any]) -> None:
    assert node(thing) == expected


def test_a_long_text_is_cut_and_its_size_told() -> None:
    seen = node("x" * 10_000_000)
    assert seen == {"type": "str", "value": repr("x" * 255), "size": 10_000_000, "cut": "length"}
    assert node(b"x" * 10_000_000)["size"] == 10_000_000


def test_a_number_that_python_refuses_to_write_begins_in_hexadecimal() -> None:
    for number in (10**5000, -(10**5000), 1 << 10_000_000):
        seen = node(number)["value"]
        assert seen.lstrip("-").startswith("0x")
        assert seen.endswith(f"({number.bit_length()} bits)")


def test_a_huge_collection_is_not_copied() -> None:
    seen = node([None] * 10_000_000, Limits(items=2, seconds=30.0))
    assert seen["size"] == 10_000_000
    assert len(seen["items"]) == 2
    assert seen["cut"] == "items"
    assert node(dict.fromkeys(range(1000)))["cut"] == "items"
    assert len(node(set(range(1000)))["items"]) == 100


def test_what_is_too_deep_is_cut_there() -> None:
    seen = node([[[[1]]]])
    assert seen["items"][0]["items"][0]["items"][0] == {"type": "list", "size": 1, "cut": "depth"}
    assert node([[[[]]]])["items"][0]["items"][0]["items"][0] == {"type": "list", "size": 0, "items": []}


def test_a_cycle_ends_where_it_closes() -> None:
    own: list[Any] = []
    own.append(own)
    assert node(own) == {
        "type": "list",
        "size": 1,
        "id": 1,
        "items": [{"type": "list", "size": 1, "id": 1, "seen": True}],
    }
    order = Order()
    order.self = order  # type: ignore[attr-defined]
    assert fields(node(order))["self"]["seen"]


def test_what_was_cut_for_its_depth_is_shown_when_it_comes_up_again_higher() -> None:
    inner = [1]
    deep = [[[[inner]]]]
    representer = Representer(PLENTY, Foreseen())
    representer.value("", deep)
    assert representer.value("", inner)["items"] == [{"type": "int", "value": "1"}]


def test_fields_come_from_slots_and_the_instances_dictionary() -> None:
    class Base:
        __slots__ = ("first", "unset")

    class Child(Base):
        @property
        def computed(self) -> int:
            raise AssertionError

    child = Child()
    child.first = 1  # type: ignore[attr-defined]
    child.second = 2  # type: ignore[attr-defined]
    assert [name for name, _ in node(child)["fields"]] == ["first", "second"]
    many = node(Order(**{f"f{number}": 0 for number in range(21)}))
    assert (len(many["fields"]), many["cut"]) == (20, "fields")


def test_a_subclass_of_a_collection_shows_what_it_holds_and_has() -> None:
    class Basket(list[int]):
        pass

    basket = Basket([1])
    basket.owner = "jane"  # type: ignore[attr-defined]
    seen = node(basket)
    assert (seen["size"], len(seen["items"]), fields(seen)["owner"]["value"]) == (1, 1, "'jane'")
    Point = namedtuple("Point", "x y")
    assert [name for name, _ in node(Point(1, 2))["fields"]] == ["x", "y"]
    assert node(defaultdict(int, a=1))["entries"][0][1]["value"] == "1"
    assert node(OrderedDict(a=1))["size"] == 1
    assert node(deque([1, 2], 5))["size"] == 2
    assert node(types.MappingProxyType({"a": 1}))["entries"]
    assert node({"a": 1}.items())["items"][0]["size"] == 2


def test_an_exception_shows_its_arguments_and_its_cause() -> None:
    try:
        try:
            raise KeyError("total")
        except KeyError as error:
            raise ValueError("no total") from error
    except ValueError as error:
        seen = fields(node(error))
    assert seen["args"]["items"][0]["value"] == "'no total'"
    assert seen["__cause__"]["type"] == "KeyError"


def test_hidden_names_and_types_are_shown_by_their_type_alone() -> None:
    hidden = {"type": "str", "redacted": True}
    assert node("x", name="secret") == hidden
    assert fields(node(Order(secret="x")))["secret"] == hidden
    assert node({"secret": "x"})["entries"][0][1] == hidden
    assert node({b"secret": "x"})["entries"][0][1] == hidden
    assert node([(b"secret", "x")])["items"][0]["items"][1] == hidden
    kind = type("KeySecret", (), {"__module__": "shop"})
    assert node(kind()) == {"type": "shop.KeySecret", "redacted": True}


def test_texts_are_redacted_before_they_are_cut() -> None:
    assert node("it is hunter2")["value"] == "'it is ***'"
    assert node("x" * 253 + "hunter2")["value"] == repr("x" * 253 + "**")
    assert "hunter" not in json.dumps(node(Order(a=[b"hunter2", {"hunter2": ValueError("hunter2")}])))


def test_the_strict_mode_shows_types_and_sizes_only() -> None:
    things = [
        1,
        None,
        1.5,
        "canary",
        b"canary",
        {"canary": "canary"},
        Order(a="canary"),
        test_a_cycle_ends_where_it_closes,
    ]
    shown = json.dumps(node(things, shows_values=False))
    assert "canary" not in shown
    assert '"value"' not in shown
    assert node("canary", shows_values=False) == {"type": "str", "size": 6}


def test_the_bytes_of_a_capture_are_bounded() -> None:
    limits = Limits(bytes=4000, items=10_000, seconds=30.0)
    for thing in ([["é" * 200] * 100] * 100, {str(n): "\\" * 200 for n in range(1000)}, list(range(10_000))):
        seen = node(thing, limits)
        assert seen["cut"] == "bytes"
        assert len(json.dumps(seen)) < 4000 + 4 * 255 * 12


def test_the_time_of_a_capture_is_bounded() -> None:
    seen = node([[0] * 100] * 100, Limits(seconds=-1.0))
    assert seen["cut"] == "time" or seen["items"][-1]["cut"] == "time"


def test_generators_and_iterators_do_not_move() -> None:
    generator = (each for each in [1, 2])
    iterator = iter([1, 2])
    node([generator, iterator, map(str, iterator), zip(iterator), enumerate(iterator)])
    assert list(generator) == [1, 2]
    assert list(iterator) == [1, 2]


def test_what_is_half_made_or_dangles_is_shown_as_far_as_it_goes() -> None:
    class Slotted:
        __slots__ = ("a",)

    view = memoryview(b"abc")
    view.release()
    things = [
        Slotted(),
        view,
        types.CellType(),
        ValueError.__new__(ValueError),
        ctypes.py_object(),
        ctypes.POINTER(ctypes.c_int)(),
        types.SimpleNamespace.__new__(types.SimpleNamespace),
        super(Order),
    ]
    for thing in things:
        assert node(thing)["type"]


def test_a_dictionary_that_is_a_property_stays_unread() -> None:
    class Veiled:
        __dict__ = property(lambda _: touched.append("__dict__"))

    assert node(Veiled()) == {"type": node(Veiled())["type"], "note": "its class hides what it has"}


@pytest.mark.parametrize(
    "base", [list, dict, set, frozenset, tuple, str, bytes, bytearray, int, float, complex, deque]
)
def test_no_method_of_a_subclass_is_called(base: Any) -> None:
    seen = node(alive(canary_of(base), base=base))
    assert seen["type"].endswith("Canary")


def test_no_code_of_the_program_runs() -> None:
    kind = canary_of()
    thing = alive(kind)
    object.__setattr__(thing, "field", 5)
    assert fields(node(thing))["field"]["value"] == "5"
    assert node(kind)["value"].startswith("<class ")
    error = alive(canary_of(ValueError), "x", base=ValueError)
    assert fields(node(error))["args"]["size"] == 1
    module = canary_of(types.ModuleType)
    for each in ([thing, kind], (thing,), Order(a=thing), alive(module, "m", base=types.ModuleType)):
        node(each)
        Representer(PLENTY, Foreseen()).text(each)


def test_a_collection_that_other_threads_change_is_read_all_the_same() -> None:
    racing: dict[int, int] = {}
    numbers: set[int] = set()
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            for number in range(200):
                racing[number] = number
                numbers.add(number)
            racing.clear()
            numbers.clear()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            assert node([racing, numbers])["size"] == 2
    finally:
        done.set()
        thread.join()


def test_asked_for_it_shows_plain_instances_by_their_repr() -> None:
    class Known:
        def __repr__(self) -> str:
            return "Known with hunter2 " + "x" * 1000

    class Broken:
        def __repr__(self) -> str:
            raise SystemExit

    representer = Representer(PLENTY, Foreseen(), calls_user_code=True)
    seen = representer.value("", [Known(), Broken()])["items"]
    assert seen[0]["value"].startswith("Known with *** xxx")
    assert (len(seen[0]["value"]), seen[0]["cut"]) == (255, "length")
    assert seen[1]["note"] == "its __repr__ raised SystemExit"


def test_a_program_at_the_end_of_its_stack_still_gets_an_answer() -> None:
    representer = Representer(PLENTY, Foreseen())
    answers: list[Any] = []

    def at_the_end(depth: int) -> None:
        if depth:
            return at_the_end(depth - 1)
        answers.append(representer.value("", [[Order(a=[1])]]))
        return None

    limit = sys.getrecursionlimit()
    reached = 0
    for depth in range(limit - 120, limit):
        try:
            at_the_end(depth)
        except RecursionError:
            break
        reached += 1
    assert reached


def test_a_message_shows_a_value_on_one_line() -> None:
    def text(thing: object, name: str | None = None) -> str:
        return Representer(PLENTY, Foreseen()).text(thing, name)

    assert text("one\ntwo") == "one\\ntwo"
    assert text("it's hunter2") == "it's ***"
    assert text("x", "secret") == "***"
    assert text([1, "a", {"k": (None,)}]) == "[1, 'a', {'k': (None)}]"
    assert text(Order(total=5)) == "Order(total=5)"
    assert text("x" * 500) == "x" * 252 + "..."
    assert Representer(PLENTY, Foreseen(False)).text("abc") == "<str of 3>"


def test_a_message_takes_little_of_a_captures_bytes() -> None:
    representer = Representer(PLENTY, Foreseen())
    large = [["x" * 200] * 100 for _ in range(100)]
    for _ in range(5):
        assert representer.text(large).startswith("[['xxx")
    assert representer.left > PLENTY.bytes / 2
    assert representer.value("", large)["cut"] == "bytes"


_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(st.characters(exclude_categories=()), max_size=400),
    st.binary(max_size=400),
    st.decimals(),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.fractions(),
    st.functions(),
    st.sampled_from([int, Order, sys, len, object()]),
)


def _larger(inner: Any) -> Any:
    return st.one_of(
        st.lists(inner),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=10) | st.integers(), inner),
        st.frozensets(st.integers() | st.text(max_size=5)),
        st.builds(deque, st.lists(inner)),
        st.builds(
            lambda values: Order(**{f"f{at}": each for at, each in enumerate(values)}), st.lists(inner)
        ),
        st.builds(lambda each: ValueError(each), inner),
        st.builds(lambda each: types.SimpleNamespace(a=each), inner),
    )


@given(
    st.recursive(_leaves, _larger, max_leaves=30),
    st.builds(
        Limits,
        depth=st.integers(0, 6),
        items=st.integers(0, 20),
        length=st.integers(0, 300),
        fields=st.integers(0, 20),
        bytes=st.integers(0, 5000),
        seconds=st.sampled_from([-1.0, 30.0]),
    ),
    st.booleans(),
    st.sampled_from([object, dict, list, str, int, ValueError]),
)
def test_whatever_it_is_there_is_a_node_of_bounded_size(
    thing: object, limits: Limits, shows: bool, base: Any
) -> None:
    canary = alive(canary_of(base), base=base)
    touched.clear()
    for each in (thing, canary, Order(first=canary, second=[canary, (thing, {1: canary})])):
        representer = Representer(limits, Foreseen(shows))
        seen = json.dumps(representer.value("thing", each), allow_nan=False)
        assert len(seen) <= limits.bytes + 12 * limits.length + 1500
        assert len(Representer(limits, Foreseen(shows)).text(each)) <= max(limits.length, 3)
    assert not touched
