"""The verbs that are another program's: this process becomes that program, so that signals, the terminal and
the exit code are its own. Standard library only."""

import os
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from sonde_viewer.__main__ import USAGE

_PROGRAMS = {
    "run": ("sonde_agent", "run"),
    "attach": ("sonde_agent", "attach"),
    "sidecar": ("sonde_agent", "sidecar"),
    "broker": ("sonde_broker", "serve"),
    "token": ("sonde_broker", "token"),
}
_NEEDS = {
    "run": (),
    "attach": (),
    "sidecar": ("msgspec", "aiomqtt", "psutil"),
    "broker": ("msgspec", "aiomqtt", "websockets", "jwt", "sqlalchemy", "prometheus_client"),
    "token": ("msgspec", "jwt"),
}


def run(verb: str, extra: str, rest: Sequence[str]) -> int:
    """Does not return, except when something is not installed."""
    package, command = _PROGRAMS[verb]
    absent = [name for name in (package, *_NEEDS[verb]) if find_spec(name) is None]
    if not absent:
        sys.stdout.flush()
        os.execv(sys.executable, line(package, command, *rest))  # noqa: S606 - a list, and no shell is wanted
    wanted = f"sonde[{extra}]" if extra else "sonde"
    sys.stderr.write(f"sonde {verb}: {absent[0]} is not installed; pip install '{wanted}'\n")
    return USAGE


def typed() -> str:
    """How a person types `sonde` here: by its name where that finds it, otherwise by its path."""
    script = Path(sys.executable).with_name("sonde")
    if shutil.which("sonde") or not script.exists():
        return "sonde"
    here = Path.cwd()
    return str(script.relative_to(here) if script.is_relative_to(here) else script)


def line(package: str, *arguments: str) -> list[str]:
    """The command line of one of our programs. `-P` keeps the working directory off the import path, where a
    user's own `queue.py` or `token.py` would take the place of the standard library's."""
    return [sys.executable, "-P", "-m", package, *arguments]
