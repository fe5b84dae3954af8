"""What one hit of a probe costs the program, beside what debugpy has for the same: a conditional breakpoint that does not hold, a
logpoint, and stop, inspect, continue; and beside the probes of ddtrace, Datadog's library, where that can be installed.

Each figure is what a pass of the function takes longer than without anything. The peer is `debugpy.listen()` with a DAP client at
its adapter's port. Told apart is what one pass takes (`p50`, `p99`) and what one of many does. What a hit brought becomes JSON in the
program's own thread with ddtrace, and in the tap's with ours: that is not part of the figure.
"""

import json
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench import datadog
from bench.dap import Client
from bench.report import Figure, Report
from bench.site import program
from bench.stopping import look_by_client
from tests.support.debuggee import Program, Running, interpreters, running

_ROOT = Path(__file__).parent.parent
_MANY = 50_000
_FEW = 1000
_UNLIMITED = {"max_hits": 1_000_000_000, "rate": 10_000, "burst": 10_000}

_ONE_FRAME = {"kind": {"type": "snapshot"}, "capture": {"frames_with_locals": 1}, **_UNLIMITED}
"""The stack, and the variables of the function that is passed."""
_PROBES: dict[str, tuple[dict[str, Any], int, str]] = {
    "false condition": ({"kind": {"type": "snapshot"}, "condition": "number < 0"}, _MANY, "mean"),
    "throttled hit": ({"kind": {"type": "snapshot"}}, _MANY, "mean"),
    "counter": ({"kind": {"type": "counter"}}, _MANY, "mean"),
    "histogram": ({"kind": {"type": "histogram", "expression": "price"}}, _MANY, "mean"),
    "timer": ({"kind": {"type": "timer"}}, _MANY, "mean"),
    "log": ({"kind": {"type": "log", "template": "n={number} {name}"}, **_UNLIMITED}, _FEW, "p50"),
    "snapshot": (_ONE_FRAME, _FEW, "p50"),
    "snapshot, variables of five frames": ({"kind": {"type": "snapshot"}, **_UNLIMITED}, _FEW, "p50"),
}


async def measure() -> Report:
    figures: list[Figure] = []
    for version, python in interpreters().items():
        figures += await _measured_on(version, python)
    return Report(
        "one hit of a probe", f"debugpy.listen() with its adapter, and {datadog.REQUIREMENT}", tuple(figures)
    )


async def _measured_on(version: str, python: str) -> list[Figure]:
    probed, served = program("probed.py"), program("served.py")
    path = os.pathsep.join((str(_ROOT / "agent"), str(_ROOT / "wire"), str(_ROOT)))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path}
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(running(python, str(probed.path), env=environment))
        listening = await stack.enter_async_context(
            running(python, "-Xfrozen_modules=off", str(probed.path), "listen", env=environment)
        )
        port = int((await listening.says("port")).split()[1])
        for process in (plain, listening):
            await process.says("ready")
        client = await Client.dial(port)
        stack.callback(client.close)

        ours = await _probes(plain, served)
        theirs = await _debugpy(listening, client, served)
    theirs |= {
        f"ddtrace: {name}": value for name, value in (await datadog.hits(version, python, served)).items()
    }
    titles = {
        "debugpy: condition that does not hold": "false condition",
        "debugpy: logpoint": "log",
        "debugpy: stop, inspect, continue": "snapshot",
        "ddtrace: condition that does not hold": "false condition",
        "ddtrace: metric": "counter",
        "ddtrace: log": "log",
        "ddtrace: snapshot": "snapshot",
    }
    figures = [
        Figure(
            f"{version} {theirs_name} / {ours_name}",
            theirs[theirs_name] / max(ours[ours_name], 0.01),
            "ratio",
        )
        for theirs_name, ours_name in titles.items()
        if theirs_name in theirs
    ]
    figures += [Figure(f"{version} {name}", value, "us") for name, value in {**ours, **theirs}.items()]
    return figures


async def _probes(process: Running, served: Program) -> dict[str, float]:
    place = {"type": "line", "path": str(served.path), "line": served.line("probe here")}
    never = {**place, "line": served.line("never reached")}
    many, few = await _ask(process, None, _MANY), await _ask(process, None, _FEW)
    found = {}
    for name, (spec, passes, which) in _PROBES.items():
        taken = await _ask(process, {"place": place, **spec}, passes)
        found[name] = taken[which] - (many if passes == _MANY else few)[which]
        if name.startswith("snapshot"):
            found[f"{name}, p99"] = taken["p99"] - few["p50"]
    beside = await _ask(process, {"place": never, "kind": {"type": "snapshot"}}, _MANY)
    found["neighbouring line, whole function"] = beside["mean"] - many["mean"]
    return found


async def _debugpy(process: Running, client: Client, served: Program) -> dict[str, float]:
    await client.request("initialize", adapterID="python", pathFormat="path", clientID="bench")
    attaching = client.send("attach", justMyCode=False)
    await client.event("initialized")
    await client.request("configurationDone")
    await client.answer(attaching)
    base = await _ask(process, None, _FEW)

    async def breakpoint_(line: str, **options: str) -> None:
        await client.request(
            "setBreakpoints",
            source={"path": str(served.path)},
            breakpoints=[{"line": served.line(line), **options}],
        )

    found = {}
    for name, line, options in (
        ("condition that does not hold", "probe here", {"condition": "number < 0"}),
        ("logpoint", "probe here", {"logMessage": "n={number} {name}"}),
        ("breakpoint on a neighbouring line, whole function", "never reached", {}),
    ):
        await breakpoint_(line, **options)
        found[f"debugpy: {name}"] = (await _ask(process, None, _FEW))["p50"] - base["p50"]
    await breakpoint_("probe here")
    await process.hears(json.dumps({"probe": None, "passes": 1}))
    for _ in range(8):  # seven rounds, and one pass by itself
        await look_by_client(client)
    assert process.process.stdout is not None
    found["debugpy: stop, inspect, continue"] = json.loads(await process.process.stdout.readline())["p50"]
    return found


async def _ask(process: Running, spec: dict[str, Any] | None, passes: int) -> dict[str, float]:
    await process.hears(json.dumps({"probe": spec, "passes": passes}))
    assert process.process.stdout is not None
    taken: dict[str, float] = json.loads(await process.process.stdout.readline())
    return taken
