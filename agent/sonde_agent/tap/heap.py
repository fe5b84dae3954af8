"""The program's living objects of some types, found without touching any other.

`gc.get_objects()` also hands out what is just being made. A tuple that another thread is filling (`tuple(a generator)`,
an import of entry points) has then two owners, and Python refuses to finish it: the program gets a SystemError. So
whatever is not wanted must be out of our hands before any other thread runs.

Threads take turns only between the instructions of Python code. `living` therefore hands over to one call of C, `list`, which
draws the objects through iterators of C, compares types by their identity and keeps what is wanted; nothing else
is left of the list of all when it returns. The types that may be asked for are never under construction. On 3.11 a garbage
collection, which runs Python code, could come in between, so none may start.
"""

import gc
from collections.abc import Iterator
from itertools import chain, compress, repeat
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any


def living(*kinds: type) -> list[Any]:
    """Of exactly these types, which are functions, coroutines and their like: nothing that is filled after it was made.
    Every other thread waits meanwhile, about 60 ns for each object of the program."""
    wanted = {id(kind): True for kind in kinds}
    collects = gc.isenabled()
    gc.disable()
    try:
        return list(_drawn(wanted))
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
