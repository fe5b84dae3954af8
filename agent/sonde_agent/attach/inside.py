"""What `sonde attach` runs in the process: `begin`, in a thread of its own that ends when the tap is there.

Run by path before any of our packages can be found, so it imports only the standard library until it has made them
findable. It prints nothing, and what goes wrong is reported.
"""

import json
import os
import socket
import sys
import time
from contextlib import suppress
from typing import Any

_LOOK_AGAIN = 0.02
_ENDED = frozenset({"refused", "stopped"})


class Finder:
    """Finds our packages, and only these, where the program has none of its own."""

    def __init__(self, places: dict[str, str]) -> None:
        self._places = places

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, [self._places[name]]) if name in self._places else None


def begin(told: dict[str, Any]) -> None:
    """`told`: report, packages, start (arguments of `sonde_agent.start`), token_file, script, timeout in seconds."""
    report = _reached(told)
    try:
        if told["script"]:
            with suppress(OSError):  # it is another user's
                os.unlink(told["script"])  # noqa: PTH108 - as light as can be
        _say(report, state="here", python=".".join(map(str, sys.version_info[:3])))
        _make_findable(told["packages"])
        _say(report, **_start(told))
    except BaseException as error:  # noqa: BLE001 - the program goes on, whatever happens to us
        _say(report, state="failed", problem=f"{type(error).__name__}: {error}"[:300])
    finally:
        if report is not None:
            report.close()


def _reached(told: dict[str, Any]) -> socket.socket | None:
    """None when it took so long to get here that nobody waits any more."""
    report = socket.socket(socket.AF_UNIX)
    report.settimeout(told["timeout"])
    try:
        report.connect("\0" + told["report"])
    except OSError:
        report.close()
        return None
    return report


def _make_findable(packages: dict[str, str]) -> None:
    """What the program has itself, in whatever version, stays what it gets."""
    from importlib.util import find_spec

    if absent := {name: place for name, place in packages.items() if find_spec(name) is None}:
        sys.meta_path.append(Finder(absent))  # pyright: ignore[reportArgumentType] - has the one method that is used


def _start(told: dict[str, Any]) -> dict[str, str]:
    import sonde_agent
    from sonde_agent.link import TOKEN_FILE_VARIABLE

    before = os.environ.get(TOKEN_FILE_VARIABLE)
    already = sonde_agent.is_running()
    if not already:
        if told["token_file"]:
            os.environ[TOKEN_FILE_VARIABLE] = told["token_file"]
        try:
            sonde_agent.start(**told["start"])
        finally:
            if before is not None:
                os.environ[TOKEN_FILE_VARIABLE] = before
            else:
                os.environ.pop(TOKEN_FILE_VARIABLE, None)
    deadline = time.monotonic() + told["timeout"]
    while not (status := sonde_agent.status()).process and status.state not in _ENDED:
        if time.monotonic() > deadline:
            break
        time.sleep(_LOOK_AGAIN)
    state = "already" if already else "attached"
    if not status.process:
        state = "failed" if status.state in _ENDED else "waiting"
    return {"state": state, "process": status.process, "problem": status.reason}


def _say(report: socket.socket | None, **facts: str) -> None:
    with suppress(OSError):
        if report is not None:
            report.sendall(json.dumps(facts).encode() + b"\n")
