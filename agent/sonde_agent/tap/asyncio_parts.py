"""The program's own asyncio: which tasks it has, and what stands in its futures.

Its tasks and futures, in C and in Python, are read alike, by their types and never through attributes of the
program's classes. Copies of asyncio's tables are made in C, in one step, while the loops go on.
"""

import sys
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from sonde_agent.tap import inert, loops
from sonde_agent.tap.heap import living
from sonde_agent.tap.identity import plain

MOST_AWAITED = 10_000
"""Futures that are followed for one task, such as those of a `gather`."""
LONGEST_NAME = 200


class Asyncio:
    """What the program's asyncio is made of; its tasks in C and in Python are read alike."""

    def __init__(self) -> None:
        self._tasks = inert.names_in("asyncio.tasks")
        self._futures = inert.names_in("asyncio.futures")
        self.directory = loops.directory()
        in_c = (self._tasks.get("_CTask"), self._futures.get("_CFuture"))
        self._in_c = [each for each in in_c if type(each) is type]
        self._descriptors: dict[tuple[type, str], Any] = {}
        written = (self._tasks.get("_PyTask"), self._tasks.get("Task"))
        self._of_tasks = tuple(each for each in (*self._in_c[:1], *written) if type(each) is type)
        self.gathering = self._tasks.get("_GatheringFuture")
        self._shielding = _code_in(self._tasks.get("shield"), "_outer_done_callback")
        self._chaining = _code_in(self._futures.get("_chain_future"), "_call_check_cancel")

    def tasks(self, most: int) -> tuple[list[Any], bool]:
        """Up to so many that are not done, by age; and whether there are more."""
        registered = self._registered()
        alive: list[Any] = []
        for task in registered:
            if self.is_task(task) and self.attribute(task, "_state") == "PENDING":
                if len(alive) == most:
                    return alive, True
                alive.append(task)
        alive.sort(key=self._age)
        return alive, False

    def running_tasks(self) -> list[Any]:
        """Until 3.13 they are in a table; from 3.14 on each loop is asked, by a function in C."""
        if sys.version_info >= (3, 14):
            ask = self._tasks.get("_c_current_task")
            return [task for loop in loops.running() if ask and (task := ask(loop)) is not None]
        current = self._tasks.get("_current_tasks")
        return list(current.copy().values()) if type(current) is dict else []

    def is_task(self, thing: object) -> bool:
        return issubclass(type(thing), self._of_tasks)

    def attribute(self, future: Any, name: str) -> Any:
        for kind in self._in_c:
            if issubclass(type(future), kind):
                descriptor = self._descriptor(kind, name)
                return None if descriptor is None else descriptor.__get__(future)
        default = "PENDING" if name == "_state" else None  # a future in Python notes only that it is done
        return inert.attributes(future).get(name, default)

    def name(self, task: Any) -> str:
        for kind in self._in_c[:1]:
            if issubclass(type(task), kind):
                return _text(self._descriptor(kind, "get_name").__get__(task)())
        return _text(inert.attributes(task).get("_name"))

    def awaited(self, future: Any) -> Iterator[Any]:
        """The tasks and plain futures behind one, which `gather` and `shield` hide."""
        waiting = [future]
        seen: set[int] = set()
        while waiting and len(seen) < MOST_AWAITED:
            each = waiting.pop()
            if id(each) in seen:
                continue
            seen.add(id(each))
            if type(each) is self.gathering and not self.is_task(each):
                # A future in C does not show its dictionary; this class is asyncio's, and so harmless to ask.
                children = object.__getattribute__(each, "_children")
                waiting += reversed(children) if type(children) is list else []
            elif (
                not self.is_task(each) and (inner := self._behind(each, self._shielding, "inner")) is not None
            ):
                waiting.append(inner)
            else:
                yield each

    def is_of_thread(self, future: Any) -> bool:
        """Whether it stands for a future of `concurrent.futures`, as of `run_in_executor` and `to_thread`."""
        return self._behind(future, self._chaining, "source") is not None

    def _descriptor(self, kind: type, name: str) -> Any:
        """An attribute of a class in C, of it or of the one that it is made from."""
        if (kind, name) not in self._descriptors:
            all_of_them = (inert.class_attributes(each).get(name) for each in inert.bases(kind))
            self._descriptors[kind, name] = next((each for each in all_of_them if each is not None), None)
        return self._descriptors[kind, name]

    def _behind(self, future: Any, code: CodeType | None, variable: str) -> Any:
        """A variable of the function that made a future, out of the callback that it left there."""
        callbacks = self.attribute(future, "_callbacks")
        for entry in callbacks if type(callbacks) is list else ():
            callback = entry[0] if type(entry) is tuple and entry else None
            if code is not None and type(callback) is FunctionType and callback.__code__ is code:
                return _closed_over(callback, variable)
        return None

    def _registered(self) -> list[Any]:
        """Copies are made in C, in one step, so that no task comes or goes meanwhile."""
        weak = [self._tasks.get(name) for name in ("_all_tasks", "_scheduled_tasks")]
        sets = [inert.attributes(each).get("data") for each in weak if each is not None]
        found = [reference() for each in sets if type(each) is set for reference in each.copy()]
        eager = self._tasks.get("_eager_tasks")
        if type(eager) is set:
            found += eager.copy()
        if sys.version_info >= (3, 14):  # those in C are in no table that can be read from here
            found += living(*self._of_tasks)
        return list({id(task): task for task in found if task is not None}.values())

    def _age(self, task: Any) -> tuple[int, str]:
        """asyncio numbers the tasks that nobody named: `Task-12`."""
        name = self.name(task)
        number = name.removeprefix("Task-")
        return (int(number), "") if number.isdecimal() and len(number) < 16 else (1 << 60, name)


def _code_in(function: Any, name: str) -> CodeType | None:
    """Of a function that is made inside another."""
    if type(function) is not FunctionType:
        return None
    codes = (each for each in function.__code__.co_consts if type(each) is CodeType)
    return next((each for each in codes if each.co_name == name), None)


def _closed_over(function: FunctionType, variable: str) -> Any:
    names = function.__code__.co_freevars
    if variable not in names or function.__closure__ is None:
        return None
    try:
        return function.__closure__[names.index(variable)].cell_contents
    except ValueError:  # not yet filled
        return None


def _text(name: Any) -> str:
    return plain(str.__str__(name))[:LONGEST_NAME] if issubclass(type(name), str) else ""
