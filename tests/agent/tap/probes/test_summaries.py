"""What is said of objects of the standard library and of well-known ones in place of their insides."""

import dataclasses
import datetime
import decimal
import enum
import functools
import pathlib
import re
import threading
import types
import uuid
import weakref
import zoneinfo
from array import array
from typing import Any

import pytest

from tests.agent.tap.probes.looking import alive, canary_of, fields, node, touched


class Color(enum.Enum):
    RED = 1
    BLUE = "blue"


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


def value(thing: object) -> Any:
    return node(thing).get("value")


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (decimal.Decimal("1.50"), "Decimal('1.50')"),
        (datetime.date(2024, 5, 1), "2024-05-01"),
        (datetime.datetime(2024, 5, 1, 12, 30), "2024-05-01 12:30:00"),
        (datetime.datetime(2024, 5, 1, 12, 30, 1, 5, datetime.UTC), "2024-05-01 12:30:01.000005+00:00"),
        (datetime.time(1, 2, 3), "01:02:03"),
        (datetime.timedelta(days=-1, seconds=5), "-1 day, 0:00:05"),
        (datetime.timezone(datetime.timedelta(hours=-3, minutes=-30)), "-03:30"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/srv") / "app.py", "PurePosixPath('/srv/app.py')"),
        (pathlib.PurePosixPath("srv/app.py"), "PurePosixPath('srv/app.py')"),
        (re.compile("a+"), "re.compile('a+')"),
        (re.match("a+", "aab"), "<match at 0 to 2: 'aa'>"),
        (Color.RED, "<Color.RED: 1>"),
        (Color.BLUE, "<Color.BLUE: 'blue'>"),
        (Access.READ | Access.WRITE, "<Access.READ|WRITE: 3>"),
        (range(5), "range(0, 5)"),
        (slice(1, None), "slice(1, None, None)"),
        (..., "Ellipsis"),
        (len, "<built-in function len>"),
        (Color, f"<class '{__name__}.Color'>"),
        (threading.Lock(), "unlocked"),
    ],
)
def test_values_of_the_standard_library_are_one_text(thing: object, expected: str) -> None:
    assert value(thing) == expected


def test_a_zone_is_told_by_its_name_and_not_asked() -> None:
    class Zone(datetime.tzinfo):
        def utcoffset(self, _: object) -> Any:
            raise AssertionError

        tzname = dst = utcoffset

    berlin = datetime.datetime(2024, 5, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    assert value(berlin) == "2024-05-01 00:00:00 Europe/Berlin"
    assert value(datetime.datetime(2024, 5, 1, tzinfo=Zone())).endswith("Zone")


def test_subclasses_of_the_programs_are_read_without_their_methods() -> None:
    touched.clear()
    made = alive(canary_of(datetime.datetime), 2024, 5, 1, base=datetime.datetime)
    assert value(made) == "2024-05-01 00:00:00"
    assert value(alive(canary_of(decimal.Decimal), "2.5", base=decimal.Decimal)) == "Decimal('2.5')"
    assert not touched


def test_a_number_of_very_many_digits_is_told_by_its_size() -> None:
    assert node(decimal.Decimal("1" * 100_000))["note"].startswith("of ")


def test_code_is_told_by_its_name_and_place() -> None:
    def function() -> int:
        return 1

    def steps() -> Any:
        yield 1

    generator = steps()
    assert "function at " in value(function)
    assert value(generator).endswith(f"waiting at line {generator.gi_frame.f_lineno}>")
    assert list(generator) == [1]
    assert value(generator).endswith("ended>")
    assert value("".join) == "<built-in function join>"
    assert value(generator.close) == "<built-in function close>"
    assert value(pathlib.PurePath("a").joinpath).startswith("<bound method PurePath.joinpath of pathlib")
    assert value(types).startswith("<module 'types' from ")
    partial = fields(node(functools.partial(int, "1")))
    assert partial["args"]["size"] == 1


def test_references_are_told_by_the_type_at_their_other_end() -> None:
    class Target:
        pass

    target = Target()
    reference, proxy = weakref.ref(target), weakref.proxy(target)
    assert node(reference)["note"].endswith("Target")
    assert node(proxy)["note"] == "weak proxy"
    del target
    assert node(reference)["note"] == "dead"
    assert node(proxy)["note"] == "weak proxy"


def test_memory_is_told_by_its_shape() -> None:
    assert node(memoryview(bytes(6)).cast("B", (2, 3)))["note"] == "B (2, 3), 6 bytes"
    assert node(array("d", [1, 2]))["note"] == "d (2,)"


def test_a_dataclass_shows_its_fields() -> None:
    @dataclasses.dataclass(slots=True)
    class Point:
        x: int
        y: int

    assert {name: each["value"] for name, each in node(Point(1, 2))["fields"]} == {"x": "1", "y": "2"}


def test_a_class_that_only_has_the_name_of_a_known_one_is_read_as_it_is() -> None:
    kind = type("UUID", (), {"__module__": "uuid"})
    thing = kind()
    thing.int = "no number"
    assert fields(node(thing))["int"]["value"] == "'no number'"


def test_arrays_are_told_by_type_and_shape() -> None:
    numpy = pytest.importorskip("numpy")
    assert node(numpy.zeros((3, 4), "f4")) == {"type": "numpy.ndarray", "note": "float32 (3, 4)"}
    assert node(numpy.zeros(3, [("a", "i4")]))["note"] == "record (3,)"
    assert node(numpy.array(None))["note"] == "object ()"
    assert value(numpy.float64(1.5)) == "1.5"
    assert value(numpy.int32(5)) == "5"
    assert value(numpy.str_("a")) == "'a'"
    assert value(numpy.dtype("i4")) == "int32"
    assert node(numpy.zeros(2), shows_values=False)["note"] == "float64 (2,)"


def test_tables_are_told_by_types_and_shape() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": [1, 2], "b": [1.5, 2.5], "c": [True, False]})
    assert node(table) == {"type": node(table)["type"], "note": "int64, float64, bool (2, 3)"}
    assert node(table["a"])["note"] == "int64 (2,)"
    assert node(table.index)["note"] == "int64 (2,)"
    assert node(pandas.Series(pandas.Categorical(["a", "b"])))["note"] == "Categorical (2,)"
    assert node(pandas.date_range("2020", periods=3))["note"] == "DatetimeArray (3,)"
    assert value(pandas.Timestamp("2020-01-01", tz="UTC")) == "2020-01-01 00:00:00+00:00"
    assert value(pandas.NaT) == "NaT"


def test_a_tensor_is_told_by_type_shape_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch is too large for a test: an array of numpy's has the same attributes in C."""
    numpy = pytest.importorskip("numpy")
    torch, inner = types.ModuleType("torch"), types.ModuleType("torch._C")

    class Tensor(numpy.ndarray):  # type: ignore[misc, name-defined]
        pass

    Tensor.__module__, Tensor.__qualname__ = "torch", "Tensor"
    torch.Tensor = Tensor  # type: ignore[attr-defined]
    modes = 0
    inner._len_torch_function_stack = lambda: modes  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "torch", torch)
    monkeypatch.setitem(__import__("sys").modules, "torch._C", inner)
    tensor = numpy.zeros((2, 3)).view(Tensor)
    assert node(tensor)["note"].endswith("(2, 3)")
    modes = 1
    assert node(tensor)["note"] == "tensor"


def test_models_show_their_fields_and_what_stands_beside_them() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        model_config = pydantic.ConfigDict(extra="allow")
        total: int
        _kept: int = pydantic.PrivateAttr(default=3)

    seen = fields(node(Model(total=1, more=2)))
    assert {name: each["value"] for name, each in seen.items()} == {"total": "1", "more": "2", "_kept": "3"}


@pytest.mark.parametrize("slots", [True, False])
def test_classes_of_attrs_show_their_fields(slots: bool) -> None:
    attrs = pytest.importorskip("attrs")
    kind = attrs.make_class("Point", ["x", "y"], slots=slots)
    assert {name: each["value"] for name, each in node(kind(1, 2))["fields"]} == {"x": "1", "y": "2"}
