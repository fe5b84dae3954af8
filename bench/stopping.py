"""How long a thread stands for one look: breakpoint, stack, scopes, variables, continue; told by the program itself.

The peer is plain `debugpy.listen()`, a DAP client at its adapter's port, attached as an editor does. Sonde is asked
by a viewer through the whole path. Rounds are interleaved.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from bench.dap import Client
from bench.report import Figure, Report, median, percentile
from bench.site import fresh_site, program
from sonde_viewer.session import DebugSession
from tests.support.debuggee import Running, interpreters, running
from tests.support.site import Site, appeared

_ROUNDS = 15


async def measure() -> Report:
    figures: list[Figure] = []
    async with fresh_site() as site:
        for version, python in interpreters().items():
            figures += await _measure_on(site, version, python)
    return Report("stop, inspect, continue", "debugpy.listen() with its adapter", tuple(figures))


async def _measure_on(site: Site, version: str, python: str) -> list[Figure]:
    passes = program("passes.py")
    service = "passes-" + version
    async with AsyncExitStack() as stack:
        viewer = await stack.enter_async_context(site.viewer())
        tapped = await stack.enter_async_context(site.run(passes, service=service, python=python))
        listening = await stack.enter_async_context(
            running(python, "-Xfrozen_modules=off", str(passes.path), "listen", env=site.environment)
        )
        port = int((await listening.says("port")).split()[1])
        for process in (tapped, listening):
            await process.says("ready")
        client = await Client.dial(port)
        stack.callback(client.close)
        await attach(client, str(passes.path), passes.line("stop here"))
        (presence,) = await appeared(viewer, service)
        session = await stack.enter_async_context(viewer.debug(presence.process))
        await session.set_breakpoints(str(passes.path), [passes.line("stop here")])

        taken: dict[str, list[float]] = {"debugpy": [], "sonde": []}
        for _ in range(_ROUNDS):
            taken["debugpy"].append(await stood(listening, lambda: look_by_client(client)))
            taken["sonde"].append(await stood(tapped, lambda: _look_by_viewer(session)))
        plain, ours = median(taken["debugpy"]), median(taken["sonde"])
        return [
            Figure(f"{version} debugpy / Sonde", plain / ours, "ratio"),
            Figure(f"{version} Sonde, p50", ours, "ms"),
            Figure(f"{version} Sonde, p90", percentile(taken["sonde"], 0.9), "ms"),
            Figure(f"{version} debugpy, p50", plain, "ms"),
        ]


async def attach(client: Client, path: str, line: int) -> None:
    await client.request("initialize", adapterID="python", pathFormat="path", clientID="bench")
    attaching = client.send("attach", justMyCode=False)
    await client.event("initialized")
    await client.request("setBreakpoints", source={"path": path}, breakpoints=[{"line": line}])
    await client.request("configurationDone")
    await client.answer(attaching)


async def stood(process: Running, look: Callable[[], Awaitable[None]]) -> float:
    await process.hears("")
    await look()
    assert process.process.stdout is not None
    return float(await process.process.stdout.readline())


async def look_by_client(client: Client) -> None:
    stopped = await client.event("stopped")
    stack = await client.request("stackTrace", threadId=stopped["threadId"], levels=20)
    scopes = await client.request("scopes", frameId=stack["body"]["stackFrames"][0]["id"])
    await client.request("variables", variablesReference=scopes["body"]["scopes"][0]["variablesReference"])
    await client.request("continue", threadId=stopped["threadId"])


async def _look_by_viewer(session: DebugSession) -> None:
    stop = await session.stopped()
    frames = await session.stack(stop.thread, levels=20)
    scopes = await session.scopes(frames[0]["id"])
    await session.variables(scopes[0]["variablesReference"])
    await session.continue_()
