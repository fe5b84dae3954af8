"""The guest's wall: what goes wrong in the tap ends here and never reaches the program.

The only broad `except` of the tap, but for callbacks of the interpreter, which then come here (`fell`). With
SONDE_TEST_RAISE set it lets everything through, so that our own tests see our faults.
"""

import os
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
TEST_VARIABLE = "SONDE_TEST_RAISE"


def behind(action: Callable[[], T], otherwise: T) -> T:
    """The action's result, or `otherwise` when it fails. KeyboardInterrupt and SystemExit are the program's."""
    try:
        return action()
    except Exception:
        if os.environ.get(TEST_VARIABLE):
            raise
        return otherwise


def start_thread(action: Callable[[], None], name: str) -> threading.Thread:
    """A daemon thread behind the wall that no debugger stops or shows.

    pydevd looks for both marks, and they must be there before the thread runs: without the first it suspends
    the thread with all others, without the second it lists it.
    """

    def live() -> None:
        behind(action, None)
        _stay_in_table(thread)

    thread = threading.Thread(target=live, name=name, daemon=True)
    thread.pydev_do_not_trace = True  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - pydevd's mark
    thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - pydevd's mark
    thread.start()
    return thread


def _stay_in_table(thread: threading.Thread) -> None:
    """Under the number that the thread has now: gevent gives it another, and its end, which looks for itself in the
    table of threads, would be printed as an error."""
    active: dict[int | None, threading.Thread] = getattr(threading, "_active", {})
    if threading.get_ident() not in active:
        active.pop(thread.ident, None)
        active[threading.get_ident()] = thread


def is_ours(thread: threading.Thread | None) -> bool:
    """True for threads of the tap and of pydevd. The mark is the thread's own; a class of the program's is not asked."""
    own = object.__getattribute__(thread, "__dict__") if thread is not None else {}
    return own.get("is_pydev_daemon_thread") is True


def fell() -> None:
    """In an `except Exception` of a callback that is called too often for another call in between."""
    if os.environ.get(TEST_VARIABLE):
        raise  # noqa: PLE0704 - what is being handled
