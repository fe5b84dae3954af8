"""A snapshot: the stack of a thread that stands at a probe, the variables of its innermost frames, what was asked of them,
and whose work it is: thread, task, context variables, the span of a trace.

It is taken in the program's own thread, and is JSON-ready: it holds nothing of the program. Nothing is imported, no lock
is taken, and no code of the program runs.
"""

import sys
from _contextvars import copy_context
from _thread import get_ident
from _weakref import ref
from collections.abc import Sequence
from itertools import islice
from time import perf_counter
from types import CodeType, FrameType
from typing import Any, Protocol

from sonde_agent.tap import coroutines, inert
from sonde_agent.tap.asyncio_parts import Asyncio
from sonde_agent.tap.identity import plain
from sonde_agent.tap.probes import layouts
from sonde_agent.tap.probes.allowance import Limits, Node, Redaction
from sonde_agent.tap.probes.frames import KEEPS, let_go, thread_name
from sonde_agent.tap.probes.layouts import short
from sonde_agent.tap.probes.representer import Representer

MOST_VARIABLES_OF_A_CONTEXT = 500
"""That are looked at. Of those with plain values as many are shown as of an instance's fields."""

_HIDDEN_OF_A_MODULE = 20
_SCALARS = frozenset(id(kind) for kind in (str, int, float, bool, bytes))


class Asked(Protocol):
    """An expression; see `sonde_expressions`."""

    @property
    def text(self) -> str: ...

    @property
    def names(self) -> frozenset[str]: ...

    def evaluate(self, frame_locals: dict[str, Any], frame_globals: dict[str, Any]) -> object: ...


def take(
    frame: FrameType,
    limits: Limits,
    redaction: Redaction,
    expressions: Sequence[Asked] = (),
    calls_user_code: bool = False,
) -> dict[str, Any]:
    """Innermost frame first. `duration` in seconds. With `truncated` the stack goes on."""
    began = perf_counter()
    representer = Representer(limits, redaction, calls_user_code)
    taken: dict[str, Any] = {}
    if expressions:  # first: they are what somebody wants to know, and bytes and time run out
        taken["expressions"] = answers(frame, representer, redaction, expressions)
    taken["thread"] = _thread(representer)
    if (task := _task(representer)) is not None:
        taken["task"] = task
    if context := _context(representer, limits.fields):
        taken["context"] = context
    frames: list[dict[str, Any]] = []
    taken["frames"] = frames
    here: FrameType | None = frame
    places = _places
    left = limits.frames
    with_locals = limits.frames_with_locals
    while here is not None and left > 0:
        code, at = here.f_code, here.f_lasti
        known = places.get((id(code), at))
        if known is None or known[0]() is not code:
            known = _remembered(here, code, at)
        representer.left -= known[2]
        shown = known[1]
        if with_locals > 0:
            with_locals -= 1
            shown = shown.copy()
            _add_locals(shown, here, representer, limits.items)
        frames.append(shown)
        here = here.f_back
        left -= 1
    if here is not None:
        taken["truncated"] = True
    taken["duration"] = perf_counter() - began
    return taken


def answers(
    frame: FrameType, representer: Representer, redaction: Redaction, expressions: Sequence[Asked]
) -> list[dict[str, Any]]:
    """What each expression is, or why it is nothing."""
    variables = locals_of(frame)
    found = []
    for expression in expressions:
        answer: dict[str, Any] = {"text": expression.text}
        try:
            value = expression.evaluate(variables, frame.f_globals)
        except Exception as error:  # noqa: BLE001 - the answer to whoever asked; with full Python it can be any
            answer["error"] = representer.clean(_reason(error, redaction.shows_values))
        else:
            hidden = next((name for name in expression.names if redaction.hides_name(name)), "")
            answer["node"] = representer.value(hidden, value)
        found.append(answer)
    let_go(frame, variables)
    return found


def locals_of(frame: FrameType) -> dict[str, Any]:
    """A frame's variables by name; until 3.12 its own dictionary, which is not to be kept."""
    found: Any = frame.f_locals
    if type(found) is dict:
        return found
    if type(found) is _PROXY:
        return dict(found.items())
    return {}  # a class body, whose metaclass gave it something of its own


def _remembered(frame: FrameType, code: CodeType, at: int) -> tuple[Any, dict[str, Any], int]:
    """Where a frame stands is worked out once for each place: it costs the interpreter a walk through a table."""
    if len(_places) >= _MOST_PLACES:
        _places.clear()
    known = _places[id(code), at] = (ref(code), *_place(frame))
    return known


_LONGEST_PATH = 1024
_MOST_PLACES = 5000
_places: dict[tuple[int, int], tuple[Any, dict[str, Any], int]] = {}
"""By id of the code and the place in it; with a reference that tells whether it still is that code. Beside what is sent are the
bytes that it takes. It is in more than one capture: nobody may change it."""


def _place(frame: FrameType) -> tuple[dict[str, Any], int]:
    code = frame.f_code
    module = dict.get(frame.f_globals, "__name__")
    texts = {
        "path": plain(str.__getitem__(code.co_filename, slice(0, _LONGEST_PATH))),
        "function": short(code.co_qualname),
        "module": short(module) if type(module) is str else "",
    }
    size = 60 + sum(len(text) if text.isascii() else 12 * len(text) for text in texts.values())
    return {**texts, "line": frame.f_lineno or code.co_firstlineno}, size


def _add_locals(shown: dict[str, Any], frame: FrameType, representer: Representer, most: int) -> None:
    """Names with a dot are the interpreter's own; of a module, those with two underscores are."""
    variables: Any = frame.f_locals
    if type(variables) is _PROXY and not KEEPS:
        parts = variables.items()  # a list
    else:
        variables = variables if type(variables) is dict else {}
        parts = list(islice(dict.items(variables), most + _HIDDEN_OF_A_MODULE))
    if variables is frame.f_globals:
        parts = [part for part in parts if type(part[0]) is str and not part[0].startswith("__")]
    elif parts and type(parts[0][0]) is str and parts[0][0] == ".0":
        del parts[0]
    found: list[list[Any]] = []
    shown["locals"] = found
    if len(parts) > most:
        del parts[most:]
        shown["cut"] = "items"
    if cut := representer.named(parts, found):
        shown["cut"] = cut
    del parts
    let_go(frame, variables)


def _thread(representer: Representer) -> dict[str, Any]:
    return {"id": get_ident(), "name": representer.clean(thread_name())}


def _task(representer: Representer) -> dict[str, str] | None:
    """Of the loop that runs in this thread. Loops are told apart by identity: they may have a `__hash__`."""
    running = sys.modules.get("_asyncio")
    if running is None or "asyncio.tasks" not in sys.modules:
        return None
    ask: Any = inert.attributes(running).get("_get_running_loop")
    if ask is None or (loop := ask()) is None:
        return None
    asyncio = _asyncio()
    for task in asyncio.running_tasks():
        if asyncio.attribute(task, "_loop") is loop:
            return {
                "name": representer.clean(asyncio.name(task)),
                "coroutine": short(coroutines.name(asyncio.attribute(task, "_coro"))),
            }
    return None


_known_asyncio: list[tuple[object, Asyncio]] = []


def _asyncio() -> Asyncio:
    """Of the module that the program has now; a program under test may have it made anew."""
    module = sys.modules["asyncio.tasks"]
    if not _known_asyncio or _known_asyncio[0][0] is not module:
        _known_asyncio[:] = [(module, Asyncio())]
    return _known_asyncio[0][1]


def _context(representer: Representer, most: int) -> dict[str, Node]:
    """Context variables with plain values, such as the id of a request; and the span of OpenTelemetry that is current."""
    found: dict[str, Node] = {}
    context = copy_context()
    if not len(context):
        return found
    for variable, value in islice(context.items(), MOST_VARIABLES_OF_A_CONTEXT):
        if id(type(value)) in _SCALARS:
            if len(found) < most and representer.left > 0:
                name = short(variable.name)
                representer.left -= 6 + len(name)
                found[name] = representer.value(name, value)
        elif variable.name == "current_context" and type(value) is _telemetry_class(
            "context.context", "Context"
        ):
            found |= _span(value, representer)
    return found


def _span(context: dict[str, Any], representer: Representer) -> dict[str, Node]:
    """Trace and span as they are written in headers (W3C Trace Context): its own context is a tuple that begins so."""
    under = _telemetry_class("trace.propagation", "_SPAN_KEY")
    span = next((each for key, each in list(dict.items(context)) if key is under), None)
    ids: Any = layouts.read(span, "_context") if span is not None else None
    if not issubclass(type(ids), tuple) or tuple.__len__(ids) < 2:
        return {}
    trace, one = tuple.__getitem__(ids, 0), tuple.__getitem__(ids, 1)
    if type(trace) is not int or type(one) is not int or not trace:
        return {}
    return {
        "trace_id": representer.value("", f"{trace:032x}"),
        "span_id": representer.value("", f"{one:016x}"),
    }


def _telemetry_class(module: str, name: str) -> Any:
    return inert.names_in(f"opentelemetry.{module}").get(name)


def _reason(error: Exception, shows_values: bool) -> str:
    """An exception's text is a method of its class; its first argument is not. Those of expressions hold no values."""
    name = layouts.type_name(type(error)).rpartition(".")[2]
    arguments = layouts.class_value(BaseException, "args").__get__(error)
    text = arguments[0] if arguments and type(arguments[0]) is str else ""
    if name == "ExpressionFailed" and text:
        return text
    return f"{name}: {text}" if text and shows_values else name


def _proxy_of_a_frame() -> Any:
    frame = sys._getframe()
    return type(frame.f_locals)


_PROXY: Any = _proxy_of_a_frame()
"""From 3.13 on the variables of a function are seen through this; before it is `dict`."""
