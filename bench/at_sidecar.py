"""What a request costs at the sidecar itself: without bus, broker and WebSocket. Evaluate, and the stop for one look.

The sidecar runs in this process. Commands are handed to it where its uplink would, and its replies are caught where
they leave for the bus. The peer is plain `debugpy.listen()`, a DAP client at its adapter's port.
"""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from bench.dap import Client
from bench.report import Figure, Report, median, percentile
from bench.site import program
from bench.stopping import attach, look_by_client, stood
from sonde_agent import link
from sonde_agent.sidecar import SidecarSettings, serve
from sonde_agent.sidecar.process import Process
from sonde_agent.sidecar.uplink import Uplink
from sonde_wire import bus, codec
from tests.support.debuggee import Running, interpreters, running

_EVALUATIONS = 400
_LOOKS = 15
_VIEWER = bus.ViewerIdentity(
    subject="bench", connection="c", scopes=("observe", "inspect", "control", "execute")
)


class Session:
    """A debug session of `process`, spoken to without a bus."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._replies: dict[str, asyncio.Future[bus.Reply]] = {}
        self._stopped: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._uplink: Uplink = process._uplink
        self._uplink.reply = self._caught  # type: ignore[method-assign] # here the reply leaves
        self._uplink.events_waiting = self._told  # type: ignore[method-assign]

    def _caught(self, command: bus.Command, reply: bus.Reply) -> None:
        if waiting := self._replies.pop(command.id, None):
            waiting.set_result(reply)

    def _told(self) -> None:
        while batch := self._process._journal.take():
            for event in batch.events:
                told = codec.decode_any(event)
                if told["type"] == "dap" and told["message"]["event"] == "stopped":
                    self._stopped.put_nowait(told["message"]["body"])

    async def ask(self, operation: bus.AnyOperation) -> dict[str, Any]:
        number = str(next(self._numbers))
        self._replies[number] = answer = asyncio.get_running_loop().create_future()
        self._process.command(
            bus.Command(
                process=str(self._process.address),
                id=number,
                broker="bench",
                viewer=_VIEWER,
                timeout=20,
                operation=operation,
            )
        )
        reply = await answer
        assert reply.failure is None, reply.failure
        result: dict[str, Any] = codec.decode_any(reply.result)  # there is one
        return result

    async def dap(self, command: str, **arguments: Any) -> dict[str, Any]:
        request = {"seq": 1, "type": "request", "command": command, "arguments": arguments}
        response = await self.ask(bus.Dap(session="bench", request=codec.raw(request)))
        body: dict[str, Any] = response.get("body", {})
        return body

    async def stopped(self) -> dict[str, Any]:
        return await self._stopped.get()


async def measure() -> Report:
    figures: list[Figure] = []
    for version, python in interpreters().items():
        figures += await _measure_on(version, python)
    return Report("at the sidecar", "debugpy.listen() with its adapter", tuple(figures))


@asynccontextmanager
async def _beside(python: str, path: str) -> AsyncIterator[tuple[Running, Session]]:
    """The program under a tap, and a session at its sidecar."""
    os.environ["SONDE_SITE"] = os.devnull  # no bus is known
    async with serve(SidecarSettings()) as sidecar:
        environment = {
            link.SIDECAR_VARIABLE: str(sidecar.address),
            link.TOKEN_FILE_VARIABLE: str(sidecar.token_file),
            "PYTHONUNBUFFERED": "1",
        }
        starting = "import sys, runpy, sonde_agent; sonde_agent.start('bench'); del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
        async with running(python, "-c", starting, path, env=environment) as program:
            await program.says("ready")
            while not sidecar._processes:  # noqa: ASYNC110 - the sidecar tells nobody but the bus
                await asyncio.sleep(0.01)
            (process,) = sidecar._processes.values()
            session = Session(process)
            await session.ask(bus.OpenSession(session="bench"))
            yield program, session


async def _measure_on(version: str, python: str) -> list[Figure]:
    passes = program("passes.py")
    path, line = str(passes.path), passes.line("stop here")
    async with AsyncExitStack() as stack:
        tapped, session = await stack.enter_async_context(_beside(python, path))
        listening = await stack.enter_async_context(
            running(python, "-Xfrozen_modules=off", path, "listen", env={"PYTHONUNBUFFERED": "1"})
        )
        client = await Client.dial(int((await listening.says("port")).split()[1]))
        stack.callback(client.close)
        await listening.says("ready")
        await attach(client, path, line)
        await session.dap("setBreakpoints", source={"path": path}, breakpoints=[{"line": line}])

        looks: dict[str, list[float]] = {"debugpy": [], "Sonde": []}
        for _ in range(_LOOKS):
            looks["debugpy"].append(await stood(listening, lambda: look_by_client(client)))
            looks["Sonde"].append(await stood(tapped, lambda: _look(session)))

        for process in (tapped, listening):
            await process.hears("")
        near, far = await _frame(session), await _frame_of_peer(client)
        evaluations: dict[str, list[float]] = {"debugpy": [], "Sonde": []}
        for _ in range(_EVALUATIONS):
            began = time.perf_counter()
            await session.dap("evaluate", expression="number + 1", frameId=near, context="watch")
            evaluations["Sonde"].append((time.perf_counter() - began) * 1000)
        for _ in range(_EVALUATIONS // 10):
            began = time.perf_counter()
            await client.request("evaluate", expression="number + 1", frameId=far, context="watch")
            evaluations["debugpy"].append((time.perf_counter() - began) * 1000)
        return [
            Figure(f"{version} look: debugpy / Sonde", _ratio(looks), "ratio"),
            Figure(f"{version} look: Sonde, p50", median(looks["Sonde"]), "ms"),
            Figure(f"{version} look: debugpy, p50", median(looks["debugpy"]), "ms"),
            Figure(f"{version} evaluate: debugpy / Sonde", _ratio(evaluations), "ratio"),
            Figure(f"{version} evaluate: Sonde, p50", median(evaluations["Sonde"]), "ms"),
            Figure(f"{version} evaluate: Sonde, p99", percentile(evaluations["Sonde"], 0.99), "ms"),
            Figure(f"{version} evaluate: debugpy, p50", median(evaluations["debugpy"]), "ms"),
        ]


def _ratio(taken: dict[str, list[float]]) -> float:
    return median(taken["debugpy"]) / median(taken["Sonde"])


async def _look(session: Session) -> None:
    stopped = await session.stopped()
    thread = stopped["threadId"]
    stack = await session.dap("stackTrace", threadId=thread, levels=20)
    scopes = await session.dap("scopes", frameId=stack["stackFrames"][0]["id"])
    await session.dap("variables", variablesReference=scopes["scopes"][0]["variablesReference"])
    await session.dap("continue", threadId=thread)


async def _frame(session: Session) -> int:
    stopped = await session.stopped()
    stack = await session.dap("stackTrace", threadId=stopped["threadId"], levels=1)
    frame: int = stack["stackFrames"][0]["id"]
    return frame


async def _frame_of_peer(client: Client) -> int:
    stopped = await client.event("stopped")
    stack = await client.request("stackTrace", threadId=stopped["threadId"], levels=1)
    frame: int = stack["body"]["stackFrames"][0]["id"]
    return frame
