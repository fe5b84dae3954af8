"""Measures operations many times over, and prints what one took."""

import asyncio
import json
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sonde_agent import link, operation
from sonde_agent.tap import operations
from sonde_agent.tap.report import Reporter

_TIMES = 20_000
_ROUNDS = 9


class Empty:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def best(work: Callable[[], object], times: int = _TIMES) -> float:
    """Nanoseconds of CPU for one."""
    taken = []
    for _ in range(_ROUNDS):
        began = time.thread_time_ns()
        work()
        taken.append((time.thread_time_ns() - began) / times)
    return min(taken)


def empty() -> None:
    for _ in range(_TIMES):
        with Empty():
            pass


def measured() -> None:
    for _ in range(_TIMES):
        with operation("x"):
            pass


def kept() -> None:
    one = operation("x")
    for _ in range(_TIMES):
        with one:
            pass


@operation("x")
def function() -> None:
    pass


def decorated() -> None:
    for _ in range(_TIMES):
        function()


def failing() -> None:
    for _ in range(_TIMES):
        with suppress(KeyError), operation("x"):
            raise KeyError


async def in_task(work: Callable[[], Awaitable[None]]) -> float:
    taken = []
    for _ in range(_ROUNDS):
        began = time.thread_time_ns()
        await work()
        taken.append((time.thread_time_ns() - began) / _TIMES)
    return min(taken)


async def plainly() -> None:
    measured()


async def asynchronously() -> None:
    for _ in range(_TIMES):
        async with operation("x"):
            pass


def busy() -> None:
    """Two hundred names, of durations that differ by some hundred times, over a minute of twelve slots."""
    for slot in range(12):
        for number in range(operations.MOST_NAMES - 1):
            for taken in range(1, 40):
                began = slot * 5_000_000_000 + number
                tally = operation(f"name {number}")._tally
                tally.begun += 1
                tally.end(began, began + taken * 50_000 * (number + 1), None)


def main() -> None:
    told = {"idle report": best(lambda: [Reporter().read() for _ in range(100)], 100) / 1000}
    told |= {"empty": best(empty), "operation": best(measured), "kept": best(kept)}
    told |= {"decorated": best(decorated), "failing": best(failing)}
    operations.COUNT_ABOVE = _TIMES * 3
    taken = []
    for _ in range(_ROUNDS):
        began = time.thread_time_ns()
        measured()
        taken.append((time.thread_time_ns() - began) / _TIMES)
        operations.read()
    told["noted"] = min(taken)
    operations.COUNT_ABOVE = 250
    told["in task"] = asyncio.run(in_task(plainly))
    told["async"] = asyncio.run(in_task(asynchronously))
    with suppress(ImportError):
        from prometheus_client import Histogram

        histogram = Histogram("charge_card_seconds", "of the comparison")

        def peer() -> None:
            for _ in range(_TIMES):
                with histogram.time():
                    pass

        told["prometheus"] = best(peer)
    tracemalloc.start()
    busy()
    told["memory"] = tracemalloc.get_traced_memory()[0] / 1024
    tracemalloc.stop()
    now = 12 * 5_000_000_000

    def read() -> None:
        for tally in operations._tallies.values():
            tally.begun += 1  # else it would say again what it said
            tally.read(now - 1)

    told["report"] = best(read, 1) / 1000
    report = link.Report(
        metrics={"operations": [each.read(now - 1) for each in operations._tallies.values()]}
    )
    told["encode"] = best(lambda: link.encode(report), 1) / 1000
    told["bytes"] = len(link.encode(report)) / 1024
    print(json.dumps(told))


main()
