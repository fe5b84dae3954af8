"""A function that is passed again and again. Each line on standard input is JSON: `probe` (a specification, or null) and
`passes`; the answer is the microseconds of one pass: `mean` of the quickest of some rounds, `p50` and `p99` of single ones. With
`listen`, under debugpy.listen(), whose port it prints first.

It runs in a thread, whose stack is short, as that of most workers is.
"""

import json
import sys
import threading
import time
from typing import Any

_ROUNDS = 7
SINGLE: list[float] = []
MEANS: list[float] = []
"""Of the module, so that they are in no frame that is shown."""


def serve(number: int, never: bool) -> float:
    name = "order"
    price = 12.5
    items = ["tea", "milk"]
    order = {"name": name, "price": price}
    paid = True
    rest = None
    if never:
        rest = number  # never reached
    return price if rest is None and paid and items and order else 0.0  # probe here


def passes(many: int) -> float:
    began = time.thread_time()  # what the processor does; others share it
    for number in range(many):
        serve(number, False)
    return (time.thread_time() - began) / many * 1e6


def one_by_one(many: int) -> None:
    for number in range(many):
        began = time.perf_counter_ns()
        serve(number, False)
        SINGLE.append((time.perf_counter_ns() - began) / 1000)


def measured(many: int) -> None:
    MEANS.append(min(passes(many) for _ in range(_ROUNDS)))
    one_by_one(min(many, 1000))


def in_thread(many: int) -> dict[str, float]:
    SINGLE.clear()
    thread = threading.Thread(target=measured, args=(many,))
    thread.start()
    thread.join()
    SINGLE.sort()
    return {
        "mean": MEANS.pop(),
        "p50": SINGLE[len(SINGLE) // 2],
        "p99": SINGLE[int(len(SINGLE) * 0.99)],
    }


def probed(spec: dict[str, Any] | None, many: int) -> dict[str, float]:
    if spec is None:
        return in_thread(many)
    from sonde_agent.tap.probes.engine import Engine

    engine = Engine(lambda: None, 100.0)
    status = engine.put({"id": "benchbench", "left": 600.0, "spec": spec})
    assert status["state"] == "active", status
    try:
        return in_thread(many)
    finally:
        engine.close()


if len(sys.argv) > 1:
    import debugpy

    debugpy.configure(subProcess=False)
    print("port", debugpy.listen(("127.0.0.1", 0))[1], flush=True)
print("ready", flush=True)
for _line in sys.stdin:
    _asked = json.loads(_line)
    print(json.dumps(probed(_asked["probe"], _asked["passes"])), flush=True)
