"""One hit of a probe of Datadog's library (ddtrace's Dynamic Instrumentation), without Datadog: probes come from a file, in the
form that its remote configuration has, and what they bring goes to an `intake` on the loopback.

Each probe has a process of its own, in which it is from the beginning. A figure counts when the intake got what the passes must
have brought; else there is none, and a line on standard error tells. Rates are raised as ours are; what a snapshot captures has
the limits that are its defaults, depth 2 for our 3 among them.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.intake import Intake, intake
from bench.peers import installed
from bench.programs.passing import made
from tests.support.debuggee import Program, running

REQUIREMENT = "ddtrace>=4.16,<5"
_ROOT = Path(__file__).parent.parent
_SECONDS = 60.0
"""For all that one process is asked."""
_WARM = 50
_MANY = 5000
_FEW = 1000
_ARRIVING = 0.9
"""Of its metrics at least: a system may drop datagrams."""
_LOG = {
    "type": "LOG_PROBE",
    "template": "n={number} {name}",
    "segments": [
        {"str": "n="},
        {"dsl": "number", "json": {"ref": "number"}},
        {"str": " "},
        {"dsl": "name", "json": {"ref": "name"}},
    ],
    "sampling": {"snapshotsPerSecond": 1e9},
}
_SNAPSHOT = {**_LOG, "captureSnapshot": True}
_NEGATIVE = {"when": {"dsl": "number < 0", "json": {"lt": [{"ref": "number"}, 0]}}}
_METRIC = {"type": "METRIC_PROBE", "metricName": "served", "kind": "COUNT"}
_PROBES: dict[str, tuple[dict[str, Any], int, str]] = {
    "condition that does not hold": ({**_SNAPSHOT, **_NEGATIVE}, _MANY, "mean"),
    "metric": (_METRIC, _MANY, "mean"),
    "log": (_LOG, _FEW, "p50"),
    "snapshot": (_SNAPSHOT, _FEW, "p50"),
}


async def hits(version: str, python: str, served: Program) -> dict[str, float]:
    """Microseconds by what was measured; nothing where the library cannot be installed."""
    found: dict[str, float] = {}
    async with installed(version, python, "ddtrace", REQUIREMENT) as peer:
        if peer is None:
            return found
        without = {passes: await _passes(python, peer, served, None, passes) for passes in (_MANY, _FEW)}
        for name, (probe, passes, which) in _PROBES.items():
            taken, base = await _passes(python, peer, served, probe, passes), without[passes]
            if taken is None or base is None:
                print(
                    f"{version}: no figure of ddtrace's {name}: not what was to come arrived", file=sys.stderr
                )
                continue
            found[name] = taken[which] - base[which]
            if name == "snapshot":
                found[f"{name}, p99"] = taken["p99"] - base["p50"]
    return found


async def _passes(
    python: str, peer: str, served: Program, probe: dict[str, Any] | None, passes: int
) -> dict[str, float] | None:
    """None when what must have arrived did not, or the process does not come to an end."""
    try:
        async with asyncio.timeout(_SECONDS):
            return await _in_a_process(python, peer, served, probe, passes)
    except TimeoutError:
        return None


async def _in_a_process(
    python: str, peer: str, served: Program, probe: dict[str, Any] | None, passes: int
) -> dict[str, float] | None:
    line = str(served.line("probe here"))
    place = {"id": "bench", "version": 1, "where": {"sourceFile": str(served.path), "lines": [line]}}
    with tempfile.TemporaryDirectory() as directory, intake() as taking:
        file = Path(directory) / "probes.json"
        file.write_text(json.dumps([] if probe is None else [{**place, **probe}]))
        program = str(_ROOT / "bench" / "programs" / "ddtraced.py")
        async with running(python, program, env=_environment(peer, taking, file)) as process:
            await process.says("ready")

            async def ask(**question: int) -> dict[str, float]:
                await process.hears(json.dumps(question))
                assert process.process.stdout is not None
                answer: dict[str, float] = json.loads(await process.process.stdout.readline())
                return answer

            await ask(once=-1)
            if not await _arrived(taking, probe, 0):  # it does not send yet, or has no probe there
                return None
            await ask(passes=_WARM)
            taken = await ask(passes=passes)
            return taken if await _arrived(taking, probe, made(_WARM) + made(passes)) else None


async def _arrived(taking: Intake, probe: dict[str, Any] | None, after: int) -> bool:
    """Whether -1 and the `after` passes that followed brought what this probe brings."""
    if probe is None:
        return True
    if probe["type"] == "METRIC_PROBE":
        wanted = 1 + int(after * _ARRIVING)
        return (await taking.until(0, wanted))[1] >= wanted
    wanted = 1 if "when" in probe else 1 + after
    if (await taking.until(wanted, 0))[0] != wanted:
        return False
    return all(_is_whole(event, "captureSnapshot" in probe) for event in taking.brought())


def _is_whole(event: dict[str, Any], with_variables: bool) -> bool:
    if not event["message"].startswith("n=") or not event["message"].endswith(" 'order'"):
        return False
    captures = event["debugger"]["snapshot"]["captures"]
    if not with_variables:
        return not captures
    (captured,) = captures["lines"].values()
    names = {*captured["arguments"], *captured["locals"]}
    return names == {"number", "never", "name", "price", "items", "order", "paid", "rest"}


def _environment(peer: str, taking: Intake, probes: Path) -> dict[str, str]:
    http, metrics = taking.ports
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join((str(_ROOT), peer)),
        "DD_TRACE_AGENT_URL": f"http://127.0.0.1:{http}",
        "DD_DOGSTATSD_URL": f"udp://127.0.0.1:{metrics}",
        "DD_DYNAMIC_INSTRUMENTATION_ENABLED": "true",
        "DD_DYNAMIC_INSTRUMENTATION_PROBE_FILE": str(probes),
        "DD_TRACE_ENABLED": "false",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_CRASHTRACKING_ENABLED": "false",
    }
