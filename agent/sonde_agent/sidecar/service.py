"""A sidecar, whole: it listens for taps, and keeps one `Process` for each boot that said Hello.

async with serve(SidecarSettings(bus="mqtt://...")) as sidecar:
    start_program(SONDE_SIDECAR=str(sidecar.address), SONDE_SIDECAR_TOKEN_FILE=str(sidecar.token_file))
    ...
    await sidecar.drained(5)
"""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import psutil

from sonde_agent import link
from sonde_agent.sidecar import ending
from sonde_agent.sidecar.process import Process
from sonde_agent.sidecar.settings import (
    SidecarSettings,
    private_directory,
    read_listen,
    read_or_make_token,
)
from sonde_agent.sidecar.taps import NotWanted, TapLine, TapServer
from sonde_wire import Address
from sonde_wire.addresses import to_level
from sonde_wire.errors import InvalidAddress

logger = logging.getLogger(__name__)

MOST_PROCESSES = 256
LEAVE_WITHIN = 10.0
"""Seconds for all processes to say that their sidecar leaves."""
_SAME_START = 5.0
"""Seconds by which a tap's and the system's time of start may differ for the same process."""


class Sidecar:
    """Made by `serve`."""

    def __init__(self, settings: SidecarSettings, group: asyncio.TaskGroup) -> None:
        self._settings = settings
        self._group = group
        self._processes: dict[str, Process] = {}
        self._changed = asyncio.Event()
        self.address = link.SidecarAddress()
        self.token_file = Path()

    def child_ended(self, pid: int, returncode: int) -> None:
        """For the parent of a process: how it ended, negative for a signal, as `subprocess` has it."""
        for process in self._processes.values():
            if process.hello.pid == pid or (process.watch and process.watch.pid == pid):
                process.child_ended(returncode)

    async def drained(self, timeout: float) -> bool:  # noqa: ASYNC109 - it tells by its result
        """Until every process that was here has ended and its end is on the bus; False after `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._processes:
                    self._changed.clear()
                    await self._changed.wait()
        return not self._processes

    def leave(self) -> None:
        for process in self._processes.values():
            process.leave()

    async def take(self, line: TapLine) -> str:
        """Raises `NotWanted`. Returns the process's name."""
        known = self._processes.get(line.hello.boot)
        if known is not None:
            known.take(line)
            return str(known.address)
        if len(self._processes) >= MOST_PROCESSES:
            raise NotWanted("too_many", f"this sidecar serves {MOST_PROCESSES} processes already")
        address = self._name(line.hello)
        before = next((each for each in self._processes.values() if each.address == address), None)
        process = Process(self._settings, address, line, _watch(line))
        self._processes[line.hello.boot] = process
        self._group.create_task(self._run(process, before), name=f"process {address}")
        logger.info("%s is here, process %d", address, line.hello.pid)
        return str(address)

    async def _run(self, process: Process, predecessor: Process | None) -> None:
        try:
            await process.run(predecessor)
        finally:
            del self._processes[process.hello.boot]
            self._changed.set()

    def _name(self, hello: link.Hello) -> Address:
        instance = hello.instance or to_level(f"{hello.host}-{hello.pid}")
        try:
            address = Address(hello.namespace or self._settings.namespace, hello.service, instance)
        except InvalidAddress as error:
            raise NotWanted("bad_name", str(error)) from None
        taken = {each.address for each in self._processes.values() if not each.line.lost.is_set()}
        suffixes = (f"-{hello.pid}", *(f"-{hello.pid}-{number}" for number in range(2, MOST_PROCESSES + 2)))
        for suffix in suffixes:
            if address not in taken:
                break
            # workers that a server forked inherit one name: each gets its own
            address = Address(address.namespace, address.service, instance[: 63 - len(suffix)] + suffix)
        return address


@asynccontextmanager
async def serve(settings: SidecarSettings) -> AsyncIterator[Sidecar]:
    """Tasks: one `tap` for each connection, one `process` for each boot. At the end of the block the processes
    are told to leave (sessions closed, presence published), then everything else is ended.

    Raises `InvalidSettings`, and `OSError` when the address cannot be listened on.
    """
    failed: BaseException | None = None
    with _place(settings) as (where, token_file, token):
        async with asyncio.TaskGroup() as group:
            sidecar = Sidecar(settings, group)
            sidecar.token_file = token_file
            server = TapServer(group, token, sidecar.take)
            try:
                sidecar.address = await server.listen(where)
                yield sidecar
            except BaseException as error:  # noqa: BLE001 - raised again below: the group would wrap it
                failed = error
            finally:
                server.stop_listening()
                sidecar.leave()
                await sidecar.drained(LEAVE_WITHIN)
                server.close()
    if failed is not None:
        raise failed


@contextmanager
def _place(settings: SidecarSettings) -> Iterator[tuple[tuple[str, int] | str, Path, str]]:
    """Where to listen, and the token's file and text. What was made for it is taken away again."""
    with ExitStack() as cleaning:
        directory = Path()
        if settings.listen is None or settings.token_file is None:
            directory = private_directory()
            cleaning.callback(shutil.rmtree, directory, ignore_errors=True)
        token_file = Path(settings.token_file) if settings.token_file else directory / "token"
        token = read_or_make_token(token_file)
        where = read_listen(settings.listen) if settings.listen else str(directory / "sidecar.sock")
        if isinstance(where, str):
            cleaning.callback(Path(where).unlink, missing_ok=True)
        yield where, token_file, token


def _watch(line: TapLine) -> ending.Watch | None:
    """A hold on the process, when it can be found here: a tap in another namespace has other numbers."""
    hello = line.hello
    pid = line.peer_pid or hello.pid
    try:
        watch = ending.Watch(pid)
    except OSError:
        return None
    if line.peer_pid is None:
        try:
            same = abs(psutil.Process(pid).create_time() - hello.started) < _SAME_START
        except psutil.Error:
            same = False
        if not same:
            watch.close()
            return None
    return watch
