"""Looking through the program's heap leaves the program alone."""

import ast
import gc
import sys
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from types import AsyncGeneratorType, CoroutineType, FrameType, FunctionType, GeneratorType
from typing import Any

import pytest

from sonde_agent.tap import heap
from sonde_agent.tap.heap import current_frames, living, suspended_frames, without_collection

TAP = Path(heap.__file__).parent
TUPLES = 300


def numbers() -> Iterator[int]:
    yield from range(2000)


def test_what_another_thread_is_just_making_is_not_held_by_anybody_else() -> None:
    """A tuple that somebody else holds while it is filled cannot be finished: SystemError."""
    failed: list[SystemError] = []
    done = threading.Event()

    def fill() -> None:
        try:
            for _ in range(TUPLES):
                assert len(tuple(numbers())) == 2000
        except SystemError as error:
            failed.append(error)
        finally:
            done.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        thread = threading.Thread(target=fill)
        thread.start()
        while not done.is_set():
            living(FunctionType, GeneratorType)
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failed == []


def test_the_list_of_all_does_not_outlive_the_look() -> None:
    thing: list[int] = []
    before = sys.getrefcount(thing)
    assert living(FunctionType)
    assert sys.getrefcount(thing) == before


def test_only_exactly_these_types_are_found() -> None:
    def here() -> None: ...

    found = living(FunctionType)
    assert any(each is here for each in found)
    assert {type(each) for each in found} == {FunctionType}


def test_no_code_of_a_metaclass_is_run() -> None:
    class Meta(type):
        def __hash__(cls) -> int:
            raise AssertionError

        def __eq__(cls, other: object) -> bool:
            raise AssertionError

        def __instancecheck__(cls, instance: Any) -> bool:
            raise AssertionError

    class Odd(metaclass=Meta):
        @property
        def __class__(self) -> Any:
            raise AssertionError

        @__class__.setter
        def __class__(self, value: Any) -> None: ...

    odd = [Odd() for _ in range(3)]
    assert living(CoroutineType) is not None
    assert len(odd) == 3


def test_frames_of_what_waits_are_found() -> None:
    async def coroutine() -> None: ...

    async def asynchronous() -> AsyncIterator[int]:
        yield 1

    waiting: Coroutine[Any, Any, None] = coroutine()
    generator, agenerator = numbers(), asynchronous()
    assert isinstance(generator, GeneratorType)
    assert isinstance(agenerator, AsyncGeneratorType)
    assert isinstance(waiting, CoroutineType)
    wanted = {id(generator.gi_frame), id(agenerator.ag_frame), id(waiting.cr_frame)}
    assert wanted <= {id(frame) for frame in suspended_frames()}
    waiting.close()


def test_the_innermost_frame_of_each_thread_is_found() -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def stands() -> None:
        arrived.set()
        go_on.wait()

    def functions(frame: FrameType | None) -> list[str]:
        names = []
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        return names

    thread = threading.Thread(target=stands)
    thread.start()
    try:
        arrived.wait()
        frames = current_frames()
        assert "stands" in functions(frames[thread.ident or 0])
        here = functions(frames[threading.get_ident()])
        assert "test_the_innermost_frame_of_each_thread_is_found" in here
    finally:
        go_on.set()
        thread.join()


def test_no_garbage_is_collected_meanwhile() -> None:
    """Such as a thread-local of the program's, whose end would wait for the lock that the list of all frames has."""
    collections: list[str] = []
    meanwhile = False

    def note(phase: str, _: dict[str, int]) -> None:
        if meanwhile:
            collections.append(phase)

    def fill() -> None:
        nonlocal meanwhile
        meanwhile = True
        for _ in range(50):
            assert [set() for _ in range(10)]
        meanwhile = False

    thresholds = gc.get_threshold()
    gc.callbacks.append(note)
    gc.set_threshold(1)
    try:
        without_collection(fill)
        assert collections == []
        fill()
        assert collections  # else nothing could be seen here
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(note)


@pytest.mark.parametrize("on", [True, False])
def test_collection_is_off_meanwhile_and_on_again_only_where_it_was_on(
    on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    frames, objects = sys._current_frames, gc.get_objects

    def noted_frames() -> dict[int, FrameType]:
        seen.append(gc.isenabled())
        return frames()

    def noted_objects(generation: int | None) -> list[Any]:
        seen.append(gc.isenabled())
        return objects(generation)

    monkeypatch.setattr(sys, "_current_frames", noted_frames)
    monkeypatch.setattr(gc, "get_objects", noted_objects)
    if not on:
        gc.disable()
    try:
        current_frames()
        living(FunctionType)
        with pytest.raises(ZeroDivisionError):
            without_collection(divmod, 1, 0)
        assert seen == [False, False]
        assert gc.isenabled() is on
    finally:
        gc.enable()


@pytest.mark.parametrize("module", sorted(TAP.rglob("*.py")), ids=lambda path: path.stem)
def test_all_frames_and_all_objects_are_listed_nowhere_else(module: Path) -> None:
    names = {
        each.attr if isinstance(each, ast.Attribute) else each.value if isinstance(each, ast.Constant) else ""
        for each in ast.walk(ast.parse(module.read_text()))
        if isinstance(each, ast.Attribute | ast.Constant)
    }
    listed = names & {"_current_frames", "get_objects"}
    assert listed == ({"_current_frames", "get_objects"} if module.stem == "heap" else set())
