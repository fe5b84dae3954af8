"""Loops to be slowed down. Each line on standard input names one (calls, tasks, threads), runs a round of it and
prints its nanoseconds a step. With `listen`, under debugpy.listen()."""

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable

CALLS = 200_000
TASKS = 100
TURNS = 150
THREADS = 4
ITEMS = 5_000


def callee(number: int) -> int:
    return number + 1


def calls() -> int:
    total = 0
    for _ in range(CALLS):
        total = callee(total)
    return CALLS


async def turn(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def all_turns() -> None:
    await asyncio.gather(*(turn(TURNS) for _ in range(TASKS)))


def tasks() -> int:
    asyncio.run(all_turns())
    return TASKS * TURNS


def work(items: "queue.SimpleQueue[int | None]") -> None:
    while (item := items.get()) is not None:
        callee(item)


def threads() -> int:
    items: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    workers = [threading.Thread(target=work, args=(items,)) for _ in range(THREADS)]
    for worker in workers:
        worker.start()
    for number in range(ITEMS * THREADS):
        items.put(number)
    for _ in workers:
        items.put(None)
    for worker in workers:
        worker.join()
    return ITEMS * THREADS


def elsewhere() -> None:
    print("never called")  # stop elsewhere


LOOPS: dict[str, Callable[[], int]] = {"calls": calls, "tasks": tasks, "threads": threads}

if len(sys.argv) > 1:
    import debugpy

    debugpy.configure(subProcess=False)
    debugpy.listen(("127.0.0.1", 0))
print("ready", flush=True)
for line in sys.stdin:
    began = time.perf_counter_ns()
    steps = LOOPS[line.strip()]()
    print((time.perf_counter_ns() - began) / steps, flush=True)
