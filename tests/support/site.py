"""A whole Sonde on this machine, on free ports, in a directory of its own: bus, broker, and what connects."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sonde_viewer import Viewer, connect
from sonde_wire import bus
from tests.support.debuggee import Program, Running, running


@dataclass(frozen=True)
class Site:
    directory: Path
    url: str
    bus: str
    token: str
    broker: Running

    @property
    def environment(self) -> dict[str, str]:
        """What a terminal of the same user has: the programs find the site by its file."""
        ours = {key: value for key, value in os.environ.items() if not key.startswith("SONDE_")}
        return {**ours, "SONDE_SITE": str(self.directory / "site.json"), "PYTHONUNBUFFERED": "1"}

    @asynccontextmanager
    async def run(
        self, program: Program, *arguments: str, service: str, python: str = sys.executable, **variables: str
    ) -> AsyncIterator[Running]:
        """`sonde run` of the program, on any interpreter; `variables` are added to its environment."""
        command = (sys.executable, "-m", "sonde_agent", "run", "--service", service, "--python", python)
        environment = self.environment | variables
        async with running(*command, "--", str(program.path), *arguments, env=environment) as started:
            yield started

    @asynccontextmanager
    async def viewer(self, token: str | None = None) -> AsyncIterator[Viewer]:
        async with connect(self.url, token or self.token) as viewer:
            yield viewer

    def issue(self, *options: str) -> str:
        """A token signed with the site's own key; `options` are those of `sonde token issue`."""
        import subprocess

        secret = self.directory / "secret"
        command = [sys.executable, "-m", "sonde_broker", "token", "issue", "--secret-file", str(secret)]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    async def sonde(self, *arguments: str) -> tuple[int, str]:
        """The command line, as in a second terminal: exit code and standard output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sonde_viewer",
            *arguments,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()


@asynccontextmanager
async def site(directory: Path, *options: str) -> AsyncIterator[Site]:
    """`options` are those of `sonde broker`."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("SONDE_")},
        "SONDE_SITE": str(directory / "site.json"),
    }
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sonde_broker", "serve", "--site", "--listen", "127.0.0.1:0"),
        *("--announce-fd", str(writing), *options),
        env=environment,
        pass_fds=(writing,),
        stdin=asyncio.subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        announced = await asyncio.to_thread(_read_line, reading)
        told = json.loads(announced or "{}")
        assert "url" in told, f"the broker did not start: {told}"
        yield Site(directory, told["url"], told["bus"], told["token"], Running(process))
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _read_line(descriptor: int) -> str:
    with os.fdopen(descriptor) as file:
        return file.readline()


async def appeared(viewer: Viewer, service: str, count: int = 1) -> list[bus.Presence]:
    """Waits until so many processes of a service are online."""
    online: dict[str, bus.Presence] = {}
    async for presence in viewer.watch("presence", service):
        assert isinstance(presence, bus.Presence)
        if presence.state == "online":
            online[presence.process] = presence
        if len(online) >= count:
            return sorted(online.values(), key=lambda each: each.process)
    raise AssertionError("the viewer was disconnected")
