"""python -m bench                 list the comparisons
python -m bench NAME [--json]   run one
python -m bench --all [--json]  run all, one after the other
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping

from bench import (
    at_sidecar,
    breakpoints,
    cycles,
    evaluate,
    fleet,
    idle,
    importing,
    operations,
    probes,
    reconnect,
    relay,
    slowdown,
    stopping,
)
from bench.report import Report
from tests.pythons import as_variable, environments

COMPARISONS: Mapping[str, tuple[Callable[[], Awaitable[Report]], str]] = {
    "evaluate": (evaluate.measure, "evaluate through the whole path, beside DAP straight to pydevd"),
    "sidecar": (at_sidecar.measure, "evaluate and one look at the sidecar itself, beside debugpy's adapter"),
    "idle": (idle.measure, "memory and CPU of an idle tap and sidecar, beside debugpy.listen()"),
    "import": (importing.measure, "time to import the tap, beside importing debugpy"),
    "stopping": (stopping.measure, "how long a thread stands for one look, beside debugpy with its adapter"),
    "cycles": (cycles.measure, "200 times attached and detached, beside debugpy with its adapter"),
    "operations": (operations.measure, "an operation that the program measures, beside an empty block"),
    "breakpoints": (breakpoints.measure, "breakpoints that do not stop, beside debugpy's own and none"),
    "probes": (
        probes.measure,
        "one hit of a probe, beside debugpy's conditional breakpoint, logpoint and stop, and ddtrace",
    ),
    "relay": (
        relay.measure,
        "events from MQTT to WebSocket viewers, beside Mosquitto and NATS by themselves",
    ),
    "fleet": (fleet.measure, "5,000 agents with metrics on one broker, beside Mosquitto by itself"),
    "reconnect": (reconnect.measure, "1,000 agents and 1,000 viewers cut off at once, beside Mosquitto's"),
    "slowdown": (slowdown.measure, "busy loops with the tap idle, attached and detached, beside none"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", nargs="?", choices=sorted(COMPARISONS))
    parser.add_argument("--all", action="store_true", help="run every comparison")
    parser.add_argument("--json", action="store_true", help="one JSON object for each comparison")
    options = parser.parse_args()
    if not options.name and not options.all:
        for name, (_, summary) in COMPARISONS.items():
            print(f"{name:<10} {summary}")
        return 0
    os.environ.setdefault("SONDE_TEST_PYTHONS", as_variable(environments()))
    for name in COMPARISONS if options.all else (options.name,):
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        report = asyncio.run(_run(COMPARISONS[name][0]))
        print(report.as_json() if options.json else report.as_table(), flush=True)
    return 0


async def _run(measure: Callable[[], Awaitable[Report]]) -> Report:
    return await measure()


if __name__ == "__main__":
    sys.exit(main())
