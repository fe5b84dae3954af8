"""Starts the tap in a program that `sonde run` launches: first on PYTHONPATH, so that Python imports it before
the program. It then takes every trace of itself away, so that program and children see what they would see
without Sonde, and makes room for the sitecustomize that it stands in front of.

Any Python may come across this file, hence the old syntax; one that is too old for the tap runs without it.
"""

# Old Pythons have no pathlib.
# ruff: noqa: PTH100, PTH120

import json
import os
import sys

INJECTION = "SONDE_INJECTION"


def _read_injection():  # type: () -> dict[str, dict[str, str]]
    """What `sonde run` left (see sonde_agent.run), taken out of the environment."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != here]
    sys.path_importer_cache.pop(here, None)
    injection = json.loads(os.environ.pop(INJECTION, "{}"))
    path = injection.get("pythonpath")
    if path is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = path
    return injection  # type: ignore[no-any-return] # written by sonde_agent.run


class _Finder:
    """Finds our packages, and only these, for an interpreter that does not have them installed."""

    def __init__(self, places):  # type: (dict[str, str]) -> None
        self._places = places

    def find_spec(self, name, path=None, target=None):  # type: (str, object, object) -> object
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, [self._places[name]]) if name in self._places else None


def _start():  # type: () -> None
    try:
        injection = _read_injection()
        if sys.version_info < (3, 11):  # noqa: UP036 - any Python may come across this file
            return
        if injection.get("packages"):
            sys.meta_path.append(_Finder(injection["packages"]))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - has the one method that is used
        import sonde_agent

        sonde_agent.start(**injection.get("start", {}))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - written by sonde_agent.run
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
