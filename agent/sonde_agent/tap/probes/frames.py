"""What a probe reads of the frame that it stands in, and of the thread.

Until 3.12 a frame keeps the variables that were read from it until it ends, and would keep a large object alive that the
program has let go of. So they are taken out again, unless somebody else has the same dictionary. What the program itself
has put there, as `exec` does, stays.
"""

import sys
from _thread import get_ident
from _weakref import ref
from sys import getrefcount, gettrace
from types import CodeType, FrameType
from typing import Any

from sonde_agent.tap import inert
from sonde_agent.tap.probes.layouts import own_of, short
from sonde_agent.tap.probes.representer import layout_of

_OPTIMIZED = 1
"""CO_OPTIMIZED of `co_flags`: the frame of a function, whose variables are not in a dictionary of the program's."""
_OURS = 3
"""References to a frame's variables while nobody else has them: the frame's, the caller's, the argument's."""
_MOST_CODES = 5000
KEEPS = sys.version_info < (3, 13)
_names: dict[int, tuple[Any, frozenset[str]]] = {}
"""By id of the code, with a reference that tells whether it still is that code."""


def let_go(frame: FrameType, variables: Any) -> None:
    """`variables` are the frame's `f_locals`, in a variable of the caller's. Each is read anew when somebody asks again. With a
    trace function the interpreter would take what is missing for deleted."""
    if not KEEPS or getrefcount(variables) > _OURS + 1 or gettrace() is not None:
        return
    names = names_of(frame.f_code)
    if names.issuperset(variables):
        variables.clear()
    elif names:
        for name in names:
            variables.pop(name, None)


def names_of(code: CodeType) -> frozenset[str]:
    """The variables of a function, which are all that its frame brings; none for other code."""
    known = _names.get(id(code))
    if known is None or known[0]() is not code:
        if len(_names) >= _MOST_CODES:
            _names.clear()
        is_function = code.co_flags & _OPTIMIZED
        names = frozenset(code.co_varnames + code.co_cellvars + code.co_freevars if is_function else ())
        known = _names[id(code)] = (ref(code), names)
    return known[1]


def where(frame: FrameType) -> dict[str, Any]:
    """Fields of the wire's events: path, line, thread."""
    code = frame.f_code
    return {
        "path": path_of(code.co_filename),
        "line": frame.f_lineno or code.co_firstlineno,
        "thread": short(thread_name()),
    }


def path_of(name: str) -> str:
    return name if name.isascii() and len(name) < 200 else short(name[-200:])


def thread_name() -> str:
    """As the program calls it; what that says has not been redacted."""
    ident = get_ident()
    threading = sys.modules.get("threading")
    module, names = _threading[0]
    if module is not threading:
        names = {} if threading is None else inert.attributes(threading)
        _threading[0] = threading, names
    active = names.get("_active")
    thread = active.get(ident) if type(active) is dict else None
    own = own_of(thread, layout_of(type(thread)).own)
    name = own.get("_name") if own else None
    return name if type(name) is str else f"thread {ident}"


_threading: list[tuple[Any, dict[str, Any]]] = [(None, {})]
"""The module that the program has now, and its names."""
