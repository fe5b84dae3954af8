"""What the tests of probes speak with: a sidecar's side of them, over a line of `fakes`."""

import itertools
from collections.abc import Callable
from typing import Any

from msgspec import convert, to_builtins

from sonde_agent import link
from sonde_wire import bus, probes
from tests.agent.tap.fakes import Line

_NUMBERS = itertools.count()
_LETTERS = "abcdefghij"
_EVENTS = {
    "snapshot_taken": bus.SnapshotTaken,
    "probe_logged": bus.ProbeLogged,
    "watch_changed": bus.WatchChanged,
    "probe_changed": bus.ProbeChanged,
}
_ADDED = {"process": "default/test/1", "boot": "0" * 32}


def at_line(path: str, line: int) -> dict[str, Any]:
    return {"type": "line", "path": path, "line": line}


def in_function(function: str, on: str = "entry", module: str = "__main__") -> dict[str, Any]:
    return {"type": "function", "module": module, "function": function, "on": on}


def new_id() -> str:
    return "probe" + "".join(_LETTERS[int(digit)] for digit in f"{next(_NUMBERS):05}")


class Talk:
    """Every event and report that arrives is checked against the wire."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.events: list[Any] = []
        self.told: dict[str, probes.ProbeStatus] = {}
        """By the newest report."""

    def put(
        self, kind: dict[str, Any], place: Any = None, *, left: float = 600.0, **spec: Any
    ) -> probes.ProbeStatus:
        return self.again(new_id(), kind, place, left=left, **spec)

    def again(
        self, number: str, kind: dict[str, Any], place: Any = None, *, left: float = 600.0, **spec: Any
    ) -> probes.ProbeStatus:
        return convert(
            self._value("probes.put", probe=asked(number, kind, place, left, spec)), probes.ProbeStatus
        )

    def refused(self, kind: dict[str, Any], place: Any = None, **spec: Any) -> link.Fault:
        reply = self._call("probes.put", probe=asked(new_id(), kind, place, 600.0, spec))
        assert isinstance(reply, link.Fault), reply
        return reply

    def drop(self, *numbers: str) -> None:
        for number in numbers:
            assert self._value("probes.drop", id=number) == {}

    def event(self, kind: type[Any], wanted: Callable[[Any], bool] = lambda _: True) -> Any:
        """The next of that kind; those before it are dropped when they are of it, and kept when of another."""
        position = 0
        self._keep_what_is_aside()
        while True:
            while position < len(self.events):
                if isinstance(self.events[position], kind):
                    event = self.events.pop(position)
                    if wanted(event):
                        return event
                else:
                    position += 1
            self._read()

    def snapshot(self, number: str = "") -> bus.SnapshotTaken:
        event: bus.SnapshotTaken = self.event(bus.SnapshotTaken, lambda one: number in {"", one.probe})
        return event

    def snapshots(self, number: str) -> int:
        """How many have come until now."""
        self.drop("unknown")
        self._keep_what_is_aside()
        return sum(isinstance(each, bus.SnapshotTaken) and each.probe == number for each in self.events)

    def messages(self, many: int) -> list[str]:
        return [self.event(bus.ProbeLogged).message for _ in range(many)]

    def state(self, number: str, state: str) -> probes.ProbeStatus:
        """Once the probe has it."""
        changed = self.event(
            bus.ProbeChanged, lambda one: one.status.id == number and one.status.state == state
        )
        status: probes.ProbeStatus = changed.status
        return status

    def reported(
        self, number: str, wanted: Callable[[probes.ProbeStatus], bool] = lambda _: True
    ) -> probes.ProbeStatus:
        """As the newest report tells it, or one that is still to come."""
        while True:
            self._keep_what_is_aside()
            if number in self.told and wanted(self.told[number]):
                return self.told[number]
            self._read()

    def _value(self, operation: str, **arguments: Any) -> Any:
        reply = self._call(operation, **arguments)
        assert isinstance(reply, link.Result), reply
        return reply.value

    def _call(self, operation: str, **arguments: Any) -> link.Result | link.Fault:
        return self.line.call(operation, **arguments)

    def _read(self) -> None:
        message = self.line.receive(everything=True)
        assert isinstance(message, link.Hits | link.Report), message
        self._keep(message)

    def _keep_what_is_aside(self) -> None:
        aside: list[link.Hits | link.Report] = [*self.line.hits, *self.line.reports]
        for message in aside:
            self._keep(message)
        self.line.hits.clear()
        self.line.reports.clear()

    def _keep(self, message: link.Hits | link.Report) -> None:
        if isinstance(message, link.Report):
            if message.probes is not None:
                whole = {**message.probes, "process": "default/test/1", "boot": "0" * 32, "time": 0.0}
                self.told = {each.id: each for each in convert(whole, probes.ProbeReport).probes}
            return
        for hit in message.hits:
            kind = _EVENTS[hit["type"]]
            fields = {**hit, **_ADDED, "seq": len(self.events) + 1}
            event = convert(fields, kind)
            to_builtins(event)
            self.events.append(event)


def asked(number: str, kind: dict[str, Any], place: Any, left: float, spec: dict[str, Any]) -> dict[str, Any]:
    whole = {"kind": kind, **({"place": place} if place else {}), **spec}
    convert(whole, probes.ProbeSpec)
    return {"id": number, "spec": whole, "left": left, "revision": 1}
