"""Which threads of the process stand still, from DAP's events; pure.

A thread STANDS from a `stopped` event (or the state that `session.open` told) until

    `continued` for it or for all      whoever resumed it: a process can have several viewers
    our own resuming request           at once, because the next stop may overtake the answer;
                                       put back by `not_resumed` when the request fails
    `thread` with reason `exited`, or `terminated`

Stops are numbered as they arrive, so that a stop that came after our request is told from one before it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct


class Stop(Struct, frozen=True, kw_only=True):
    """A thread that stands. `body` is the whole body of DAP's `stopped` event."""

    number: int
    thread: int
    reason: str
    """DAP's: breakpoint, step, exception, pause, goto, ..."""
    description: str
    text: str
    breakpoints: tuple[int, ...]
    body: Mapping[str, Any]


class Stops:
    def __init__(self, standing: Iterable[Stop] = (), count: int = 0) -> None:
        """What stood before, and how many stops there had been."""
        self._count = count
        self._standing: dict[int, Stop] = {stop.thread: stop for stop in standing}

    @property
    def standing(self) -> tuple[Stop, ...]:
        """Oldest first."""
        return tuple(sorted(self._standing.values(), key=lambda stop: stop.number))

    @property
    def count(self) -> int:
        """The number of the newest stop."""
        return self._count

    def of(self, thread: int) -> Stop | None:
        return self._standing.get(thread)

    def told(self, bodies: Iterable[Mapping[str, Any]]) -> None:
        for body in bodies:
            self._stopped(body)

    def handle(self, event: str, body: Mapping[str, Any]) -> None:
        match event:
            case "stopped":
                self._stopped(body)
            case "continued" if body.get("allThreadsContinued", False) or "threadId" not in body:
                self._standing.clear()
            case "continued":
                self._standing.pop(body["threadId"], None)
            case "thread" if body.get("reason") == "exited":
                self._standing.pop(body.get("threadId", 0), None)
            case "terminated" | "exited":
                self._standing.clear()
            case _:
                return

    def resuming(self, thread: int) -> Stop | None:
        """Call before the request goes out."""
        return self._standing.pop(thread, None)

    def not_resumed(self, stop: Stop) -> None:
        self._standing.setdefault(stop.thread, stop)

    def all_resumed(self, up_to: int) -> None:
        """Every stop up to that number is over."""
        self._standing = {thread: stop for thread, stop in self._standing.items() if stop.number > up_to}

    def _stopped(self, body: Mapping[str, Any]) -> None:
        self._count += 1
        thread = body.get("threadId")
        stop = Stop(
            number=self._count,
            thread=thread if isinstance(thread, int) else 0,
            reason=str(body.get("reason", "")),
            description=str(body.get("description") or ""),
            text=str(body.get("text") or ""),
            breakpoints=tuple(body.get("hitBreakpointIds") or ()),
            body=body,
        )
        self._standing[stop.thread] = stop
