"""A function in whose place one stands that is measured: plain, coroutine, generator or asynchronous generator.

What stands there is of the same kind, so that whoever asks (`inspect.iscoroutinefunction`, a web framework)
hears the same.
"""

import types
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any

_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200
"""Flags of code objects; `inspect` has names for them, and takes milliseconds to import."""

_Measure = Callable[[], AbstractContextManager[object]]


def decorated(function: Callable[..., Any], measure: _Measure) -> Callable[..., Any]:
    """`measure` makes what is entered for each call. Raises `TypeError` for what is no function."""
    if isinstance(function, type):
        raise TypeError("operation() measures functions, and this is a class: decorate its methods")
    if not callable(function):
        raise TypeError(
            f"operation() measures functions, and this is a {type(function).__name__}: write it below "
            "@classmethod, @property and the like, next to the function"
        )
    code = getattr(function, "__code__", None)
    flags = code.co_flags if isinstance(code, types.CodeType) else 0
    if flags & _COROUTINE:
        return _coroutine(function, measure)
    if flags & _ASYNC_GENERATOR:
        return _async_generator(function, measure)
    if flags & _GENERATOR:
        return _generator(function, measure)
    return _plain(function, measure)


def _plain(function: Callable[..., Any], measure: _Measure) -> Callable[..., Any]:
    @wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        with measure():
            return function(*args, **kwargs)

    return measured


def _coroutine(function: Callable[..., Any], measure: _Measure) -> Callable[..., Any]:
    @wraps(function)
    async def measured(*args: Any, **kwargs: Any) -> Any:
        with measure():
            return await function(*args, **kwargs)

    return measured


def _generator(function: Callable[..., Any], measure: _Measure) -> Callable[..., Any]:
    @wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with measure():
            return (yield from function(*args, **kwargs))

    return measured


def _async_generator(function: Callable[..., Any], measure: _Measure) -> Callable[..., Any]:
    @wraps(function)
    async def measured(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        """There is no `yield from` for these: what is sent and thrown is passed on by hand (PEP 525)."""
        inner: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        with measure():
            try:
                value = await anext(inner)
                while True:
                    try:
                        sent = yield value
                    except GeneratorExit:
                        await inner.aclose()
                        raise
                    except BaseException as error:  # noqa: BLE001 - it is the consumer's, and for the generator
                        value = await inner.athrow(error)
                    else:
                        value = await inner.asend(sent)
            except StopAsyncIteration:
                return

    return measured
