"""Ending what runs in a thread of the program on somebody's behalf, wherever it is, and nothing else there.

    closed -- run --> OPEN -- the work returns or raises --> closed       (an interruption reaches OPEN code only)
                       |  ^
                 shut  v  | reopen                                       (round code that must not be torn)
                      closed

An evaluation is interrupted by an asynchronous exception in its thread, again and again until it has left,
because the program's code may swallow it. Python raises such an exception when the thread next calls, is called
or jumps back, so one that was set just before the end would go off in whatever comes next. Hence two rules:

- who closes sets `open` to False and then jumps back once, with no call before that: what is pending goes off
  there;
- who interrupts looks at `open` and sets the exception, with no call between the two.

The interpreter switches threads at exactly the same places, and the C function keeps the GIL, so neither can come
between the other's two steps.

Before 3.13 a pending exception is a flag of all threads, which only its raising takes down; while it is up all
of them are slow, and on 3.11 a traced thread cannot call a function at all. Nor does setting none (NULL) take it
down, it puts it up. So one that has not gone off soon is withdrawn: none is set in its thread, and one in ours,
where it goes off.

What sits in C (a sleep, a big sort) is interrupted when that returns, not before: nothing can be done about it
from inside the process.
"""

import sys
from _thread import get_ident
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from importlib import import_module
from time import monotonic, sleep
from typing import Any

GIVE_UP_AFTER = 2.0
"""Seconds of interrupting in vain after which the viewer is told so."""
_PENDING_FOR = 0.1
"""Seconds that one interruption may be pending."""
_AGAIN = 0.005
"""Seconds: whoever shows a list may swallow one for each of its items."""
_SELDOM = 2.0
"""Seconds between attempts at one that was given up."""
_CANCEL_FOR = 0.3
"""Seconds that an event loop has to end a cancelled task by itself."""
_MOST_UNWANTED = 1000
_TWICE = (1, 2)


class Interrupted(BaseException):
    """Raised in the midst of an evaluation; does not get out of it. Not an `Exception`, which much code swallows."""


class InterruptedLoop(Interrupted, KeyboardInterrupt):
    """The same for an event loop, which lets only KeyboardInterrupt and SystemExit pass and logs all others."""


class Verdict(Enum):
    LET_RUN = "let run"
    INTERRUPT = "interrupt"
    GIVE_UP = "give up"
    LEAVE = "leave for now"


class Evaluation:
    """`seq` and `name` are the request's number and command, if it is somebody's (a breakpoint's condition is
    nobody's)."""

    def __init__(
        self,
        thread: int,
        seq: int | None,
        since: float,
        name: str = "",
        error: type[Interrupted] = Interrupted,
    ) -> None:
        self.thread = thread
        self.seq = seq
        self.since = since
        self.name = name
        self.error = error
        self.open = False
        self.unwanted_since: float | None = None
        self.tried_at = 0.0
        self.told = False
        """Somebody has been answered: either pydevd did, or we did because it would not end."""
        self.wake: Callable[[], object] | None = None
        self.contexts: list[Any] = []
        """Entered and to be left, by whoever comes first: an exception may prevent their own end."""

    @property
    def interrupted(self) -> bool:
        return self.unwanted_since is not None

    def message(self, now: float) -> str:
        return f"interrupted after {now - self.since:.1f} s"


def judge(evaluation: Evaluation, limit: float, now: float) -> Verdict:
    """`limit` in seconds from its start."""
    unwanted = evaluation.unwanted_since
    if unwanted is None:
        return Verdict.INTERRUPT if now - evaluation.since >= limit else Verdict.LET_RUN
    if now - unwanted < GIVE_UP_AFTER:
        return Verdict.INTERRUPT
    if not evaluation.told:
        return Verdict.GIVE_UP
    return Verdict.INTERRUPT if now - evaluation.tried_at >= _SELDOM else Verdict.LEAVE


class Evaluations:
    """All that run in this process at the moment. `run`, `shut` and `reopen` in their own threads; `look` and
    `interrupt_all` in others, and not in the program's."""

    def __init__(self, limit: float) -> None:
        # ctypes costs a program that is never debugged more at start than it would be worth here
        ctypes = import_module("ctypes")
        name = "PyThreadState_SetAsyncExc", ctypes.pythonapi
        ident, none = ctypes.c_ulong, ctypes.c_void_p
        self._ident: Callable[[int], Any] = ident
        self._set: Callable[[Any, Any], int] = ctypes.PYFUNCTYPE(ctypes.c_int, ident, ctypes.py_object)(name)
        self._set_none: Callable[[Any, None], int] = ctypes.PYFUNCTYPE(ctypes.c_int, ident, none)(name)
        self._limit = limit
        self._running: dict[int, Evaluation] = {}
        self._unwanted: dict[int, object] = {}
        self._refusing = False

    def run(
        self,
        work: Callable[[], Any],
        seq: int | None = None,
        name: str = "",
        error: type[Interrupted] = Interrupted,
    ) -> tuple[Evaluation, Any, str]:
        """The evaluation, what the work returned, and what got out of it, in words. Never raises, whatever the
        work does: SystemExit and its like were meant for the evaluation, and the program is not to end by them."""
        evaluation = Evaluation(get_ident(), seq, monotonic(), name, error)
        around = self._running.get(evaluation.thread)
        result, raised = None, None
        try:
            self._running[evaluation.thread] = evaluation
            if self._refusing:
                evaluation.unwanted_since = evaluation.since
            evaluation.open = True
            result = work()
            evaluation.open = False
        except BaseException as caught:  # noqa: BLE001 - whatever it is, it is not the program's
            evaluation.open = False
            raised = caught
        with_it = ""
        try:
            for _ in _TWICE:
                pass
        except Interrupted:
            with_it = Interrupted.__name__
        failure = with_it if raised is None else _in_words(raised)
        raised = None  # its traceback keeps this frame, and with it the program's values
        if around is None:
            self._running.pop(evaluation.thread, None)
        else:
            self._running[evaluation.thread] = around
        while evaluation.contexts:
            with suppress(Exception):
                evaluation.contexts.pop().__exit__(None, None, None)
        return evaluation, result, failure

    def current(self) -> Evaluation | None:
        return self._running.get(get_ident())

    def shut(self, evaluation: Evaluation) -> None:
        """Until `reopen`, nothing interrupts it. May itself be where it is interrupted, and is then not shut."""
        evaluation.open = False
        try:
            for _ in _TWICE:
                pass
        except Interrupted:
            evaluation.open = True
            raise

    def reopen(self, evaluation: Evaluation) -> None:
        evaluation.open = True

    def running(self) -> list[Evaluation]:
        return list(self._running.values())

    def end(self, seq: int, now: float) -> bool:
        """From now on it is unwanted; whether it runs. One that waits for its turn is not run when this comes."""
        found = [each for each in self.running() if each.seq == seq]
        for evaluation in found:
            if evaluation.unwanted_since is None:
                evaluation.unwanted_since = now
        if not found:
            self._unwanted[seq] = None
            if len(self._unwanted) > _MOST_UNWANTED:
                self._unwanted.pop(next(iter(self._unwanted)), None)
        return bool(found)

    def is_unwanted(self, seq: int) -> bool:
        """Whether it must not be run when its turn comes. Asked once: its number is forgotten."""
        return self._unwanted.pop(seq, self) is None or self._refusing

    def look(self, now: float) -> tuple[bool, list[Evaluation]]:
        """Interrupts what is over its limit or unwanted, for up to 0.1 s: whether such is left, and those to give
        up, each told once."""
        given_up, pressed = [], []
        for evaluation in self.running():
            verdict = judge(evaluation, self._limit, now)
            if verdict is Verdict.GIVE_UP:
                given_up.append(evaluation)
            if verdict is Verdict.INTERRUPT:
                pressed.append(evaluation)
        self._press(pressed, now)
        return any(each.open for each in pressed), given_up

    def interrupt_all(self, now: float) -> None:
        """For good: what starts from now on is interrupted at once. To be called until nothing runs."""
        self._refusing = True
        self._press(self.running(), now)

    def _press(self, pressed: Sequence[Evaluation], now: float) -> None:
        for evaluation in pressed:
            evaluation.tried_at = now
            if evaluation.unwanted_since is None:
                evaluation.unwanted_since = now
        deadline = monotonic() + _PENDING_FOR
        while any(each.open for each in pressed) and monotonic() < deadline:
            for evaluation in pressed:
                self._interrupt(evaluation, now)
            sleep(_AGAIN)
        if sys.version_info < (3, 13) and (left := [each for each in pressed if each.open]):
            self._withdraw(left)

    def _interrupt(self, evaluation: Evaluation, now: float) -> None:
        if evaluation.wake is not None:
            with suppress(RuntimeError):  # its loop has just been closed
                evaluation.wake()
            if evaluation.unwanted_since is not None and now - evaluation.unwanted_since < _CANCEL_FOR:
                return
        set_pending, target, error = self._set, self._ident(evaluation.thread), evaluation.error
        if evaluation.open:
            set_pending(target, error)

    def _withdraw(self, left: Sequence[Evaluation]) -> None:
        for evaluation in left:
            self._set_none(self._ident(evaluation.thread), None)
        with suppress(Interrupted):
            self._set(self._ident(get_ident()), Interrupted)


def _in_words(raised: BaseException) -> str:
    """Without running any code of the program's."""
    kind = type(raised).__name__
    first = raised.args[0] if type(raised.args) is tuple and raised.args else ""
    return f"{kind}: {first}"[:500] if type(first) in {str, int} and first != "" else kind
