"""What a program, or a person at the command line, asks a broker; over the line of `Line`."""

import asyncio
import contextlib
import logging
import os
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, overload

from msgspec import Raw
from websockets.asyncio.client import ClientConnection

from sonde_viewer import line, names, target
from sonde_viewer.errors import ConnectionLost, NoAnswer, Refused, SessionClosed
from sonde_viewer.remembering import Remembering
from sonde_viewer.session import DebugSession
from sonde_viewer.watch import Watch
from sonde_wire import Selector, bus, codec, local, looking, rpc
from sonde_wire.history import Cursor

logger = logging.getLogger(__name__)

_OPEN_SESSION = 30.0
"""Seconds: debugpy is imported and connected in the process when the first session opens."""


class Viewer(Remembering):
    """One connection to a broker; made by `connect`."""

    def __init__(self, socket: ClientConnection, tasks: asyncio.TaskGroup) -> None:
        """`tasks` gets what debug sessions run beside their blocks."""
        super().__init__(socket)
        self._tasks = tasks

    async def whoami(self) -> rpc.Welcome:
        return self._welcomed(await self._call("whoami", rpc.Nothing(), rpc.Welcome))

    async def renew(self, token: str) -> rpc.Welcome:
        """Goes on with a fresh token of the same subject; sessions and watches stay. Its rights take the place of
        the old one's. Call it before `expires` (of `whoami`) is over, when the broker closes the connection."""
        return self._welcomed(await self._call("token.renew", rpc.RenewToken(token=token), rpc.Welcome))

    def _welcomed(self, welcome: rpc.Welcome) -> rpc.Welcome:
        self.bus, self.store = welcome.bus, welcome.store
        return welcome

    async def processes(self, selector: str = "*") -> list[bus.Presence]:
        """Selectors: `shop`, `prod/shop`, `prod/shop/web-*`, `*`."""
        params = rpc.ListProcesses(selector=str(Selector.parse(selector)))
        return list((await self._call("process.list", params, rpc.ProcessList)).processes)

    async def process(self, name: str) -> bus.Presence:
        """The one process of that name: its address, one of its parts, or the beginning of either. Raises
        `UnknownProcess` or `AmbiguousProcess`."""
        return names.resolve(name, await self.processes())

    @overload
    def watch(self, topic: Literal["presence"], selector: str = "*") -> Watch[bus.Presence]: ...
    @overload
    def watch(
        self,
        topic: Literal["events"],
        selector: str = "*",
        *,
        output: bool = False,
        cursors: Sequence[Cursor] = (),
    ) -> Watch[bus.AnyEvent]: ...
    @overload
    def watch(
        self, topic: Literal["output"], selector: str = "*", *, cursors: Sequence[Cursor] = ()
    ) -> Watch[bus.Output]: ...
    @overload
    def watch(self, topic: Literal["metrics"], selector: str = "*") -> Watch[bus.Metrics]: ...
    @overload
    def watch(self, topic: Literal["probes"], selector: str = "*") -> Watch[rpc.ProbeInfo]: ...

    def watch(
        self, topic: rpc.Topic, selector: str = "*", *, output: bool = False, cursors: Sequence[Cursor] = ()
    ) -> Watch[Any]:
        """A stream of what the broker tells; what there is of presence or probes comes first where that was asked
        for. With `output` what programs print under a debugger is among their events.

        With `cursors` (of `Watch.cursors`) what was missed since then comes first. `sonde_viewer.follow` does all that by
        itself when a connection breaks."""
        return Watch(
            (topic, "output") if output else (topic,),
            Selector.parse(selector),
            subscribe=self._subscribe,
            unsubscribe=self._unsubscribe,
            cursors=cursors,
        )

    def events(
        self,
        selector: str = "*",
        *,
        topics: Sequence[Literal["events", "output"]] = ("events",),
        cursors: Sequence[Cursor] = (),
    ) -> Watch[bus.AnyEvent]:
        """`watch` for events, what programs print, or both."""
        return Watch(
            tuple(topics),
            Selector.parse(selector),
            subscribe=self._subscribe,
            unsubscribe=self._unsubscribe,
            cursors=cursors,
        )

    async def stacks(self, process: str | bus.Presence) -> looking.Stacks:
        """The stacks of all threads; none is stopped for it."""
        return await self._call("process.stacks", rpc.OfProcess(process=_address(process)), looking.Stacks)

    async def sources(self, process: str | bus.Presence) -> looking.Sources:
        """The source files that the process has imported."""
        params = rpc.OfProcess(process=_address(process))
        return await self._call("process.sources", params, looking.Sources)

    async def source(self, process: str | bus.Presence, path: str) -> looking.Source:
        """The text of one of them, as it is on the process's disk."""
        params = rpc.SourceOfProcess(process=_address(process), path=path)
        return await self._call("process.source", params, looking.Source)

    async def tasks(self, process: str | bus.Presence) -> looking.Tasks:
        """The asyncio tasks of all loops, and what awaits what. Takes up to a second: each loop is asked how late
        it is."""
        return await self._call("process.tasks", rpc.OfProcess(process=_address(process)), looking.Tasks)

    async def modules(self, process: str | bus.Presence) -> looking.Modules:
        """The modules that the process has loaded."""
        return await self._call("process.modules", rpc.OfProcess(process=_address(process)), looking.Modules)

    async def runtime(self, process: str | bus.Presence) -> looking.Runtime:
        """The interpreter, its collector and loops, and how it was started, without secrets. Takes up to a second."""
        return await self._call("process.runtime", rpc.OfProcess(process=_address(process)), looking.Runtime)

    async def diagnose(
        self,
        process: str | bus.Presence,
        path: str | None = None,
        line: int | None = None,
        sha256: str | None = None,
    ) -> looking.Diagnosis:
        """What keeps a debugger, or a breakpoint in that file at that line, from working, as the process sees it.
        `sha256` is that of the file as the caller has it. Takes up to a second."""
        params = rpc.DiagnoseProcess(process=_address(process), path=path, line=line, sha256=sha256)
        return await self._call("process.diagnose", params, looking.Diagnosis)

    async def debugging(self, process: str | bus.Presence) -> bus.SessionState:
        """What whoever joins the debugging of the process is told: stops, breakpoints of all sessions, lease. A
        session is opened for it and closed at once, which attaches a debugger where there is none."""
        params = rpc.BeginSession(process=_address(process))
        state = await self._call("session.open", params, bus.SessionState, _OPEN_SESSION, undo=_close_opened)
        await self._leave(state.session)
        return state

    @contextlib.asynccontextmanager
    async def debug(
        self,
        process: str | bus.Presence,
        *,
        keep_stopped: bool = True,
        name: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> AsyncIterator[DebugSession]:
        """A debug session; the debugger is attached before the body runs, and detached after it when no
        other viewer debugs the process. Leaving lets everything run that this session had stopped.

        What stands runs on by itself when nobody has renewed its lease for so long (60 s unless the process's
        sidecar was told otherwise). The session renews it while it drives or nobody does, for as long as this
        event loop turns: a program that hangs loses its lease, and the process runs on. So work that blocks goes
        into a thread (`asyncio.to_thread(input)`). With `keep_stopped=False` it renews nothing, and what stands
        runs on a lease's length after the last request. Without any request it runs on some minutes later even
        so (the sidecar's `longest_stop`).

        `name` and `metadata` are for people, who find the session by them in the history.

        A program without an event loop of its own:

            async def cart() -> str:
                async with connect() as viewer, viewer.debug(await viewer.process("shop")) as session:
                    await session.set_breakpoints("/app/shop.py", [10])
                    await session.stopped(within=30)
                    return (await session.evaluate("cart"))["result"]

            print(asyncio.run(cart()))
        """
        address = _address(process)
        session = DebugSession(address, self._call, self._tasks, keep_stopped=keep_stopped)
        subscription = await self._subscribe(session)
        try:
            params = rpc.BeginSession(process=address, name=name, metadata=dict(metadata or {}))
            state = await self._call(
                "session.open", params, bus.SessionState, _OPEN_SESSION, undo=_close_opened
            )
            session.opened(state)
            try:
                yield session
            finally:
                session.fail(SessionClosed(address, "viewer_left"))
                await self._leave(state.session)
        finally:
            await self._unsubscribe(session, subscription)

    async def _leave(self, session: str) -> None:
        """The broker ends the sessions of a connection that is gone, and the process those of its own end:
        then there is nothing left to close."""
        try:
            await self._call("session.close", rpc.OfSession(session=session), bus.Done)
        except (ConnectionLost, Refused, NoAnswer) as error:
            logger.debug("session %s was closed before it was left: %s", session, error)


def _close_opened(result: Raw) -> tuple[str, rpc.Params]:
    return "session.close", rpc.OfSession(session=codec.decode(result, bus.SessionState).session)


def _address(process: str | bus.Presence) -> str:
    return process if isinstance(process, str) else process.process


class connect:
    """A connection to a broker, for the time of an `async with` block.

    `url` is the broker's (http, https, ws or wss), or those of several with commas between: one of them that answers
    is taken, at random. Without `url` and `token`: SONDE_URL and SONDE_TOKEN, then the site that `sonde up` started for
    this user. Entering raises `InvalidTarget` or `ConnectionLost`.

    Tasks beside the block: the reader (`Viewer.read`), ended with it; and for each debug session that has
    stopped something one `Keeper`, ended with its session, and by the reader's end at the latest.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self._url = url
        self._token = token
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Viewer:
        places = target.find_all(self._url, self._token, environment=os.environ, site=local.read())
        self._socket = await line.dial_any(random.sample(places, len(places)))
        viewer = Viewer(self._socket, self._tasks)
        await self._tasks.__aenter__()
        self._reader = self._tasks.create_task(viewer.read(), name="sonde viewer reads")
        return viewer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The group is not told of the caller's error, which it would wrap in an exception group."""
        try:
            self._reader.cancel()
            await self._tasks.__aexit__(None, None, None)
        finally:
            await self._socket.close()
