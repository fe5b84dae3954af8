"""The tap's life in the process: starting, stopping, forking, ending. At most one tap at a time.

    before a fork    the tap's thread parks, where it is the only one beside the program's (see `thread`)
    in the parent    it goes on
    in the child     the parent's line, debugger and thread are forgotten, and a tap of the child's own starts: with
                     its own boot, and quiet for a moment, so that a child that only starts another program, or is
                     gone at once, is never seen

No hook takes a lock or waits for anything that the program can hold.
"""

import atexit
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from sonde_agent import link
from sonde_agent.records import Record
from sonde_agent.tap import calls, children, debugger, greenlets, identity, probing, redacting, wall
from sonde_agent.tap.connection import ENDED, State
from sonde_agent.tap.sidecar import Sidecar, named_place, parents_place
from sonde_agent.tap.thread import Tap

STOP_TIMEOUT = 5.0
LAST_WORD_TIMEOUT = 0.2
"""Seconds that the end of the program may be held up for."""
QUIET = 0.3
"""Seconds after which a child says that it is there."""
FOR_EVER = float("inf")
VERBOSE_VARIABLE = "SONDE_VERBOSE"
CONFIG_VARIABLE = "SONDE_CONFIG"


class Status(Record):
    """`state` is off, connecting, greeting, serving, waiting, refused or stopped; `reason` is for people;
    `process` is the process's address once the sidecar has told it."""

    state: str
    reason: str = ""
    process: str = ""


_tap: Tap | None = None
_sidecar: Sidecar | None = None
_starting = threading.Lock()
_hooked = False
_is_followed = True
_refusal = ""


def start(
    service: str | None,
    namespace: str | None,
    instance: str | None,
    labels: Mapping[str, str] | None,
    sidecar: str | None,
    bus: str | None,
) -> None:
    """See `sonde_agent.start`."""
    _begin(service, namespace, instance, labels, sidecar, bus, 0.0)


def start_injected(
    start: Mapping[str, Any], *, is_child: bool, is_forkserver: bool, is_followed: bool
) -> None:
    """For `inject/sitecustomize.py`. `is_child`: what was injected was meant for a process before this one. A
    forkserver is never seen, and its workers are the children of who asked for them."""
    names = {name: start.get(name) for name in ("service", "namespace", "instance", "labels")}
    quiet = FOR_EVER if is_forkserver else QUIET if is_child else 0.0
    _begin(**names, sidecar=None, bus=None, quiet=quiet, is_followed=is_followed)


def _begin(
    service: str | None,
    namespace: str | None,
    instance: str | None,
    labels: Mapping[str, str] | None,
    sidecar: str | None,
    bus: str | None,
    quiet: float,
    is_followed: bool = True,
) -> None:
    environment = _environment()
    redacting.configure(environment)
    probing.configure(environment)
    parent = children.read(environment)
    who = identity.resolve(service, namespace, instance, labels, environment, parent)
    named = named_place(sidecar, environment)
    is_followed = is_followed and children.are_followed(environment)

    def begin() -> None:
        _start(who, Sidecar(named, bus, None if named else parents_place(parent)), quiet, is_followed)

    wall.behind(begin, None)


def _environment() -> Mapping[str, str]:
    """With what the configuration file says, where one is named. Raises `ValueError` for one that cannot be used."""
    if not os.environ.get(CONFIG_VARIABLE):
        return os.environ
    from sonde_agent import configuration

    return configuration.with_file(os.environ)


def stop() -> None:
    if (tap := _tap) is not None:
        wall.behind(lambda: tap.leave(None, STOP_TIMEOUT), None)


def is_running() -> bool:
    return _tap is not None and _tap.is_alive and _tap.connection.state not in ENDED


def status() -> Status:
    if _tap is None:
        return Status(State.REFUSED.value, _refusal) if _refusal else Status("off")
    if not _tap.is_alive and _tap.connection.state not in ENDED:
        return Status(State.STOPPED.value, "the tap failed; this is a bug of Sonde")
    return Status(_tap.connection.state.value, _tap.connection.reason, _tap.connection.process)


def _start(who: identity.Identity, sidecar: Sidecar, quiet: float, is_followed: bool) -> None:
    global _tap, _sidecar, _is_followed
    if not _starting.acquire(blocking=False):  # somebody else is at it; a signal handler must not wait here
        return
    try:
        if is_running() or _is_refused():
            return
        _hook()
        _is_followed = is_followed
        if is_followed and not quiet:
            children.tell(_as_parent(who, sidecar), os.environ)
        _tap, _sidecar = _make(who, sidecar, quiet), sidecar
        if quiet < FOR_EVER:
            _tap.start()
    finally:
        _starting.release()


def _is_refused() -> bool:
    global _refusal
    before, _refusal = _refusal, greenlets.TOO_LATE if greenlets.have_replaced_threads() else ""
    if _refusal and not before:
        _tell_end(_refusal)
    return bool(_refusal)


def _make(who: identity.Identity, sidecar: Sidecar, quiet: float) -> Tap:
    def known() -> None:
        if _is_followed:
            children.tell_again(_as_parent(tap.identity, sidecar), os.environ)

    tap = Tap(who, sidecar, calls.answer, _tell_end, known, quiet)
    return tap


def _as_parent(who: identity.Identity, sidecar: Sidecar) -> children.Parent:
    return who.as_parent(str(sidecar.place.address), sidecar.place.token_file or "")


def _hook() -> None:
    """Once a process: no hook can be taken back."""
    global _hooked
    if not _hooked:
        _hooked = True
        os.register_at_fork(before=_forking, after_in_parent=_has_forked, after_in_child=_forked)
        atexit.register(_ending)


def _forking() -> None:
    if (tap := _tap) is not None:
        wall.behind(tap.park, None)


def _has_forked() -> None:
    if (tap := _tap) is not None:
        wall.behind(tap.resume, None)


def _forked() -> None:
    """In the child, where no thread is but this one."""
    global _tap, _sidecar, _starting
    tap, _tap = _tap, None
    sidecar, _sidecar = _sidecar, None
    _starting = threading.Lock()  # the parent may have held the old one
    if tap is None or sidecar is None:
        return
    wall.behind(tap.abandon, None)
    wall.behind(debugger.forget, None)
    wall.behind(probing.close, None)
    if not _is_followed or tap.connection.state in ENDED or _is_refused():
        return

    def begin() -> None:
        global _tap, _sidecar
        _sidecar = sidecar.of_child()
        # after a parent that is still quiet itself, so that it is clear by then whether that one lasts
        quiet = 2 * QUIET if tap.will_be_known is None else QUIET
        _tap = _make(tap.identity.forked(tap.will_be_known), _sidecar, quiet)
        _tap.start()

    wall.behind(begin, None)


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
