"""How long passes of `serve` take, in microseconds: `mean` of the quickest of some rounds, `p50` and `p99` of single ones.

They are made in a thread, whose stack is short, as that of most workers is.
"""

import threading
import time
from collections.abc import Callable

from bench.programs import served

_ROUNDS = 7
_SINGLE = 1000
SINGLE: list[float] = []
MEANS: list[float] = []
"""Of the module, so that they are in no frame that is shown."""


def passes(many: int) -> float:
    serve = served.serve
    began = time.thread_time()  # what the processor does; others share it
    for number in range(many):
        serve(number, False)
    return (time.thread_time() - began) / many * 1e6


def one_by_one(many: int) -> None:
    serve = served.serve
    for number in range(many):
        began = time.perf_counter_ns()
        serve(number, False)
        SINGLE.append((time.perf_counter_ns() - began) / 1000)


def measured(many: int, between: Callable[[], None]) -> None:
    means = []
    for _ in range(_ROUNDS):
        means.append(passes(many))
        between()
    MEANS.append(min(means))
    one_by_one(min(many, _SINGLE))
    between()


def made(many: int) -> int:
    """How many passes `in_thread` makes."""
    return many * _ROUNDS + min(many, _SINGLE)


def in_thread(many: int, between: Callable[[], None] = lambda: None) -> dict[str, float]:
    """`between` is called after each round."""
    SINGLE.clear()
    thread = threading.Thread(target=measured, args=(many, between))
    thread.start()
    thread.join()
    SINGLE.sort()
    return {
        "mean": MEANS.pop(),
        "p50": SINGLE[len(SINGLE) // 2],
        "p99": SINGLE[int(len(SINGLE) * 0.99)],
    }
