"""What lives in the program, found safely: its objects of some types, without touching any other, and the frames that
its threads run.

`gc.get_objects()` also hands out what is just being made. A tuple that another thread is filling (`tuple(a generator)`,
an import of entry points) has then two owners, and Python refuses to finish it: the program gets a SystemError. So
whatever is not wanted must be out of our hands before any other thread runs.

Threads take turns only between the instructions of Python code. `living` therefore hands over to one call of C, `list`, which
draws the objects through iterators of C, compares types by their identity and keeps what is wanted; nothing else
is left of the list of all when it returns. The types that may be asked for are never under construction. On 3.11 a garbage
collection, which runs Python code, could come in between, so none may start.

Nor may one start in `sys._current_frames`: it has a lock of the interpreter, which on 3.11 the end of a thread-local
takes too, and the program may have thread-locals among its garbage. Then all threads would wait for ever. So the frames of
threads are had from here, and nowhere else in the tap.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from itertools import chain, compress, repeat
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def living(*kinds: type) -> list[Any]:
    """Of exactly these types, which are functions, coroutines and their like: nothing that is filled after it was made.
    Every other thread waits meanwhile, about 60 ns for each object of the program."""
    wanted = {id(kind): True for kind in kinds}
    return without_collection(list, _drawn(wanted))


def current_frames() -> dict[int, FrameType]:
    """The innermost frame of each thread, the tap's own too, by the thread's ident."""
    return without_collection(sys._current_frames)


def without_collection(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """For what lists all objects or all frames. No collection of garbage starts by itself meanwhile."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return function(*args, **kwargs)
    finally:
        if collects:
            gc.enable()


def suspended_frames() -> list[FrameType]:
    """Of all coroutines and generators that have begun and wait, and of those that run."""
    found: list[FrameType | None] = []
    for each in living(CoroutineType, GeneratorType, AsyncGeneratorType):
        kind = type(each)
        if kind is CoroutineType:
            found.append(each.cr_frame)
        elif kind is GeneratorType:
            found.append(each.gi_frame)
        else:
            found.append(each.ag_frame)
    return [frame for frame in found if frame is not None]


def _drawn(wanted: dict[int, bool]) -> Iterator[Any]:
    """Draws each object twice, the second time for its type. The list of all, which is made by the first draw, has
    these iterators in it too and would live on with one that held it (as `tee` does); these let go of it at its end."""
    all_of_it = chain.from_iterable(map(gc.get_objects, (None,)))
    twice = chain.from_iterable(map(repeat, all_of_it, repeat(2)))
    return compress(twice, map(wanted.get, map(id, map(type, twice))))
