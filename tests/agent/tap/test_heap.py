"""Looking through the program's heap leaves the program alone."""

import gc
import sys
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType
from typing import Any

from sonde_agent.tap.heap import living, suspended_frames

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


def test_collection_is_on_again_only_where_it_was_on() -> None:
    gc.disable()
    try:
        living(FunctionType)
        assert not gc.isenabled()
    finally:
        gc.enable()
    living(FunctionType)
    assert gc.isenabled()
