"""A call-heavy loop. Each line on standard input runs one round and prints its nanoseconds a call."""

import sys
import time

CALLS = 200_000


def callee(number: int) -> int:
    return number + 1


def round_of_calls() -> float:
    total = 0
    began = time.perf_counter_ns()
    for _ in range(CALLS):
        total = callee(total)
    return (time.perf_counter_ns() - began) / CALLS


if len(sys.argv) > 1:
    import debugpy

    debugpy.listen(("127.0.0.1", 0))
print("ready", flush=True)
for _line in sys.stdin:
    print(round_of_calls(), flush=True)
