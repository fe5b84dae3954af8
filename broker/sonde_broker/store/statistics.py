"""For how long a process stood in the time of a session. Pure.

A stop is counted from DAP's `stopped` to the `continued` of the thread, to its end, or to whatever lets everything run. As
long as one thread stands the process counts as standing, whichever it is.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

_LETS_GO = frozenset({"debugger_detached", "process_ended"})
KINDS = ("dap.stopped", "dap.continued", "dap.thread", "lease_changed", *sorted(_LETS_GO))
"""The events that are needed for it."""


class Standing(Struct, frozen=True):
    stops: int = 0
    stopped: float = 0.0
    longest: float = 0.0


class Moment(Struct, frozen=True):
    kind: str
    time: float
    body: bytes


class _Body(Struct, frozen=True):
    threadId: int | None = None
    allThreadsStopped: bool = False
    allThreadsContinued: bool = False
    reason: str = ""


class _Message(Struct, frozen=True):
    body: _Body = _Body()


class _Event(Struct, frozen=True):
    message: _Message = _Message()
    state: str = ""


_event = msgspec.json.Decoder(_Event)


def standing(moments: Iterable[Moment], end: float) -> Standing:
    """In their order. What stands at the end stood until `end`."""
    threads: set[int | None] = set()
    since = 0.0
    stops, stopped, longest = 0, 0.0, 0.0
    for moment in moments:
        stood = bool(threads)
        stops += moment.kind == "dap.stopped"
        threads = _after(threads, moment)
        if threads and not stood:
            since = moment.time
        elif stood and not threads:
            length = max(0.0, moment.time - since)
            stopped, longest = stopped + length, max(longest, length)
    if threads:
        length = max(0.0, end - since)
        stopped, longest = stopped + length, max(longest, length)
    return Standing(stops, stopped, longest)


def _after(threads: set[int | None], moment: Moment) -> set[int | None]:
    if moment.kind in _LETS_GO:
        return set()
    try:
        event = _event.decode(moment.body)
    except msgspec.MsgspecError:
        return threads
    body = event.message.body
    match moment.kind:
        case "dap.stopped":
            return threads | {body.threadId}
        case "dap.continued":
            return set() if body.allThreadsContinued else threads - {body.threadId}
        case "dap.thread" if body.reason == "exited":
            return threads - {body.threadId}
        case "lease_changed" if event.state in {"ended", "lapsed"}:
            return set()
        case _:
            return threads
