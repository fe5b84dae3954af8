"""Where a library that is measured beside ours is installed: in no environment of the tree.

SONDE_BENCH_PEERS names environments that somebody has made (`3.12=/path/to/site-packages`, separated like PATH). What is in
none of them can be installed into a virtual environment that lasts as long as the block.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_VARIABLE = "SONDE_BENCH_PEERS"
_INSTALL_SECONDS = 180.0


def named() -> dict[str, str]:
    """Directories to import peers from, by the interpreter's version."""
    return dict(each.split("=", 1) for each in os.environ.get(_VARIABLE, "").split(os.pathsep) if each)


@asynccontextmanager
async def installed(version: str, python: str, module: str, requirement: str) -> AsyncIterator[str | None]:
    """The directory to import `module` from; None when there is none, of which a line on standard error tells."""
    there = named().get(version)
    if there is not None and (Path(there) / module).is_dir():
        yield there
        return
    with tempfile.TemporaryDirectory() as directory:
        environment = Path(directory) / "peer"
        if await _made(python, environment, requirement):
            (found,) = environment.glob("lib/python*/site-packages")
            yield str(found)
        else:
            print(
                f"{version}: without {module}, which could not be installed ({requirement})", file=sys.stderr
            )
            yield None


async def _made(python: str, environment: Path, requirement: str) -> bool:
    """Only from a wheel: nothing is built here."""
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    try:
        async with asyncio.timeout(_INSTALL_SECONDS):
            return await _succeeds(python, "-m", "venv", str(environment)) and await _succeeds(
                *pip, "install", "--retries", "1", "--only-binary", ":all:", requirement
            )
    except TimeoutError:
        return False


async def _succeeds(*command: str) -> bool:
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=nothing, stdout=nothing, stderr=nothing)
    try:
        return await process.wait() == 0
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
