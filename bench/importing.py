"""How long an application waits for `import sonde_agent`, beside `import debugpy`."""

import subprocess
import sys

from bench.report import Figure, Report, median

_ROUNDS = 15


def _taken(module: str) -> float:
    """Milliseconds, inside a fresh interpreter."""
    code = f"import time; began = time.perf_counter(); import {module}; print(time.perf_counter() - began)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(told.stdout) * 1000


async def measure() -> Report:
    samples: dict[str, list[float]] = {"sonde_agent": [], "debugpy": []}
    for _ in range(_ROUNDS):
        for module, taken in samples.items():
            taken.append(_taken(module))
    tap, debugpy = median(samples["sonde_agent"]), median(samples["debugpy"])
    return Report(
        "import of the tap",
        "import debugpy",
        (
            Figure("sonde_agent / debugpy", tap / debugpy, "ratio"),
            Figure("import sonde_agent", tap, "ms"),
            Figure("import debugpy", debugpy, "ms"),
        ),
    )
