"""The connection to a broker: a socket on one side, `Calls` in the middle, futures and routes on the other.

It is not mended by itself when it breaks: a debug session cannot be continued by somebody else's connection,
so whoever called decides. Everything pending then raises `ConnectionLost`.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Literal, TypeVar, assert_never, overload

import websockets
from msgspec import Raw
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket

from sonde_viewer import calls, errors, names, target
from sonde_viewer.errors import ConnectionLost, NoAnswer, Refused, SessionClosed, ViewerError
from sonde_viewer.session import DebugSession
from sonde_viewer.watch import Item, Route, Watch, goes_to
from sonde_wire import MalformedMessage, Selector, bus, codec, local, rpc

logger = logging.getLogger(__name__)
T = TypeVar("T")
Undo = Callable[[Raw], tuple[str, rpc.Params]]

DEADLINE = 15.0
"""Seconds for an answer, unless a method says otherwise. The broker's own deadlines are shorter."""
_OPENING = 10.0
_CLOSING = 2.0
_LARGEST_FRAME = 64 * 1024 * 1024
_OPEN_SESSION = 30.0
"""Seconds: debugpy is imported and connected in the process when the first session opens."""


class Viewer:
    """One connection to a broker; made by `connect`."""

    def __init__(self, socket: ClientConnection, tasks: asyncio.TaskGroup) -> None:
        """`tasks` gets what debug sessions run beside their blocks."""
        self.bus: Literal["up", "down"] = "up"
        """Whether the broker reaches the bus; while it is down, what is shown is stale."""
        self._socket = socket
        self._tasks = tasks
        self._calls = calls.Calls()
        self._answers: dict[int, asyncio.Future[Raw]] = {}
        self._abandoned: dict[int, Undo] = {}
        """By call: how to take back what it asked for, because whoever asked did not wait for the answer."""
        self._routes: list[Route] = []
        self._lost: ConnectionLost | None = None

    async def whoami(self) -> rpc.Welcome:
        return self._welcomed(await self._call("whoami", rpc.Nothing(), rpc.Welcome))

    async def renew(self, token: str) -> rpc.Welcome:
        """Goes on with a fresh token of the same subject; sessions and watches stay. Its rights take the place of
        the old one's. Call it before `expires` (of `whoami`) is over, when the broker closes the connection."""
        return self._welcomed(await self._call("token.renew", rpc.RenewToken(token=token), rpc.Welcome))

    def _welcomed(self, welcome: rpc.Welcome) -> rpc.Welcome:
        self.bus = welcome.bus
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
    def watch(self, topic: Literal["events"], selector: str = "*") -> Watch[bus.AnyEvent]: ...
    @overload
    def watch(self, topic: Literal["metrics"], selector: str = "*") -> Watch[bus.Metrics]: ...

    def watch(self, topic: rpc.Topic, selector: str = "*") -> Watch[Any]:
        """A stream of what the broker tells; the current presence comes first where it was asked for."""
        return Watch(
            topic, Selector.parse(selector), subscribe=self._subscribe, unsubscribe=self._unsubscribe
        )

    async def stacks(self, process: str | bus.Presence) -> bus.Stacks:
        """The stacks of all threads; none is stopped for it."""
        return await self._call("process.stacks", rpc.OfProcess(process=_address(process)), bus.Stacks)

    async def sources(self, process: str | bus.Presence) -> bus.Sources:
        """The source files that the process has imported."""
        params = rpc.OfProcess(process=_address(process))
        return await self._call("process.sources", params, bus.Sources)

    async def source(self, process: str | bus.Presence, path: str) -> bus.Source:
        """The text of one of them, as it is on the process's disk."""
        params = rpc.SourceOfProcess(process=_address(process), path=path)
        return await self._call("process.source", params, bus.Source)

    async def tasks(self, process: str | bus.Presence) -> bus.Tasks:
        """The asyncio tasks of all loops, and what awaits what. Takes up to a second: each loop is asked how late
        it is."""
        return await self._call("process.tasks", rpc.OfProcess(process=_address(process)), bus.Tasks)

    async def modules(self, process: str | bus.Presence) -> bus.Modules:
        """The modules that the process has loaded."""
        return await self._call("process.modules", rpc.OfProcess(process=_address(process)), bus.Modules)

    async def runtime(self, process: str | bus.Presence) -> bus.Runtime:
        """The interpreter, its collector and loops, and how it was started, without secrets. Takes up to a second."""
        return await self._call("process.runtime", rpc.OfProcess(process=_address(process)), bus.Runtime)

    async def diagnose(
        self,
        process: str | bus.Presence,
        path: str | None = None,
        line: int | None = None,
        sha256: str | None = None,
    ) -> bus.Diagnosis:
        """What keeps a debugger, or a breakpoint in that file at that line, from working, as the process sees it.
        `sha256` is that of the file as the caller has it. Takes up to a second."""
        params = rpc.DiagnoseProcess(process=_address(process), path=path, line=line, sha256=sha256)
        return await self._call("process.diagnose", params, bus.Diagnosis)

    async def debugging(self, process: str | bus.Presence) -> bus.SessionState:
        """What whoever joins the debugging of the process is told: stops, breakpoints of all sessions, lease. A
        session is opened for it and closed at once, which attaches a debugger where there is none."""
        params = rpc.OfProcess(process=_address(process))
        state = await self._call("session.open", params, bus.SessionState, _OPEN_SESSION, undo=_close_opened)
        await self._leave(state.session)
        return state

    @contextlib.asynccontextmanager
    async def debug(
        self, process: str | bus.Presence, *, keep_stopped: bool = True
    ) -> AsyncIterator[DebugSession]:
        """A debug session; the debugger is attached before the body runs, and detached after it when no
        other viewer debugs the process. Leaving lets everything run that this session had stopped.

        What stands runs on by itself when nobody has renewed its lease for so long (60 s unless the process's
        sidecar was told otherwise). The session renews it while it drives or nobody does, for as long as this
        event loop turns: a program that hangs loses its lease, and the process runs on. So work that blocks goes
        into a thread (`asyncio.to_thread(input)`). With `keep_stopped=False` it renews nothing, and what stands
        runs on a lease's length after the last request. Without any request it runs on some minutes later even
        so (the sidecar's `longest_stop`).

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
            params = rpc.OfProcess(process=address)
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

    # subscriptions

    async def _subscribe(self, route: Route) -> int:
        """The route is there before the answer, because notifications may follow the answer at once."""
        self._routes.append(route)
        try:
            params = rpc.Subscribe(topics=(route.topic,), selector=str(route.selector))
            subscribed = await self._call("subscribe", params, rpc.Subscribed, undo=_end_subscribed)
            return subscribed.subscription
        except BaseException:
            if route in self._routes:
                self._routes.remove(route)
            raise

    async def _unsubscribe(self, route: Route, subscription: int) -> None:
        if route in self._routes:
            self._routes.remove(route)
        if self._lost is None:
            try:
                await self._call("unsubscribe", rpc.Unsubscribe(subscription=subscription), bus.Done)
            except (ConnectionLost, Refused, NoAnswer) as error:
                logger.debug("subscription %d had ended before it was ended: %s", subscription, error)

    # calls

    async def _call(
        self,
        method: str,
        params: rpc.Params,
        result: type[T],
        seconds: float | None = None,
        undo: Undo | None = None,
    ) -> T:
        return codec.decode(await self._ask(method, params, seconds or DEADLINE, undo), result)

    async def _ask(self, method: str, params: rpc.Params, seconds: float, undo: Undo | None = None) -> Raw:
        """Raises `Refused`, `NoAnswer` or `ConnectionLost`. With `undo` the answer to a call that was cancelled, or
        was too late, is still looked at: what was begun for nobody is ended."""
        if self._lost is not None:
            raise self._lost.with_traceback(None)
        number, frame = self._calls.ask(method, params)
        answer: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            async with asyncio.timeout(seconds):
                await self._socket.send(frame, text=True)
                return await answer
        except TimeoutError:
            raise NoAnswer(f"answer to {method}", seconds) from None
        except websockets.ConnectionClosed as error:
            if answer.done():
                return answer.result()  # the reader noticed first: raises what it found
            raise errors.closed(_close_code(error)) from None
        finally:
            del self._answers[number]
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen, also where the sending failed first
            if undo is not None and self._lost is None and (answer.cancelled() or not answer.done()):
                self._abandoned[number] = undo
            else:
                self._calls.forget(number)

    # the reader

    async def read(self) -> None:
        """Runs beside the body of `connect` until the line ends, whatever way; never raises for that."""
        try:
            async for frame in self._socket:
                effect = self._calls.receive(frame)
                if isinstance(effect, calls.Answered) and effect.id in self._abandoned:
                    await self._undo(self._abandoned.pop(effect.id), effect.result)
                elif effect is not None:
                    self._perform(effect)
        except websockets.ConnectionClosed as error:
            self._lose(errors.closed(_close_code(error)))
        except _Breakdown as error:
            self._lose(ConnectionLost(f"the broker sent what this viewer cannot read: {error}"))
        else:
            self._lose(errors.closed(self._socket.close_code))
        finally:
            if self._lost is None:  # `connect` was left: whoever still waits elsewhere must not wait for ever
                self._lose(ConnectionLost("this connection was closed here"))

    async def _undo(self, undo: Undo, result: Raw) -> None:
        try:
            number, frame = self._calls.ask(*undo(result))
        except MalformedMessage as error:
            raise _Breakdown(str(error)) from None
        self._calls.forget(number)  # nobody waits for that answer
        await self._socket.send(frame, text=True)

    def _perform(self, effect: calls.Effect) -> None:
        match effect:
            case calls.Answered(id=number, result=result):
                self._settle(number, result)
            case calls.Failed(id=number, failure=failure):
                self._abandoned.pop(number, None)
                self._settle(number, Refused(failure))
            case calls.PresenceArrived(items=presence):
                for each in presence:
                    self._deliver("presence", each)
            case calls.MetricsArrived(items=metrics):
                for sample in metrics:
                    self._deliver("metrics", sample)
            case calls.EventsArrived(items=events, unreadable=unreadable):
                if unreadable:
                    logger.warning("%d events are of a kind that this version does not know", unreadable)
                for event in events:
                    self._deliver("events", event)
            case calls.GapNoticed(gap=gap):
                for route in self._routes:
                    if goes_to(route, "events", gap.process):
                        route.miss(gap.last - gap.first + 1)
            case calls.BusChanged(bus=state):
                self.bus = state
                if state == "down":
                    self._end_sessions()
            case calls.Broken(problem=problem):
                raise _Breakdown(problem)
            case _:
                assert_never(effect)

    def _end_sessions(self) -> None:
        """Without the bus every sidecar closes its sessions, and nobody can be told of it."""
        for route in self._routes:
            if isinstance(route, DebugSession):
                route.fail(SessionClosed(route.process, "bus_lost"))

    def _deliver(self, topic: rpc.Topic, item: Item) -> None:
        for route in self._routes:
            if goes_to(route, topic, item.process):
                route.deliver(item)

    def _settle(self, number: int, outcome: Raw | ViewerError) -> None:
        answer = self._answers.get(number)
        if answer is None or answer.done():
            return
        if isinstance(outcome, ViewerError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    def _lose(self, error: ConnectionLost) -> None:
        self._lost = error
        self._abandoned.clear()
        for number in self._calls.lose():
            self._settle(number, error)
        for route in self._routes:
            route.fail(error)


class _Breakdown(Exception):
    """The peer broke the protocol; ends the reader."""


def _close_opened(result: Raw) -> tuple[str, rpc.Params]:
    return "session.close", rpc.OfSession(session=codec.decode(result, bus.SessionState).session)


def _end_subscribed(result: Raw) -> tuple[str, rpc.Params]:
    return "unsubscribe", rpc.Unsubscribe(subscription=codec.decode(result, rpc.Subscribed).subscription)


def _address(process: str | bus.Presence) -> str:
    return process if isinstance(process, str) else process.process


def _close_code(error: websockets.ConnectionClosed) -> int | None:
    return error.rcvd.code if error.rcvd else None


class connect:
    """A connection to a broker, for the time of an `async with` block.

    `url` is the broker's (http, https, ws or wss). Without `url` and `token`: SONDE_URL and SONDE_TOKEN, then
    the site that `sonde up` started for this user. Entering raises `InvalidTarget` or `ConnectionLost`.

    Tasks beside the block: the reader (`Viewer.read`), ended with it; and for each debug session that has
    stopped something one `Keeper`, ended with its session, and by the reader's end at the latest.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self._url = url
        self._token = token
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Viewer:
        place = target.find(self._url, self._token, environment=os.environ, site=local.read())
        self._socket = await _open(place)
        viewer = Viewer(self._socket, self._tasks)
        await self._tasks.__aenter__()
        self._reader = self._tasks.create_task(viewer.read(), name=f"sonde viewer reads from {place.base}")
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


async def _open(place: target.Target) -> ClientConnection:
    quiet = logging.getLogger(f"{__name__}.websockets")
    quiet.setLevel(logging.WARNING)  # at debug level the library logs headers, the token among them
    try:
        return await open_websocket(
            place.websocket,
            logger=quiet,
            subprotocols=[websockets.Subprotocol(rpc.SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {place.token}"},
            proxy=None if place.local else True,
            compression=None if place.local else "deflate",
            open_timeout=_OPENING,
            close_timeout=_CLOSING,
            max_size=_LARGEST_FRAME,
        )
    except websockets.InvalidStatus as error:
        raise errors.denied(error.response.status_code) from None
    except websockets.ConnectionClosed as error:
        raise errors.closed(_close_code(error)) from None
    except (OSError, TimeoutError, websockets.WebSocketException) as error:
        logger.debug("connecting to %s failed: %r", place.base, error)
        raise ConnectionLost(
            f"no broker answers at {place.page}; is it up? (`sonde up` starts one here)"
        ) from None
