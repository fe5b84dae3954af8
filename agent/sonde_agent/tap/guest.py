"""The tap's life in the process: starting, stopping, forking, ending. At most one tap at a time.

In a forked child the tap is silent: the thread stayed in the parent, and so did the line and the debugger.
"""

import atexit
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from sonde_agent import link
from sonde_agent.tap import calls, debugger, identity, wall
from sonde_agent.tap.connection import ENDED, State
from sonde_agent.tap.sidecar import Sidecar, named_place
from sonde_agent.tap.thread import Tap

STOP_TIMEOUT = 5.0
LAST_WORD_TIMEOUT = 0.2
"""Seconds that the end of the program may be held up for."""
VERBOSE_VARIABLE = "SONDE_VERBOSE"


@dataclass(frozen=True)
class Status:
    """`state` is off, connecting, greeting, serving, waiting, refused or stopped; `reason` is for people;
    `process` is the process's address once the sidecar has told it."""

    state: str
    reason: str = ""
    process: str = ""


_tap: Tap | None = None
_starting = threading.Lock()
_hooked = False


def start(
    service: str | None,
    namespace: str | None,
    instance: str | None,
    labels: Mapping[str, str] | None,
    sidecar: str | None,
    bus: str | None,
) -> None:
    """See `sonde_agent.start`."""
    who = identity.resolve(service, namespace, instance, labels, os.environ)
    where = named_place(sidecar, os.environ)
    wall.behind(lambda: _start(who, Sidecar(where, bus)), None)


def stop() -> None:
    if (tap := _tap) is not None:
        wall.behind(lambda: tap.leave(None, STOP_TIMEOUT), None)


def is_running() -> bool:
    return _tap is not None and _tap.is_alive and _tap.connection.state not in ENDED


def status() -> Status:
    if _tap is None:
        return Status("off")
    if not _tap.is_alive and _tap.connection.state not in ENDED:
        return Status(State.STOPPED.value, "the tap failed; this is a bug of Sonde")
    return Status(_tap.connection.state.value, _tap.connection.reason, _tap.connection.process)


def _start(who: identity.Identity, sidecar: Sidecar) -> None:
    global _tap
    if not _starting.acquire(blocking=False):  # somebody else is at it; a signal handler must not wait here
        return
    try:
        if is_running():
            return
        _hook()
        _tap = Tap(who, sidecar, calls.answer, _tell_end)
        _tap.start()
    finally:
        _starting.release()


def _hook() -> None:
    """Once a process: neither hook can be taken back."""
    global _hooked
    if not _hooked:
        _hooked = True
        os.register_at_fork(after_in_child=_forked)
        atexit.register(_ending)


def _forked() -> None:
    global _tap, _starting
    tap, _tap = _tap, None
    _starting = threading.Lock()  # the parent may have held the old one
    if tap is not None:
        wall.behind(tap.abandon, None)
        wall.behind(debugger.forget, None)


def _ending() -> None:
    if (tap := _tap) is not None and is_running():
        wall.behind(lambda: tap.leave(last_word(), LAST_WORD_TIMEOUT), None)


def last_word() -> link.Ending:
    """Why the interpreter ends, as far as it can be known here: an unhandled exception leaves a trace in `sys`,
    SystemExit does not, so that an end without one may have any code."""
    error: BaseException | None = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    trace = error.__traceback__ if error is not None else None
    # Extensions print errors of callbacks in a way that leaves the same trace; those have a caller.
    if error is None or trace is None or trace.tb_frame.f_back is not None:
        return link.Ending(code=None)
    message = f"unhandled {type(error).__name__}"
    return link.Ending(code=None if isinstance(error, KeyboardInterrupt) else 1, message=message)


def _tell_end(reason: str) -> None:
    if os.environ.get(VERBOSE_VARIABLE):
        os.write(2, f"sonde: {identity.plain(reason)}\n".encode())
