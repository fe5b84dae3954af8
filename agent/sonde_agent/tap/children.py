"""What a tapped process hands to the Python processes that it makes: who it is, and where its sidecar is.

A forked child has it all in memory. For a program that is started anew (`subprocess`, `multiprocessing` by spawn
or forkserver, a server's reloader) it is in one variable of the environment, SONDE_PARENT, because nothing else
gets there. The variable is set by `start`, and in a child it is exchanged for the child's own when the child
makes itself known: a helper that is gone before stays unknown, and what it leaves behind counts as its parent's.
"""

# pathlib costs a program that does not use it more at start than it would be worth here.
# ruff: noqa: PTH118, PTH120

import json
import os
from collections.abc import Mapping, MutableMapping

import sonde_agent
from sonde_agent.records import Record

VARIABLE = "SONDE_PARENT"
SWITCH = "SONDE_CHILDREN"
"""0 for a process whose children are left alone."""
INJECTION = "SONDE_INJECTION"
INJECT = os.path.join(os.path.dirname(sonde_agent.__file__), "inject")
_NO = frozenset({"0", "no", "false", "off"})


class Parent(Record):
    """`parent_boot` is the boot of its own parent; `instance` what people named it, before a number was added to
    it (`is_numbered`); `sidecar` and `token_file` are empty where the environment says them already."""

    boot: str
    pid: int
    parent_boot: str = ""
    service: str = ""
    instance: str = ""
    is_numbered: bool = False
    sidecar: str = ""
    token_file: str = ""


def read(environment: Mapping[str, str]) -> Parent | None:
    """None where there is none, or where somebody else's hand was in it."""
    try:
        told = json.loads(environment.get(VARIABLE) or "null")
        parent = Parent(**{name: told[name] for name in Parent.FIELDS if name in told})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    sound = all(type(getattr(parent, name)) is kind for name, kind in Parent.__annotations__.items())
    return parent if sound else None


def tell(parent: Parent, environment: MutableMapping[str, str]) -> None:
    """For the thread that calls `start`. A variable that is new must not be set in any other: the C library
    moves its table then, under the hands of whoever reads it."""
    environment[VARIABLE] = json.dumps(vars(parent), separators=(",", ":"))


def tell_again(parent: Parent, environment: MutableMapping[str, str]) -> None:
    """In any thread; does nothing where the program has taken the variable away."""
    if VARIABLE in environment:
        tell(parent, environment)


def are_followed(environment: Mapping[str, str]) -> bool:
    return environment.get(SWITCH, "").strip().lower() not in _NO


def without_injection(environment: Mapping[str, str]) -> dict[str, str]:
    """What a program of our own, which is not to be seen, gets of it."""
    kept = {key: value for key, value in environment.items() if key not in {VARIABLE, INJECTION}}
    if "PYTHONPATH" in kept:
        path = without_inject(kept["PYTHONPATH"])
        if path or not kept["PYTHONPATH"]:
            kept["PYTHONPATH"] = path
        else:
            del kept["PYTHONPATH"]
    return kept


def without_inject(path: str) -> str:
    """A search path without our folder."""
    return os.pathsep.join(part for part in path.split(os.pathsep) if part != INJECT)
