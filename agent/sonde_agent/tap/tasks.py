"""The asyncio tasks of all loops and what awaits what, while everything runs on.

    a task --_fut_waiter--> a task                    it awaits that one
                        --> gather, shield, ...       it waits for what these wait for
                        --> any other future          named by asyncio's innermost frame, such as `Lock.acquire`
           --_coro--> cr_await --> cr_await --> ...    its frames

Everything is read while the loops run, so that it need not fit together: a task may have gone on between two
reads. Tasks of asyncio are read, also under uvloop and anyio; trio has none.
"""

import time
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

from sonde_agent.tap import coroutines, inert, loops, redacting, sources, stacks
from sonde_agent.tap.asyncio_parts import Asyncio
from sonde_agent.tap.heap import current_frames

MOST_TASKS = 5_000
MOST_FRAMES_OF_A_TASK = 50
MOST_TEXT = 2_000_000
"""Characters in the frames of all tasks; later tasks have none."""

_NAMES = {
    "__sleep0": "its turn",
    "to_thread": "a thread",
    "Lock.acquire": "Lock",
    "Event.wait": "Event",
    "Condition.wait": "Condition",
    "Semaphore.acquire": "Semaphore",
    "Barrier._block": "Barrier",
    "Barrier._wait": "Barrier",
    "StreamReader._wait_for_data": "StreamReader",
    "FlowControlMixin._drain_helper": "StreamWriter.drain",
    "BaseSubprocessTransport._wait": "subprocess",
}
"""By asyncio's function; others are named by themselves, as `Queue.get` is."""


def read() -> dict[str, Any]:
    """Fields of the wire's `Tasks`. Asks the loops for their lag, which takes up to `loops.PATIENCE` seconds."""
    asyncio = Asyncio()
    threads = [(ident, list(_stack(frame))) for ident, frame in current_frames().items()]
    found, more = asyncio.tasks(MOST_TASKS)
    running = {id(task) for task in asyncio.running_tasks()}
    frames = _Frames()
    known = {id(task): _Known(task) for task in found}
    owners: dict[int, Any] = {id(loop): loop for loop in loops.running()}
    threads_of: dict[int, int] = {}
    for task in found:
        loop = asyncio.attribute(task, "_loop")
        if loop is not None:
            owners.setdefault(id(loop), loop)
        each = known[id(task)]
        each.fields = {"id": id(task), "name": redacting.current().text(asyncio.name(task)), "loop": id(loop)}
        each.fields["state"] = "running" if id(task) in running else "waiting"
        coroutine = asyncio.attribute(task, "_coro")
        chain, each.fields["truncated"] = _chain(coroutine)
        if id(task) in running and (standing := _standing(coroutine, threads)) is not None:
            threads_of[id(loop)], chain = standing
        each.fields["coroutine"] = coroutines.name(coroutine)
        each.frames = chain
        each.fields["frames"] = frames.of(chain)
        each.fields["truncated"] |= len(each.fields["frames"]) < len(chain)
        _await(each, task, asyncio, known)
    for each in known.values():
        each.fields["awaited_by"] = each.awaited_by
    pulses = loops.feel(owners.values())
    return {
        "loops": [loops.describe(loop, pulses.get(key), threads_of.get(key)) for key, loop in owners.items()],
        "tasks": [each.fields for each in known.values()],
        "time": time.time(),
        "truncated": more or frames.left <= 0,
    }


def event_loops() -> dict[int, Any]:
    """By id: those that run, as far as it shows, and those that tasks belong to."""
    asyncio = Asyncio()
    found = {id(loop): loop for loop in loops.running()}
    for task in asyncio.tasks(MOST_TASKS)[0]:
        if (loop := asyncio.attribute(task, "_loop")) is not None:
            found.setdefault(id(loop), loop)
    return found


class _Known:
    """A task that is listed, and what is found out about it."""

    def __init__(self, task: Any) -> None:
        self.task = task
        self.fields: dict[str, Any] = {}
        self.frames: list[tuple[CodeType, int | None]] = []
        self.awaited_by: list[int] = []


class _Frames:
    """The wire's frames of an answer, as long as there is room. Many tasks do the same: each place is described once."""

    def __init__(self) -> None:
        self.left = MOST_TEXT
        self._lines = sources.Lines()
        self._known: dict[tuple[int, int | None], tuple[CodeType, dict[str, Any], int]] = {}
        """With the code, so that no other gets its id."""

    def of(self, chain: list[tuple[CodeType, int | None]]) -> list[dict[str, Any]]:
        frames = []
        for code, line in chain:
            if self.left <= 0:
                break
            known = self._known.get((id(code), line))
            if known is None:
                frame = stacks.frame(code, line, self._lines)
                size = 60 + len(frame["path"]) + len(frame["function"]) + len(frame["text"])
                known = self._known[id(code), line] = (code, frame, size)
            frames.append(known[1])
            self.left -= known[2]
        return frames


def _await(each: _Known, task: Any, asyncio: Asyncio, known: dict[int, _Known]) -> None:
    """Fills in `awaits` or `waits_for`, and `awaited_by` of whom it awaits."""
    if each.fields["state"] == "running":
        return
    waiter = asyncio.attribute(task, "_fut_waiter")
    if waiter is None:
        each.fields["waits_for"] = "its turn"
        return
    behind = list(asyncio.awaited(waiter))
    how = "gather" if type(waiter) is asyncio.gathering else ""
    if not any(asyncio.is_task(one) for one in behind) and (several := _several(task, asyncio)):
        how, futures = several
        behind = [one for future in futures for one in asyncio.awaited(future)]
    pending = [one for one in behind if asyncio.attribute(one, "_state") == "PENDING"]
    awaited = [known[id(one)] for one in pending if id(one) in known and id(one) != id(task)]
    for one in awaited:
        one.awaited_by.append(id(task))
    if len(awaited) == 1 and len(pending) == 1:
        each.fields["awaits"] = id(awaited[0].task)
    elif how or len(pending) > 1:
        each.fields["waits_for"] = f"{how or 'wait'} of {len(pending)}"
    else:
        each.fields["waits_for"] = _waits_for(each, waiter, asyncio)


def _several(task: Any, asyncio: Asyncio) -> tuple[str, list[Any]] | None:
    """What a task waits for inside asyncio's `wait`, `wait_for` or task group, which keep it in their variables."""
    for frame in reversed(list(coroutines.frames_of(asyncio.attribute(task, "_coro")))):
        if not asyncio.directory or not frame.f_code.co_filename.startswith(asyncio.directory):
            continue
        function = frame.f_code.co_qualname
        if function == "_wait" and (futures := _items(frame.f_locals.get("fs"))):
            return "wait", futures
        if function == "wait_for" and (future := frame.f_locals.get("fut")) is not None:
            return "", [future]
        if function in {"TaskGroup.__aexit__", "TaskGroup._aexit"}:
            group = inert.attributes(frame.f_locals.get("self"))
            if futures := _items(group.get("_tasks")):
                return "TaskGroup", futures
    return None


def _waits_for(each: _Known, waiter: Any, asyncio: Asyncio) -> str:
    code = each.frames[0][0] if each.frames else None
    if code is not None and asyncio.directory and code.co_filename.startswith(asyncio.directory):
        return _NAMES.get(code.co_qualname, code.co_qualname)
    return "a thread" if asyncio.is_of_thread(waiter) else inert.class_name(type(waiter))


def _chain(coroutine: Any) -> tuple[list[tuple[CodeType, int | None]], bool]:
    """Code and line of each await, innermost first; the outer ones are cut."""
    frames = [(frame.f_code, frame.f_lineno) for frame in coroutines.frames_of(coroutine)]
    frames.reverse()
    return frames[:MOST_FRAMES_OF_A_TASK], len(frames) > MOST_FRAMES_OF_A_TASK


def _standing(
    coroutine: Any, threads: list[tuple[int, list[FrameType]]]
) -> tuple[int, list[tuple[CodeType, int | None]]] | None:
    """Where a running task is: the thread, and its stack down to the task's own coroutine."""
    root = next(coroutines.frames_of(coroutine), None)
    for ident, frames in threads:
        for position, frame in enumerate(frames):
            if frame is root:
                inner = frames[: position + 1][:MOST_FRAMES_OF_A_TASK]
                return ident, [(each.f_code, each.f_lineno) for each in inner]
    return None


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _items(futures: Any) -> list[Any]:
    """Of a collection of asyncio's; a set is copied in one step."""
    return list(futures.copy()) if type(futures) in {set, list} else []
