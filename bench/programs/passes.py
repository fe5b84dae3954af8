"""A line to be stopped at: each line on standard input passes it once and prints how long that took, in
milliseconds. With `listen`, under debugpy.listen(), whose port it prints first."""

import sys
import time


def pass_by(number: int) -> float:
    began = time.perf_counter()
    order = {"number": number, "items": ["tea", "milk"], "price": 12.5}
    order["paid"] = True  # stop here
    return (time.perf_counter() - began) * 1000


if len(sys.argv) > 1:
    import debugpy

    debugpy.configure(subProcess=False)
    print("port", debugpy.listen(("127.0.0.1", 0))[1], flush=True)
print("ready", flush=True)
for _number, _line in enumerate(sys.stdin):
    print(pass_by(_number), flush=True)
