"""What nobody catches: the hooks of the interpreter and of threads, and of asyncio's tasks that nobody asks for their
result. Who had a hook before is called as ever; when the last probe goes it has its place again."""

import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from sonde_agent.tap import inert, wall
from sonde_agent.tap.probes import raising
from sonde_agent.tap.probes.kinds.exception import OnException
from sonde_agent.tap.probes.probe import Probe


class Uncaught:
    def __init__(self) -> None:
        self._probes: tuple[tuple[Probe, OnException], ...] = ()
        self._hooked: list[tuple[Any, str, Any, Any]] = []

    def add(self, probe: Probe, kind: OnException) -> None:
        self._probes = (*self._probes, (probe, kind))
        if not self._hooked:
            self._hook()

    def remove(self, probe: Probe) -> None:
        self._probes = tuple(each for each in self._probes if each[0] is not probe)
        if not self._probes:
            self.close()

    def close(self) -> None:
        """A hook that somebody has set in front of ours stays; ours then only passes on."""
        self._probes = ()
        for where, name, before, ours in self._hooked:
            if where.__dict__.get(name) is ours:
                setattr(where, name, before)
        self._hooked = []

    def _tell(self, error: Any) -> None:
        if issubclass(type(error), BaseException):
            for probe, kind in self._probes:
                raising.uncaught(probe, kind, error)

    def _hook(self) -> None:
        def of_interpreter(before: Callable[..., Any]) -> Callable[..., Any]:
            def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
                wall.behind(lambda: self._tell(error), None)
                return before(kind, error, trace)

            return hook

        def of_threads(before: Callable[..., Any]) -> Callable[..., Any]:
            def hook(args: Any) -> Any:
                wall.behind(lambda: self._tell(args.exc_value), None)
                return before(args)

            return hook

        def of_loops(before: Callable[..., Any]) -> Callable[..., Any]:
            def call_exception_handler(loop: Any, context: Any) -> Any:
                if type(context) is dict:
                    wall.behind(lambda: self._tell(context.get("exception")), None)
                return before(loop, context)

            return call_exception_handler

        self._put(sys, "excepthook", of_interpreter)
        self._put(threading, "excepthook", of_threads)
        loop = inert.names_in("asyncio.base_events").get("BaseEventLoop")
        if isinstance(loop, type):
            self._put(loop, "call_exception_handler", of_loops)

    def _put(self, where: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        before = where.__dict__[name]
        ours = make(before)
        self._hooked.append((where, name, before, ours))
        setattr(where, name, ours)
