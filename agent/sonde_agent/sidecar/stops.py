"""Which threads stand, as pydevd tells it. Pure.

    (running) --stopped--> STOPPED --continue or step sent--> RESUMING --continued--> (running)
                              ^                                  |  |
                              +------- it was not done ----------+  +--stopped--> STOPPED
    thread exited, debugger gone: forgotten

A stop that is not `shown` is nobody's to see: it came while breakpoints sleep, and is told to run at once.
RESUMING keeps a second `continue` from reaching pydevd, where it could let go of the thread's next stop.
"""

from enum import Enum
from typing import Any

from msgspec import Struct


class State(Enum):
    STOPPED = "stopped"
    RESUMING = "resuming"


class Stop(Struct, frozen=True):
    thread: int
    state: State
    body: dict[str, Any]
    """Of the DAP `stopped` event, kept for those who join later."""
    shown: bool = True


class Stops:
    def __init__(self) -> None:
        self._stops: dict[int, Stop] = {}

    def __len__(self) -> int:
        return len(self._stops)

    def stopped(self, thread: int, body: dict[str, Any], *, shown: bool = True) -> None:
        self._stops[thread] = Stop(thread, State.STOPPED, body, shown)

    def gone(self, thread: int | None) -> None:
        """It runs or has ended; None: all of them."""
        if thread is None:
            self._stops.clear()
        else:
            self._stops.pop(thread, None)

    def standing(self, thread: int | None = None) -> tuple[int, ...]:
        """Threads that stand and have not been told to run; of these only `thread` when it is given."""
        return tuple(
            stop.thread
            for stop in self._stops.values()
            if stop.state is State.STOPPED and thread in (None, stop.thread)
        )

    def resuming(self, threads: tuple[int, ...]) -> None:
        self._turn(threads, State.STOPPED, State.RESUMING)

    def not_resumed(self, threads: tuple[int, ...]) -> None:
        self._turn(threads, State.RESUMING, State.STOPPED)

    def _turn(self, threads: tuple[int, ...], old: State, new: State) -> None:
        for thread in threads:
            stop = self._stops.get(thread)
            if stop is not None and stop.state is old:
                self._stops[thread] = Stop(thread, new, stop.body, stop.shown)

    def show(self) -> tuple[dict[str, Any], ...]:
        """The bodies of those that were not shown, which are from now on."""
        hidden = [stop for stop in self._stops.values() if not stop.shown]
        for stop in hidden:
            self._stops[stop.thread] = Stop(stop.thread, stop.state, stop.body)
        return tuple(stop.body for stop in hidden)

    def is_hidden(self, thread: int) -> bool:
        stop = self._stops.get(thread)
        return stop is not None and not stop.shown

    @property
    def bodies(self) -> tuple[dict[str, Any], ...]:
        """Of those that are shown."""
        return tuple(stop.body for stop in self._stops.values() if stop.shown)
