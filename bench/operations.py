"""What it costs to measure an operation, beside an empty block and a histogram of prometheus_client.

CPU time of one thread, the counting included, in fresh interpreters, the quickest of several rounds. The peer is measured where
it can be imported: in what SONDE_BENCH_PEERS names, see `peers`.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from bench.peers import named
from bench.report import Figure, Report
from tests.support.debuggee import interpreters

_ROOT = Path(__file__).parent.parent


async def measure() -> Report:
    peers = named()
    figures: list[Figure] = []
    for version, python in interpreters().items():
        taken = await _measured(python, peers.get(version))
        if "prometheus" in taken:
            ratio = taken["operation"] / taken["prometheus"]
            figures.append(Figure(f"{version} operation / prometheus_client", ratio, "ratio"))
        figures.append(
            Figure(f"{version} operation / empty block", taken["operation"] / taken["empty"], "ratio")
        )
        for name, (title, unit) in _TITLES.items():
            if name in taken:
                figures.append(Figure(f"{version} {title}", taken[name], unit))
    return Report("measuring operations", "an empty `with`, and prometheus_client", tuple(figures))


_TITLES = {
    "empty": ("empty block of a Python class", "ns"),
    "operation": ("with operation()", "ns"),
    "noted": ("with operation(), until it is noted", "ns"),
    "kept": ("with an operation that is kept", "ns"),
    "decorated": ("decorated function", "ns"),
    "failing": ("with operation(), an error", "ns"),
    "in task": ("with operation(), in an asyncio task", "ns"),
    "async": ("async with operation()", "ns"),
    "prometheus": ("with prometheus_client's Histogram.time()", "ns"),
    "report": ("report of 200 busy names", "us"),
    "encode": ("its line to the sidecar", "us"),
    "bytes": ("its line to the sidecar", "KiB"),
    "idle report": ("report of a process without operations", "us"),
    "memory": ("memory of 200 busy names", "KiB"),
}


async def _measured(python: str, peer: str | None) -> dict[str, float]:
    """The program's one line of JSON."""
    path = os.pathsep.join((str(_ROOT / "agent"), *((peer,) if peer else ())))
    process = await asyncio.create_subprocess_exec(
        python,
        str(_ROOT / "bench" / "programs" / "operations.py"),
        env={**os.environ, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=sys.stderr,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    taken: dict[str, float] = json.loads(output)
    return taken
