"""Where a thread stands, which DAP's `stopped` does not say: pydevd is asked for one frame of it. Pure.

    stopped, and a session is open --asked--> answered, and it is that stop still --> told to everybody
                                                 no frame, a refusal, or no answer --> nothing

One question about a thread is under way at a time. A stop that comes while the one about an earlier stop is, is
asked for when that is over. A thread that was told to run is not asked for: it may run when pydevd looks.
"""

from typing import Any

from msgspec import Struct

from sonde_agent.sidecar.asks import Locate
from sonde_agent.sidecar.dap.channel import Incoming, body_of

WITHIN = 2.0
"""Seconds for the answer."""
MOST_NAME = 500
"""Characters of a function's name; a program can make them up."""
MOST_PATH = 4096


class _Stop(Struct):
    number: int
    reason: str
    asked: bool = False
    place: dict[str, Any] | None = None


class Locating:
    def __init__(self) -> None:
        self._stops: dict[int, _Stop] = {}
        self._under_way: set[int] = set()
        self._count = 0

    def begin(self) -> None:
        """A line was made."""
        self._stops.clear()
        self._under_way.clear()

    def stopped(self, thread: int, body: dict[str, Any]) -> None:
        """As sessions are told of it."""
        self._count += 1
        self._stops[thread] = _Stop(self._count, str(body.get("reason", "")))

    def over(self, thread: int | None) -> None:
        """It runs or has ended; None: all of them."""
        if thread is None:
            self._stops.clear()
        else:
            self._stops.pop(thread, None)

    def ask(self, thread: int) -> Locate | None:
        """What to ask of it now, once for each stop."""
        stop = self._stops.get(thread)
        if stop is None or stop.asked or thread in self._under_way:
            return None
        stop.asked = True
        self._under_way.add(thread)
        return Locate(thread, stop.number)

    def answered(self, asked: Locate, response: Incoming) -> dict[str, Any] | None:
        """The fields of `bus.StopLocated`; None: nothing is to be told. Raises `sonde_wire.MalformedMessage`."""
        self.unanswered(asked)
        stop = self._stops.get(asked.thread)
        if stop is None or stop.number != asked.stop or not response.success:
            return None
        stop.place = _place(asked.thread, stop.reason, body_of(response))
        return stop.place

    def unanswered(self, asked: Locate) -> None:
        self._under_way.discard(asked.thread)

    def place(self, thread: int) -> dict[str, Any] | None:
        """The same fields, once they are known, while it stands."""
        stop = self._stops.get(thread)
        return None if stop is None else stop.place


def _place(thread: int, reason: str, body: dict[str, Any]) -> dict[str, Any] | None:
    frames = body.get("stackFrames")
    frame = frames[0] if isinstance(frames, list) and frames else None
    if not isinstance(frame, dict) or not isinstance(frame.get("line"), int):
        return None
    source = frame.get("source")
    path = source.get("path") if isinstance(source, dict) else None
    return {
        "thread": thread,
        "reason": reason,
        "path": path if isinstance(path, str) and path and len(path) <= MOST_PATH else None,
        "line": frame["line"],
        "function": str(frame.get("name") or "")[:MOST_NAME],
    }
