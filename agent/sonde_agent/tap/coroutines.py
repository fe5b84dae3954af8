"""What a coroutine awaits, link by link, down to what does not await any more."""

import gc
import sys
from collections.abc import Iterator
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any

from sonde_agent.tap import inert
from sonde_agent.tap.identity import plain


def frames_of(coroutine: Any) -> Iterator[FrameType]:
    """Outermost first. Types are compared by identity: anything else may be the program's."""
    for _ in range(sys.getrecursionlimit()):
        kind = type(coroutine)
        if kind is CoroutineType:
            frame, inner = coroutine.cr_frame, coroutine.cr_await
        elif kind is GeneratorType:
            frame, inner = coroutine.gi_frame, coroutine.gi_yieldfrom
        elif kind is AsyncGeneratorType:
            frame, inner = coroutine.ag_frame, coroutine.ag_await
        elif coroutine is not None and inert.is_of_c(kind):
            # `async for` and `__await__` put an object between that shows what it is for to the collector alone.
            frame, inner = None, _coroutine_in(gc.get_referents(coroutine))
        else:
            return
        if frame is not None:
            yield frame
        coroutine = inner


def name(coroutine: Any) -> str:
    kind = type(coroutine)
    if kind is CoroutineType:
        return plain(coroutine.cr_code.co_qualname)
    if kind is GeneratorType:
        return plain(coroutine.gi_code.co_qualname)
    return inert.class_name(kind)


def _coroutine_in(things: list[Any]) -> Any:
    kinds = (CoroutineType, GeneratorType, AsyncGeneratorType)
    return next((each for each in things if type(each) in kinds), None)
