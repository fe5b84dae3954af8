"""A tight loop whose function holds a breakpoint, or is to. Each line on standard input names a function (loop, decided,
calls), runs a round of it and prints its nanoseconds a turn. With a port, under plain debugpy connected to it."""

import os
import sys
import threading
import time
from collections.abc import Callable

TURNS = {"loop": 200_000, "decided": 20_000, "calls": 100_000}


def loop(turns: int) -> int:
    total = 0
    for number in range(turns):
        total += number
        if number < 0:
            total = 0  # never reached
    return total


def decided(turns: int) -> int:
    total = 0
    for number in range(turns):
        total += number  # decide here
    return total


def callee(number: int) -> int:
    if number < 0:
        return 0  # never reached either
    return number


def calls(turns: int) -> int:
    total = 0
    for number in range(turns):
        total += callee(number)
    return total


def connect() -> None:
    import pydevd

    pydevd.settrace(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        suspend=False,
        protocol="dap",
        block_until_connected=True,
        wait_for_ready_to_run=False,
        patch_multiprocessing=False,
    )


FUNCTIONS: dict[str, Callable[[int], int]] = {"loop": loop, "decided": decided, "calls": calls}

if len(sys.argv) > 1:
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    import debugpy.server  # noqa: F401 - puts pydevd on the path

    thread = threading.Thread(target=connect, daemon=True)
    thread.pydev_do_not_trace = thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]
    thread.start()
    thread.join()
print("ready", flush=True)
for line in sys.stdin:
    name = line.strip()
    began = time.perf_counter_ns()
    FUNCTIONS[name](TURNS[name])
    print((time.perf_counter_ns() - began) / TURNS[name], flush=True)
