"""Programs to debug: written inline in the test, their lines tagged by comments (`# stop here`)."""

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


def interpreters() -> dict[str, str]:
    """The interpreters to debug on: {"3.12": "/path/to/python"}, from SONDE_TEST_PYTHONS or just this one."""
    named = os.environ.get("SONDE_TEST_PYTHONS", "")
    found = dict(each.split("=", 1) for each in named.split(os.pathsep) if each)
    return found or {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}


@dataclass(frozen=True)
class Program:
    """A script on disk."""

    path: Path

    @classmethod
    def write(cls, directory: Path, source: str, name: str = "app.py") -> "Program":
        path = directory / name
        path.write_text(textwrap.dedent(source))
        return cls(path)

    def line(self, tag: str) -> int:
        """The number of the line that carries the comment `# tag`. There must be just one."""
        lines = [
            number
            for number, text in enumerate(self.path.read_text().splitlines(), 1)
            if text.rstrip().endswith(f"# {tag}")
        ]
        assert len(lines) == 1, f"{len(lines)} lines of {self.path.name} are tagged {tag!r}"
        return lines[0]


@dataclass
class Running:
    """A started program. Reading its output waits for it; nothing sleeps."""

    process: asyncio.subprocess.Process

    async def says(self, text: str) -> str:
        """The next line of output that contains `text`."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            if text in line.decode():
                return line.decode().rstrip("\n")
        raise AssertionError(f"the program ended without saying {text!r}")

    async def hears(self, text: str) -> None:
        """One line on the program's standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        await self.process.stdin.drain()

    async def ended(self) -> int:
        return await self.process.wait()


@asynccontextmanager
async def running(*command: str, env: dict[str, str]) -> AsyncIterator[Running]:
    """A program in a process group of its own, which is ended with the block, children and all."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Running(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
