"""What a probe reads of a frame, and that it leaves the frame as it was."""

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType

import pytest

from sonde_agent.tap.probes.frames import let_go, thread_name
from sonde_agent.tap.probes.gate import Gate
from sonde_agent.tap.probes.making import make
from sonde_agent.tap.probes.specification import Specification

Look = Callable[[FrameType], None]


def _by_reading(frame: FrameType) -> None:
    variables = frame.f_locals
    let_go(frame, variables)


def _by_a_condition(frame: FrameType) -> None:
    gate = Gate(0.0, 1e12)
    gate.bind()
    spec = Specification(id="p", kind="counter", condition="number < 0")
    make(spec, gate, lambda event, size: None, lambda: None).hit(frame)
    assert (gate.hits, gate.failures) == (0, 0)


WAYS = pytest.mark.parametrize("look", [_by_reading, _by_a_condition])


@WAYS
def test_what_was_read_does_not_stay_alive(look: Look) -> None:
    class Large:
        pass

    def work(number: int) -> object:
        large = Large()
        reference = weakref.ref(large)
        look(sys._getframe())
        del large
        gc.collect()
        return reference()

    assert work(7) is None


@WAYS
def test_what_exec_has_made_is_still_there(look: Look) -> None:
    def work(number: int, look: Look) -> object:
        exec("made = number + 1")  # noqa: S102 - it is what programs do
        look(sys._getframe())
        return locals().get("made")

    assert work(7, look) == work(7, lambda frame: None)


@WAYS
def test_a_dictionary_that_the_program_has_keeps_its_names(look: Look) -> None:
    def work(number: int) -> dict[str, object]:
        own = locals()
        look(sys._getframe())
        return own

    assert work(7)["number"] == 7


def test_a_module_s_names_stay() -> None:
    names = {"look": _by_reading, "sys": sys, "number": 7}
    exec("look(sys._getframe())", names)  # noqa: S102 - as a module is run
    assert names["number"] == 7


def test_a_thread_has_the_name_that_the_program_gave_it() -> None:
    names: list[str] = []
    thread = threading.Thread(target=lambda: names.append(thread_name()), name="fetching")
    thread.start()
    thread.join()
    assert names == ["fetching"]
