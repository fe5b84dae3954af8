"""What the program's objects hold is read without a line of its code."""

import threading
import types

import pytest

from sonde_agent.tap import inert


class Plain:
    def __init__(self) -> None:
        self.name = "worker"


class Veiled:
    @property
    def __dict__(self) -> dict[str, object]:  # type: ignore[override]
        raise AssertionError("the program's code has run")


class Answers(Plain):
    def __getattribute__(self, name: str) -> object:
        raise AssertionError("the program's code has run")


class Slotted:
    __slots__ = ("name",)


def test_an_instance_has_its_own_attributes_and_not_a_copy() -> None:
    thing = Plain()
    inert.attributes(thing)["name"] = "other"
    assert thing.name == "other"


@pytest.mark.parametrize("thing", [Veiled(), Slotted(), 1, "text", Plain, None])
def test_what_has_none_or_hides_them_has_none(thing: object) -> None:
    assert inert.attributes(thing) == {}


def test_an_instance_that_answers_for_every_attribute_is_not_asked() -> None:
    thing = object.__new__(Answers)
    object.__setattr__(thing, "name", "worker")
    assert inert.attributes(thing) == {"name": "worker"}


def test_modules_threads_functions_and_errors_have_theirs() -> None:
    module = types.ModuleType("shop")
    module.total = 3  # type: ignore[attr-defined]
    error = ValueError()
    error.order = 7  # type: ignore[attr-defined]
    assert inert.attributes(module)["total"] == 3
    assert inert.attributes(error) == {"order": 7}
    assert inert.attributes(threading.current_thread())["_name"] == threading.current_thread().name
