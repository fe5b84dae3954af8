"""What a probe reads of the frame that it stands in, and of the thread.

Until 3.12 a frame keeps the variables that were read from it until it ends, and would keep a large object alive that the
program has let go of. So they are taken out again, unless somebody else has the same dictionary.
"""

import sys
from _thread import get_ident
from types import FrameType
from typing import Any

from sonde_agent.tap import inert
from sonde_agent.tap.probes.layouts import read, short

_OPTIMIZED = 1
_OURS = 3
"""References to a frame's variables while nobody else has them: the frame's, the caller's, the argument's."""
KEEPS = sys.version_info < (3, 13)


def let_go(frame: FrameType, variables: Any) -> None:
    """`variables` are the frame's `f_locals`, in a variable of the caller's. With a trace function the interpreter would
    take what is missing for deleted."""
    if (
        KEEPS
        and sys.getrefcount(variables) <= _OURS + 1
        and frame.f_code.co_flags & _OPTIMIZED
        and sys.gettrace() is None
    ):
        variables.clear()


def where(frame: FrameType) -> dict[str, Any]:
    """Fields of the wire's events: path, line, thread."""
    code = frame.f_code
    return {
        "path": path_of(code.co_filename),
        "line": frame.f_lineno or code.co_firstlineno,
        "thread": thread_name(),
    }


def path_of(name: str) -> str:
    return name if name.isascii() and len(name) < 200 else short(name[-200:])


def thread_name() -> str:
    ident = get_ident()
    active = inert.names_in("threading").get("_active") if "threading" in sys.modules else None
    thread = active.get(ident) if type(active) is dict else None
    name = read(thread, "_name") if thread is not None else None
    return short(name) if type(name) is str else f"thread {ident}"
