"""`with sonde_agent.operation("charge-card"):` what the program measures of its own work.

Whoever enters and leaves only notes it, in a queue; the notes become counts later: in the tap's thread each
second, or in the thread that finds too many. Nobody ever waits for a lock: appending to a deque is one step, and
so is the claim that makes one thread the only one that counts; who does not get it goes on. So a signal handler,
a `__del__`, a thread that stands in the debugger, or a build without the GIL makes counts late, and no more.

Counts are kept from the first use on, with a tap or without, and start at zero in a forked child.
"""

import os
from collections import deque
from collections.abc import Callable
from itertools import count
from sys import modules
from threading import get_ident
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from sonde_agent.tap import cancellation, wall
from sonde_agent.tap.cancellation import current_task
from sonde_agent.tap.decorating import decorated
from sonde_agent.tap.tally import Outcome, Tally

MOST_NAMES = 200
"""Operations of further names are counted as dropped."""
LONGEST_NAME = 120
COUNT_ABOVE = 250
"""Notes; then whoever begins an operation makes counts of them. Few enough not to set off the garbage collector."""
MOST_NOTES = 50_000
"""While nobody can do so, because a thread stands in the midst of it. Operations that begin then are dropped."""

_Note = tuple[Tally, int, int, Outcome | None]
_Entry = tuple[int, int | None, Any]
_Result = TypeVar("_Result")
_Function = TypeVar("_Function", bound=Callable[..., Any])

_tallies: dict[str, Tally] = {}
_nameless = Tally("")
"""Of all names that are too many."""
_notes: deque[Tally | _Note] = deque()
"""A tally: one of its operations began. A tuple: one ended."""
_claims: dict[str, object] = {}
_unnoted = count()
_looks_at_unnoted = 0
_forked_at = 0


class operation:  # it is used like a function, hence its name
    """Measures what is done in its block, in the function that it decorates, or in one run of its generator.

        with operation("charge-card"): ...
        async with operation("charge-card"): ...
        @operation("charge-card")

    `async with` awaits nothing. A generator is measured from its first step until it is exhausted or closed, with
    what its consumer does in between. One object may be entered any number of times, also at once by several
    threads and asyncio tasks; of other libraries' tasks (trio, gevent) each needs an object of its own.

    An exception is an error, by its class. A cancellation is none (of asyncio, trio, a future of
    `concurrent.futures`; also a generator that is closed early), but an operation that had been cancelled and did
    not end by it swallowed the cancellation: a scope error.

    Raises `TypeError` or `ValueError` for a name that is no text of 1 to 120 printable characters, before anything
    of the block ran, and `TypeError` for what it cannot decorate. Nothing else is ever raised.
    """

    __slots__ = ("_entries", "_tally")

    def __init__(self, name: str) -> None:
        self._tally: Tally = _tallies.get(name) or _tally_for(name)
        self._entries: dict[int, _Entry] = {}
        """By task or thread: when it entered, how often its task had been cancelled by then, its entry before."""

    def __enter__(self) -> Self:
        task = current_task() if "asyncio" in modules else None
        key = get_ident() if task is None else id(task)
        asked = None if task is None else cancellation.asked(task)
        entries = self._entries
        before = entries.get(key) if entries else None
        if len(_notes) < COUNT_ABOVE or _make_room():
            _notes.append(self._tally)
            entries[key] = (perf_counter_ns(), asked, before)
        else:
            next(_unnoted)
            entries[key] = (0, asked, before)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = perf_counter_ns()
        task = current_task() if "asyncio" in modules else None
        key = get_ident() if task is None else id(task)
        entry = self._entries.pop(key, None)
        if entry is None:  # entered elsewhere, as when a pool of threads runs the steps of a generator
            try:
                key, entry = self._entries.popitem()
            except KeyError:
                return
            task = None
        began, asked, before = entry
        if before is not None:
            self._entries[key] = before
        outcome = None if error is None and task is None else _outcome(error, task, asked)
        if began:
            _notes.append((self._tally, began, ended, outcome))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: _Function) -> _Function:
        return cast("_Function", decorated(function, lambda: _of(self._tally)))


def read() -> dict[str, Any] | None:
    """Fields of the wire's `Metrics`. None when another thread counts just now, or stands while it does."""
    return _alone(_read)


def _outcome(error: BaseException | None, task: Any, asked: int | None) -> Outcome | None:
    """None: it ended well."""
    if error is not None and cancellation.is_cancellation(error):
        return None, True, False
    swallowed = asked is not None and task is not None and cancellation.has_swallowed(task, asked)
    if error is None:
        return (None, False, True) if swallowed else None
    return cancellation.name_of(type(error)), False, swallowed


def _of(tally: Tally) -> operation:
    fresh = object.__new__(operation)
    fresh._tally = tally
    fresh._entries = {}
    return fresh


def _tally_for(name: str) -> Tally:
    if not isinstance(name, str):
        raise TypeError(
            f'an operation needs a name, as in operation("charge-card"), not {type(name).__name__}'
        )
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise ValueError(
            f"{name[:LONGEST_NAME]!r} cannot name an operation: use 1 to {LONGEST_NAME} printable characters"
        )
    if len(_tallies) >= MOST_NAMES:
        return _nameless
    return _tallies.setdefault(str(name), Tally(str(name)))


def _make_room() -> bool:
    wall.behind(lambda: _alone(_count), None)
    return len(_notes) < MOST_NOTES


def _alone(action: Callable[[], _Result]) -> _Result | None:
    """What the action gives, unless another thread is at it, or this one further down. An exception of a signal
    handler may fly through here at any point, hence the claim within the `try`."""
    claim = object()
    try:
        return action() if _claims.setdefault("count", claim) is claim else None
    finally:
        if _claims.get("count") is claim:
            del _claims["count"]


def _count() -> None:
    for _ in range(len(_notes)):
        note = _notes.popleft()
        if isinstance(note, Tally):
            note.begun += 1
        else:
            tally, began, ended, outcome = note
            if began > _forked_at:
                tally.end(began, ended, outcome)


def _read() -> dict[str, Any]:
    global _looks_at_unnoted
    _count()
    now = perf_counter_ns()
    unnoted = next(_unnoted) - _looks_at_unnoted  # to look is to count on
    _looks_at_unnoted += 1
    return {
        "operations": [each.read(now) for each in list(_tallies.values()) if each.begun],
        "operations_dropped": unnoted + _nameless.begun,
    }


def _forked() -> None:
    """In the child: another thread may have been counting, and is not here."""
    global _forked_at, _unnoted, _looks_at_unnoted
    _forked_at = perf_counter_ns()
    _notes.clear()
    _claims.clear()
    for tally in (*_tallies.values(), _nameless):
        tally.clear()
    _unnoted, _looks_at_unnoted = count(), 0


os.register_at_fork(after_in_child=_forked)
