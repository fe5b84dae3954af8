"""How long an application waits for `import sonde_agent`, beside `import debugpy`."""

import subprocess
import sys
import time

from bench.report import Figure, Report, median

_ROUNDS = 15


def _start(statement: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return (time.perf_counter() - began) * 1000


async def measure() -> Report:
    samples: dict[str, list[float]] = {"pass": [], "import sonde_agent": [], "import debugpy": []}
    for _ in range(_ROUNDS):
        for statement, taken in samples.items():
            taken.append(_start(statement))
    bare = median(samples["pass"])
    tap = median(samples["import sonde_agent"]) - bare
    debugpy = median(samples["import debugpy"]) - bare
    return Report(
        "import of the tap",
        "import debugpy",
        (
            Figure("sonde_agent / debugpy", tap / debugpy, "ratio"),
            Figure("import sonde_agent, over a bare interpreter", tap, "ms"),
            Figure("import debugpy, over a bare interpreter", debugpy, "ms"),
            Figure("bare interpreter", bare, "ms"),
        ),
    )
