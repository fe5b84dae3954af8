"""A sidecar, whole: it listens for taps, and keeps one `Process` for each boot that said Hello.

async with serve(SidecarSettings(bus="mqtt://...")) as sidecar:
    start_program(SONDE_SIDECAR=str(sidecar.address), SONDE_SIDECAR_TOKEN_FILE=str(sidecar.token_file))
    ...
    await sidecar.drained(5)

It may be killed and started again at any time: each tap brings to the next one the name and the numbers that it
had. A fault in what is done for one process ends that, is logged, and costs the others nothing; its tap comes
back and finds a new `Process`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

from sonde_agent import link
from sonde_agent.sidecar import ending, uplink
from sonde_agent.sidecar.place import listening, place
from sonde_agent.sidecar.process import Process
from sonde_agent.sidecar.settings import SidecarSettings
from sonde_agent.sidecar.taps import NotWanted, TapLine, TapServer
from sonde_wire import Address, logs
from sonde_wire.addresses import to_level
from sonde_wire.errors import InvalidAddress

logger = logging.getLogger(__name__)

LEAVE_WITHIN = 10.0
"""Seconds for all processes to say that their sidecar leaves."""
_SAME_START = 5.0
"""Seconds by which a tap's and the system's time of start may differ for the same process."""
_MOST_NAMES = 10_000
"""Boots whose names are remembered, those that ended too; the oldest are forgotten."""


class Sidecar:
    """Made by `serve`."""

    def __init__(self, settings: SidecarSettings, group: asyncio.TaskGroup) -> None:
        self._settings = settings
        self._group = group
        self._processes: dict[str, Process] = {}
        self._names: dict[str, str] = {}
        self._changed = asyncio.Event()
        self.address = link.SidecarAddress()
        self.token_file = Path()

    def child_ended(self, pid: int, returncode: int) -> None:
        """For the parent of a process: how it ended, negative for a signal, as `subprocess` has it."""
        for process in self._processes.values():
            if process.hello.pid == pid or (process.watch and process.watch.pid == pid):
                process.child_ended(returncode)

    async def drained(self, timeout: float | None) -> bool:  # noqa: ASYNC109 - it tells by its result
        """Until every process that was here has ended and its end is on the bus; False after `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._processes:
                    await self._change()
        return not self._processes

    async def deserted(self, seconds: float) -> None:
        """Until nobody has been here for so long: who forks and ends leaves a child that may not have come yet."""
        while True:
            await self.drained(None)
            try:
                async with asyncio.timeout(seconds):
                    while not self._processes:
                        await self._change()
            except TimeoutError:
                return

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def leave(self) -> None:
        for process in self._processes.values():
            process.leave()

    def start(
        self, name: str, work: Callable[..., Awaitable[None]], *arguments: object
    ) -> asyncio.Task[None]:
        """In a task whose failure stays its own."""
        return self._group.create_task(self._contained(name, work, *arguments), name=name)

    async def _contained(self, name: str, work: Callable[..., Awaitable[None]], *arguments: object) -> None:
        try:
            await work(*arguments)
        except Exception:  # one of this program's tops: each process has its own
            logger.exception(
                "%s failed; this is a bug of Sonde. The other processes are served as before", name
            )

    async def take(self, line: TapLine) -> link.Welcome:
        """Raises `NotWanted`."""
        known = self._processes.get(line.hello.boot)
        if known is not None:
            known.take(line)
            return self._welcome(known)
        if len(self._processes) >= self._settings.max_processes:
            most = self._settings.max_processes
            raise NotWanted("too_many", f"this sidecar serves {most} processes already (max_processes)")
        address = self._name(line.hello)
        before = next((each for each in self._processes.values() if each.address == address), None)
        for each in self._processes.values():
            same = line.peer_pid is not None and each.watch is not None and each.watch.pid == line.peer_pid
            if same and each.line.lost.is_set():
                each.replaced()
        process = Process(
            self._settings, address, line, _watch(line), parent=self._names.get(line.hello.parent_boot)
        )
        self._processes[line.hello.boot] = process
        self._remember(line.hello.boot, str(address))
        self._changed.set()
        self.start(f"process {address}", self._run, process, before)
        logs.of_process(logger, str(address)).info("is here, process %d", line.hello.pid)
        return self._welcome(process)

    def _welcome(self, process: Process) -> link.Welcome:
        hides = self._settings.to_redaction()
        return link.Welcome(
            version=link.VERSION,
            process=str(process.address),
            numbered=process.numbered,
            redaction=hides.mode,
            redact_names=sorted(hides.extra_names),
            show_names=sorted(hides.shown_names),
        )

    async def _run(self, process: Process, predecessor: Process | None) -> None:
        try:
            await process.run(predecessor)
        except Exception:
            await self._tell_lost(process)
            raise
        finally:
            if self._processes.get(process.hello.boot) is process:
                del self._processes[process.hello.boot]
                self._changed.set()

    async def _tell_lost(self, process: Process) -> None:
        """Its own line to the bus is gone with it; so that people do not see it online where nobody serves it."""
        del self._processes[process.hello.boot]  # its tap, which comes back at once, is to find another
        self._changed.set()
        await uplink.tell_lost(self._settings.bus_url(), process.presence())

    def _remember(self, boot: str, name: str) -> None:
        """And tell those whose parent it is: after a restart children may come before it."""
        self._names[boot] = name
        if len(self._names) > _MOST_NAMES:
            del self._names[next(iter(self._names))]
        for process in self._processes.values():
            if process.hello.parent_boot == boot:
                process.adopted(name)

    def _name(self, hello: link.Hello) -> Address:
        instance = hello.instance or to_level(f"{hello.host}-{hello.pid}")
        try:
            address = Address(hello.namespace or self._settings.namespace, hello.service, instance)
        except InvalidAddress as error:
            raise NotWanted("bad_name", str(error)) from None
        taken = {each.address for each in self._processes.values() if not each.line.lost.is_set()}
        earlier = _earlier_name(hello)
        if earlier and earlier not in taken and _same_service(earlier, address):
            return earlier
        suffixes = (
            f"-{hello.pid}",
            *(f"-{hello.pid}-{number}" for number in range(2, self._settings.max_processes + 2)),
        )
        for suffix in suffixes:
            if address not in taken:
                break
            # workers that a server forked inherit one name: each gets its own
            address = Address(address.namespace, address.service, instance[: 63 - len(suffix)] + suffix)
        return address


@asynccontextmanager
async def serve(settings: SidecarSettings) -> AsyncIterator[Sidecar]:
    """Tasks: one `tap` for each connection, one `process` for each boot, each contained. At the end of the block the
    processes are told to leave (sessions closed, presence published), then everything else is ended.

    Raises `InvalidSettings`, and `OSError` when the address cannot be listened on.
    """
    failed: BaseException | None = None
    with place(settings) as where:
        async with asyncio.TaskGroup() as group:
            sidecar = Sidecar(settings, group)
            sidecar.token_file = where.token_file
            server = TapServer(sidecar.start, where.token, sidecar.take)
            try:
                at = where.where
                sidecar.address = await server.listen(
                    listening(at, settings.socket_mode) if isinstance(at, str) else at
                )
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


def _earlier_name(hello: link.Hello) -> Address | None:
    try:
        return Address.parse(hello.process) if hello.process else None
    except InvalidAddress:
        return None


def _same_service(one: Address, other: Address) -> bool:
    return (one.namespace, one.service) == (other.namespace, other.service)


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
