"""What `DebugpyServerManager.launch` runs: a program with a debugpy server in front of it.

Run by path, on the interpreter that the program is for; debugpy must be installed there.

    python [options] program.py REPORT HOST PORT WAIT app.py [arguments ...]

REPORT is a descriptor that gets one JSON line, the server's info or why there is none, before the program runs.
WAIT is `wait` or `run`. The program is run as Python runs it, but from here: its tracebacks begin with this file.
"""

import json
import os
import runpy
import sys
from dataclasses import asdict
from types import ModuleType
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - as it stands in sys.path
_PACKAGES = os.path.dirname(os.path.dirname(_HERE))  # noqa: PTH120


def main() -> None:
    report, host, port, wait, *program = sys.argv[1:]
    if sys.path[:1] == [_HERE]:
        del sys.path[0]
    sys.path.insert(0, _PACKAGES)
    from sonde_agent.classic.errors import CannotListen, DebugpyServerError, PortInUse
    from sonde_agent.classic.server import DebugpyServer

    del sys.path[0]
    server = DebugpyServer(host, int(port))
    try:
        answer: dict[str, Any] = {"info": asdict(server.start())}
    except DebugpyServerError as error:
        problem = error.problem if isinstance(error, CannotListen) else str(error)
        answer = {"error": problem, "kind": type(error).__name__, "in_use": isinstance(error, PortInUse)}
    os.write(int(report), json.dumps(answer).encode() + b"\n")
    os.close(int(report))
    if "error" in answer:
        sys.exit(1)
    if wait == "wait":
        server.wait_for_client()
    run(program)


def run(words: list[str]) -> None:
    """A script, `-m module`, or `-c code`, each with arguments."""
    what, *arguments = words
    if what == "-c":
        code, *arguments = arguments
        sys.argv = ["-c", *arguments]
        sys.path.insert(0, "")
        sys.modules["__main__"] = main_module = ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), vars(main_module))  # noqa: S102 - as Python does it
    elif what == "-m":
        module, *arguments = arguments
        sys.argv = ["-m", *arguments]
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as text
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, os.path.dirname(os.path.abspath(what)))  # noqa: PTH100, PTH120 - as text
        runpy.run_path(what, run_name="__main__")


if __name__ == "__main__":
    main()
