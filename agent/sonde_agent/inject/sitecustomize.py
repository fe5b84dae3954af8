"""Starts the tap in a program that `sonde run` launches, and in the Python programs that that one starts: first on
PYTHONPATH, so that Python imports it before the program. It takes itself off sys.path and out of sys.modules, and
makes room for the sitecustomize that it stands in front of. In the environment it stays, for children; where they
are not followed (SONDE_CHILDREN=0) it takes itself away there too.

Any Python may come across this file, hence the old syntax; one that is too old for the tap runs without it. Python
does not come across it with -I, -E or -S.
"""

# Old Pythons have no pathlib.
# ruff: noqa: PTH100, PTH119, PTH120

import json
import os
import sys

INJECTION = "SONDE_INJECTION"
PARENT = "SONDE_PARENT"
SWITCH = "SONDE_CHILDREN"
OWN_MODULES = ("sonde_agent", "sonde_agent.sidecar", "sonde_broker", "sonde_viewer")
HELPERS = ("sonde", "pip", "pip3", "ensurepip", "venv", "virtualenv")
"""Programs and modules that are never looked into: they prepare a machine, and are not what runs on it."""
HELPING_CODE = ("from multiprocessing.resource_tracker import ", "from billiard.semaphore_tracker import ")
FORKSERVER_CODE = ("from multiprocessing.forkserver import ", "from billiard.forkserver import ")
"""How Python starts helpers of its own, with -c."""


def _read_injection():  # type: () -> dict[str, object]
    """What `sonde run` left (see sonde_agent.run); empty where only PYTHONPATH brought us here."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != here]
    sys.path_importer_cache.pop(here, None)
    injection = json.loads(os.environ.get(INJECTION) or "{}")
    switch = os.environ.get(SWITCH, "").strip().lower()
    injection["children"] = injection.get("children", True) and switch not in ("0", "no", "false", "off")
    injection["is_child"] = os.environ.get(PARENT) != injection.get("parent")
    if not injection["children"]:
        _leave_environment(injection, here)
    return injection  # type: ignore[no-any-return] # written by sonde_agent.run


def _leave_environment(injection, here):  # type: (dict[str, object], str) -> None
    os.environ.pop(INJECTION, None)
    os.environ.pop(PARENT, None)
    rest = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path != here]
    path = injection.get("pythonpath", os.pathsep.join(rest) or None)
    if path is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = str(path)


def _is_helper(words):  # type: (list[str]) -> bool
    for position, word in enumerate(words[1:], 1):
        rest = words[position + 1 :]
        if word == "-m":
            return bool(rest) and (rest[0] in HELPERS or rest[0] in OWN_MODULES)
        if word == "-c":
            return _is_code(words, HELPING_CODE)
        if not word.startswith("-"):
            return os.path.basename(word) in HELPERS
    return False


def _is_code(words, beginnings):  # type: (list[str], tuple[str, ...]) -> bool
    code = words[words.index("-c") + 1 :] if "-c" in words else []
    return bool(code) and code[0].startswith(beginnings)


class _Finder:
    """Finds our packages, and only these, for an interpreter that does not have them installed."""

    def __init__(self, places):  # type: (dict[str, str]) -> None
        self._places = places

    def find_spec(self, name, path=None, target=None):  # type: (str, object, object) -> object
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, [self._places[name]]) if name in self._places else None


def _make_findable(places):  # type: (dict[str, str]) -> None
    from importlib.machinery import PathFinder

    if any(PathFinder.find_spec(name) is None for name in places):
        sys.meta_path.append(_Finder(places))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - has the one method that is used


def _start():  # type: () -> None
    try:
        injection = _read_injection()
        if sys.version_info < (3, 11):  # noqa: UP036 - any Python may come across this file
            return
        if _is_helper(sys.orig_argv):
            return
        _make_findable(injection.get("packages") or {})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - written by sonde_agent.run
        from sonde_agent.tap import guest

        guest.start_injected(
            injection.get("start") or {},  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - written by sonde_agent.run
            is_child=bool(injection["is_child"]),
            is_forkserver=_is_code(sys.orig_argv, FORKSERVER_CODE),
            is_followed=bool(injection["children"]),
        )
    except BaseException as error:  # the program must start, whatever happens to us
        if os.environ.get("SONDE_TEST_RAISE"):
            raise
        if os.environ.get("SONDE_VERBOSE"):
            sys.stderr.write("sonde: cannot start in this process (%s)\n" % type(error).__name__)  # noqa: UP031 - old syntax


def _make_room():  # type: () -> None
    """Imports the program's own sitecustomize in our place. Where there is none, its ImportError goes on to
    `site`, which takes it for the answer that there is none, as it would without us."""
    del sys.modules["sitecustomize"]
    import sitecustomize  # type: ignore[import-not-found] # noqa: F401 - the program's, for its effects


_start()
_make_room()
