"""Which exceptions are cancellations, and whether an asyncio task swallowed one. asyncio is not imported here.

No attribute of the program's own classes is looked up: what is asked are the types of CPython and asyncio.
"""

from collections.abc import Callable
from sys import modules
from types import ModuleType
from typing import Any

LONGEST_NAME = 120
_CLASSES = (
    ("builtins", "GeneratorExit"),
    ("asyncio.exceptions", "CancelledError"),
    ("concurrent.futures._base", "CancelledError"),
    ("trio", "Cancelled"),
)
"""By module: those that the program has not imported can be raised by nobody."""
_INSIDE: Any = BaseExceptionGroup.__dict__["exceptions"]
_running_loop: Callable[[], Any] | None = None
_task_of: Callable[[Any], Any] | None = None
_kind: Any = None


def name_of(kind: type[BaseException]) -> str:
    """Its module and name, as OpenTelemetry's `error.type` has them; a builtin one's name alone."""
    name = type.__dict__["__qualname__"].__get__(kind)
    home = type.__dict__["__module__"].__get__(kind)
    return name[:LONGEST_NAME] if home == "builtins" else f"{home}.{name}"[:LONGEST_NAME]


def is_cancellation(error: BaseException) -> bool:
    """Also of a group that holds nothing else."""
    kind = type(error)
    known = _known()
    for each in type.__dict__["__mro__"].__get__(kind):
        if any(each is one for one in known):
            return True
    if not issubclass(kind, BaseExceptionGroup):
        return False
    return all(is_cancellation(each) for each in _INSIDE.__get__(error))


def _known() -> list[object]:
    found = ((modules.get(home), name) for home, name in _CLASSES)
    return [
        object.__getattribute__(home, "__dict__").get(name)
        for home, name in found
        if issubclass(type(home), ModuleType)
    ]


def current_task() -> Any:
    """The asyncio task that runs in this thread, if it is of asyncio's own kind."""
    if _running_loop is None and not _find_asyncio():
        return None
    loop = _running_loop()  # type: ignore[misc] # it was found
    if loop is None:
        return None
    task = _task_of(loop)  # type: ignore[misc] # it was found
    return task if issubclass(type(task), _kind) else None


def asked(task: Any) -> int:
    """How often its cancellation was asked for and not taken back, as `asyncio.timeout` does at its end."""
    number: int = _kind.cancelling(task)
    return number


def has_swallowed(task: Any, before: int) -> bool:
    """Whether it was cancelled since, and the exception has been there and is gone."""
    return asked(task) > before and not _kind._must_cancel.__get__(task)


def _find_asyncio() -> bool:
    global _running_loop, _task_of, _kind
    if "asyncio" not in modules:
        return False
    kind = getattr(modules.get("_asyncio"), "Task", None)
    task_of = getattr(modules.get("asyncio.tasks"), "current_task", None)
    running = getattr(modules.get("asyncio.events"), "_get_running_loop", None)
    if task_of is None or running is None or not hasattr(kind, "_must_cancel"):
        return False  # not yet whole, or another implementation
    _kind, _task_of, _running_loop = kind, task_of, running
    return True
