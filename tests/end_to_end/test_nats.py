"""A whole Sonde over three NATS servers, one of which is killed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sonde_viewer import NoAnswer, Refused, SessionClosed, Viewer
from tests.support import expect, nats
from tests.support.debuggee import Program, Running
from tests.support.site import appeared, site

pytestmark = nats.needs_nats

PATIENCE = 50.0
ANSWERED_WITHIN = 3.0
"""Seconds; a command that is sent while the sidecar changes its node reaches nobody."""

LOOP = """
    import time

    count = 0
    while True:
        count += 1  # stop here
        print("at", count, flush=True)
        time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[nats.Cluster]:
    with nats.cluster() as started:
        yield started


def _that_serves(program: Running, cluster: nats.Cluster) -> nats.Node:
    """The node to which the sidecar of a program is connected."""
    ports = {each.raddr.port for each in psutil.Process(program.process.pid).net_connections() if each.raddr}
    (node,) = (each for each in cluster.nodes if each.mqtt in ports)
    return node


async def _stops(viewer: Viewer, process: str, looping: Program) -> None:
    async with viewer.debug(process) as session:
        await session.set_breakpoints(str(looping.path), [looping.line("stop here")])
        await expect.stopped_at(session, looping, "stop here")


async def _stops_again(viewer: Viewer, process: str, looping: Program, program: Running) -> None:
    """However often it takes until broker and sidecar have found another node."""
    while True:
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                return await _stops(viewer, process, looping)
        except (Refused, SessionClosed, NoAnswer, TimeoutError):
            await program.says("at")


async def test_a_process_is_debugged_over_a_cluster_and_again_when_a_node_was_killed(
    cluster: nats.Cluster, tmp_path: Path
) -> None:
    looping = Program.write(tmp_path, LOOP)
    async with (
        asyncio.timeout(PATIENCE),
        site(tmp_path, "--bus", cluster.text("broker")) as over,
        over.run(looping, service="loop", SONDE_BUS=cluster.text("agent")) as program,
        over.viewer() as viewer,
    ):
        (presence,) = await appeared(viewer, "loop")
        await _stops(viewer, presence.process, looping)
        _that_serves(program, cluster).kill()
        await _stops_again(viewer, presence.process, looping, program)
