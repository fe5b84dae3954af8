"""Programs that live as long as this one: started, watched, and ended politely, then not.

They get a process group of their own, so that Ctrl-C in the terminal reaches this program alone and the order
in which things end is its decision.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence

from sonde_viewer.errors import ViewerError

logger = logging.getLogger(__name__)

_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""


class ChildFailed(ViewerError):
    """`code` is what the child ended with; it has told why on stderr."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name = name
        self.problem = problem

    def __str__(self) -> str:
        return f"the {self.name} {self.problem}"


@contextlib.asynccontextmanager
async def child(
    line: Sequence[str], *, output: int | None = None, keep: Sequence[int] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs for the time of the block. `output` is for its stdout, as in `subprocess`; `keep` are descriptors
    that it inherits."""
    process = await asyncio.create_subprocess_exec(
        *line, stdin=asyncio.subprocess.DEVNULL, stdout=output, pass_fds=keep, process_group=0
    )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """A child that has ended already is left alone: its pid may be somebody else's by now."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_GRACE):
            await process.wait()
    except TimeoutError:
        logger.warning("pid %d did not end within %g s and is killed", process.pid, _GRACE)
    finally:
        if process.returncode is None:  # too slow, or somebody pressed Ctrl-C again
            process.kill()
            await process.wait()


@contextlib.contextmanager
def until_signalled() -> Iterator[None]:
    """The block is cancelled, and left quietly, on Ctrl-C, on SIGTERM and when the terminal is closed."""
    loop, block = asyncio.get_running_loop(), asyncio.current_task()
    assert block is not None, "runs inside a task"  # noqa: S101 - for the type checker; always so
    signalled = False

    def end() -> None:
        nonlocal signalled
        signalled = True
        block.cancel()

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for each in signals:
        loop.add_signal_handler(each, end)
    try:
        yield
    except asyncio.CancelledError:
        if not signalled:
            raise
        block.uncancel()
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


async def first_line(process: asyncio.subprocess.Process, name: str, within: float) -> bytes:
    """What the child says first on its stdout (which must be a pipe). Raises `ChildFailed`."""
    if process.stdout is None:
        raise ChildFailed(name, "has no pipe as its stdout")
    return await _announced(process.stdout, process, name, within)


async def announced(descriptor: int, process: asyncio.subprocess.Process, name: str, within: float) -> bytes:
    """What the child says on that pipe when it is ready; the descriptor is closed here. Raises `ChildFailed`
    when it ends before, or takes longer."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        return await _announced(reader, process, name, within)
    finally:
        transport.close()


async def _announced(
    reader: asyncio.StreamReader, process: asyncio.subprocess.Process, name: str, within: float
) -> bytes:
    try:
        async with asyncio.timeout(within):
            line = await reader.readline()
            if not line:
                raise ChildFailed(name, f"could not start (exit code {await process.wait()})")
            return line
    except TimeoutError:
        raise ChildFailed(name, f"was not ready within {within:g} s") from None
