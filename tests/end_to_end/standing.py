"""The words for what stands, for who watches it, and for what hangs beside it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

from sonde_viewer import DebugSession, Viewer
from tests.support import expect
from tests.support.debuggee import Program, Running, running
from tests.support.site import Site

LEASE = 5.0
"""Seconds, the shortest that can be had."""
WITHIN = LEASE + 6.0
"""A second after the lease is promised; a busy machine gets five more."""
SHORT = {"SONDE_LEASE": f"{LEASE:g}"}
AT_ONCE = 20.0
"""Seconds, far from the usual lease of 60: nobody waited for that."""
PATIENCE = 30.0
"""Seconds after which something is waited for in vain: sooner than the test's own end, so that it is named."""
LOOP = """
    import time

    def step(count):
        began = time.monotonic()
        count = count  # stop here
        return time.monotonic() - began

    count = 0
    while True:
        count += 1
        stood = step(count)
        print("did", count, f"{stood:.3f}", flush=True)
        time.sleep(0.01)
"""


async def stand(session: DebugSession, program: Program) -> int:
    """Stops it at its tagged line; returns what it counts there, with which `stood` is asked."""
    await session.set_breakpoints(str(program.path), [program.line("stop here")])
    return await standing_at(session, program)


async def standing_at(session: DebugSession, program: Program) -> int:
    frames = await expect.stopped_at(session, program, "stop here")
    return int((await session.evaluate("count", frame=frames[0]["id"]))["result"])


async def stood(started: Running, count: int) -> float:
    """How many seconds the program stood at that count, by its own clock, when it runs on."""
    async with asyncio.timeout(PATIENCE):
        return float((await started.says(f"did {count} ")).split()[-1])


@asynccontextmanager
async def person(here: Site, name: str) -> AsyncIterator[Viewer]:
    rights = ("--scope", "observe,inspect,control,execute", "--processes", "*")
    async with here.viewer(await asyncio.to_thread(here.issue, "--sub", name, *rights)) as viewer:
        yield viewer


async def until(session: DebugSession, holds: Callable[[DebugSession], bool]) -> None:
    """Of its seat or lease, now or after any change."""
    changes = session.changes()
    async with asyncio.timeout(PATIENCE):
        while not holds(session):
            await anext(changes)


@contextmanager
def hanging(pid: int) -> Iterator[None]:
    """It does nothing any more, and its sockets stay open. Afterwards it goes on, as if nothing had been."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def pod(site: Site, *options: str) -> AsyncIterator[tuple[Running, Mapping[str, str]]]:
    """A sidecar as a program of its own, and the environment in which programs find it."""
    place = {
        "SONDE_SIDECAR": f"unix:{site.directory}/pod",
        "SONDE_SIDECAR_TOKEN_FILE": str(site.directory / "pod-token"),
    }
    command = (sys.executable, "-m", "sonde_agent.sidecar", "--log-level", "warning")
    where = ("--listen", place["SONDE_SIDECAR"], "--token-file", place["SONDE_SIDECAR_TOKEN_FILE"])
    async with running(*command, *where, *options, env=site.environment) as sidecar:
        await sidecar.says('"sidecar"')
        yield sidecar, place
