"""The line to a broker: a socket on one side, `Calls` in the middle, futures and routes on the other.

It is not mended by itself when it breaks: a debug session cannot be continued by somebody else's connection,
so whoever called decides. Everything pending then raises `ConnectionLost`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar, assert_never

import websockets
from msgspec import Raw
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket

from sonde_viewer import calls, errors, target, tracing
from sonde_viewer.errors import (
    ConnectionDenied,
    ConnectionLost,
    InvalidTarget,
    NoAnswer,
    Refused,
    SessionClosed,
    ViewerError,
)
from sonde_viewer.session import DebugSession
from sonde_viewer.watch import OfProcess, Route, concerned, goes_to
from sonde_wire import MalformedMessage, bus, codec, rpc
from sonde_wire.history import Cursor

logger = logging.getLogger(__name__)
T = TypeVar("T")
Undo = Callable[[Raw], tuple[str, rpc.Params]]

DEADLINE = 15.0
"""Seconds for an answer, unless a method says otherwise. The broker's own deadlines are shorter."""
_CATCHING_UP = 60.0
"""What was missed is told before the answer; the history and each process are asked for it."""
_OPENING = 10.0
_CLOSING = 2.0
_LARGEST_FRAME = 64 * 1024 * 1024


class Line:
    """The half of `Viewer` that asks and is told; what is asked stands in the other."""

    def __init__(self, socket: ClientConnection) -> None:
        self.bus: Literal["up", "down"] = "up"
        """Whether the broker reaches the bus; while it is down, what is shown is stale."""
        self.store: rpc.StoreState = "none"
        """Whether events are being remembered; known from `whoami` on. `store_problem` says why they are not."""
        self.store_problem = ""
        self._socket = socket
        self._calls = calls.Calls()
        self._answers: dict[int, asyncio.Future[Raw]] = {}
        self._abandoned: dict[int, Undo] = {}
        """By call: how to take back what it asked for, because whoever asked did not wait for the answer."""
        self._routes: list[Route] = []
        self._lost: ConnectionLost | None = None

    # subscriptions

    async def _subscribe(self, route: Route, cursors: Sequence[Cursor] = ()) -> int:
        """The route is there before the answer, because notifications may precede it, or follow at once."""
        self._routes.append(route)
        try:
            params = rpc.Subscribe(topics=route.topics, selector=str(route.selector), cursors=tuple(cursors))
            seconds = _CATCHING_UP if cursors else None
            subscribed = await self._call("subscribe", params, rpc.Subscribed, seconds, _end_subscribed)
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
        number, frame = self._calls.ask(method, params, tracing.current())
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
            case calls.ProbesArrived(items=probes):
                for probe in probes:
                    for route in self._routes:
                        if concerned(route, probe):
                            route.deliver(probe)
            case calls.EventsArrived(items=events, unreadable=unreadable):
                if unreadable:
                    logger.warning("%d events are of a kind that this version does not know", unreadable)
                for event in events:
                    self._deliver("output" if isinstance(event, bus.Output) else "events", event)
            case calls.GapNoticed(gap=gap):
                for route in self._routes:
                    if goes_to(route, "events", gap.process) or goes_to(route, "output", gap.process):
                        route.miss(gap)
            case calls.BusChanged(bus=state):
                self.bus = state
                if state == "down":
                    self._end_sessions()
            case calls.StoreChanged(status=status):
                self.store, self.store_problem = status.store, status.problem
            case calls.Broken(problem=problem):
                raise _Breakdown(problem)
            case _:
                assert_never(effect)

    def _end_sessions(self) -> None:
        """Without the bus every sidecar closes its sessions, and nobody can be told of it."""
        for route in self._routes:
            if isinstance(route, DebugSession):
                route.fail(SessionClosed(route.process, "bus_lost"))

    def _deliver(self, topic: rpc.Topic, item: OfProcess) -> None:
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


def _end_subscribed(result: Raw) -> tuple[str, rpc.Params]:
    return "unsubscribe", rpc.Unsubscribe(subscription=codec.decode(result, rpc.Subscribed).subscription)


def _close_code(error: websockets.ConnectionClosed) -> int | None:
    return error.rcvd.code if error.rcvd else None


async def dial_any(places: Iterable[target.Target]) -> ClientConnection:
    """A socket to the first that answers. Raises `InvalidTarget` when there are none, or the last one's error; at once that
    of a token that is not taken, which another broker would not take either."""
    failure: ViewerError = InvalidTarget("no broker is named")
    for place in places:
        try:
            return await dial(place)
        except ConnectionDenied:
            raise
        except ConnectionLost as error:
            failure = error
    raise failure


async def dial(place: target.Target) -> ClientConnection:
    """A socket to the broker there. Raises `ConnectionLost`."""
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
