"""The right face: the WebSocket server, where viewers are, and the page.

Each viewer has one task of its own, which reads; nothing ever waits for a viewer to take something. What goes
out is written by the core's order into the transport at once (`outbox`), past the library's `send`, which would
wait for the slowest. That is sound because every frame is written whole and, where a viewer takes it compressed, in a stream
of its own (`compression`).
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, assert_never

from msgspec import Struct
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import Subprotocol

from sonde_broker import answers
from sonde_broker.admission import Admitted, DoorRules, Headers, Rejected, TurnedAway, admit, check_host
from sonde_broker.calls import Call, Unreadable, read_call
from sonde_broker.compression import is_agreed, offer, packed_frame
from sonde_broker.counts import Counts
from sonde_broker.exchange import ToViewers
from sonde_broker.limits import Strikes, TokenBucket
from sonde_broker.outbox import NOT_SENT_LOW_WATER, Outbox, text_frame
from sonde_broker.pages import plain
from sonde_broker.relay_io import (
    CloseViewer,
    Deliver,
    Frame,
    Happening,
    Send,
    ViewerCalled,
    ViewerId,
    ViewerJoined,
    ViewerLeft,
)
from sonde_broker.settings import Compress
from sonde_broker.web import HEALTH
from sonde_wire import Code, Failure, Reason, rpc
from sonde_wire.facts import facts

logger = logging.getLogger(__name__)

MOST_INBOUND = 64 * 1024
_RATE, _BURST = 100.0, 200.0
_MALFORMED, _WITHIN = 10, 10.0
_OPEN_TIMEOUT = 15.0
"""The library counts the answer to plain HTTP as part of it: longer than `passing.PATIENCE`."""
_CLOSE_TIMEOUT = 2.0
_WATCH_EVERY = 0.25


class _Connection(ServerConnection):
    """`lines`: all that are open, also those that have said nothing yet."""

    admission: Admitted | TurnedAway | None = None

    def __init__(self, *arguments: Any, lines: set[asyncio.Transport], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lines = lines

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._lines.add(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lines.discard(self.transport)
        super().connection_lost(exc)


class _Viewer(Struct):
    connection: ServerConnection
    outbox: Outbox
    packed: bool
    """Whether it takes compressed messages."""


class Viewers:
    """`tell` is told who joined, called and left; `http` answers what is no WebSocket."""

    def __init__(
        self,
        *,
        door: DoorRules,
        http: Callable[[Request, Headers, str], Awaitable[Response]],
        tell: Callable[[Happening], None],
        most_viewers: int,
        compress: Compress,
        counts: Counts,
    ) -> None:
        self._door = door
        self._http = http
        self._tell = tell
        self._most_viewers = most_viewers
        self._compress: Compress = compress
        self._counts = counts
        self._viewers: dict[ViewerId, _Viewer] = {}
        self._lines: set[asyncio.Transport] = set()
        self._closers: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def serving(self, listening: socket.socket) -> AsyncIterator[None]:
        """While the block lasts viewers can connect; at its end they are closed with 1012 (come back later).

        Tasks: `viewers: watch`, cancelled at the end; `viewers: close ...`, one for each viewer that the core
        has closed or that was too slow, each ended by its own timeout; and the library's own task for each
        connection.
        """
        quiet = logging.getLogger(f"{__name__}.websockets")
        quiet.setLevel(logging.WARNING)  # at debug level the library logs headers, tokens among them
        server = await serve(
            self._read,
            sock=listening,
            process_request=self._answer_http,
            select_subprotocol=_select_subprotocol,
            create_connection=partial(_Connection, lines=self._lines),  # type: ignore[arg-type]  # it makes them
            compression=None,
            max_size=MOST_INBOUND,
            max_queue=16,
            open_timeout=_OPEN_TIMEOUT,
            close_timeout=_CLOSE_TIMEOUT,
            server_header=None,
            logger=quiet,
        )
        async with asyncio.TaskGroup() as self._closers:
            watch = self._closers.create_task(self._watch(), name="viewers: watch")
            try:
                yield
            finally:
                watch.cancel()
                await self._stop(server)

    def levels(self) -> tuple[int, int, int]:
        """How many viewers there are, how many of them lag, and how many bytes all of them have not read."""
        outboxes = [viewer.outbox for viewer in self._viewers.values()]
        unsent = sum(outbox.unsent for outbox in outboxes)
        return len(outboxes), sum(outbox.lagging for outbox in outboxes), unsent

    def perform(self, effect: ToViewers) -> None:
        """Never waits."""
        match effect:
            case Deliver(viewers, frames):
                self._deliver(viewers, frames)
            case Send(name, payload):
                if (viewer := self._viewers.get(name)) is not None and _open(viewer):
                    viewer.outbox.send(payload)
            case CloseViewer(name, code, reason):
                if (viewer := self._viewers.get(name)) is not None:
                    self._close_later(name, viewer, code, reason)
            case _:
                assert_never(effect)

    def _deliver(self, viewers: Iterable[ViewerId], frames: Sequence[Frame]) -> None:
        """Each form is made once, for all who take it."""
        made: dict[bool, bytes] = {}
        events = sum(frame.events for frame in frames)
        gaps = sum(frame.topic == "gap" for frame in frames)
        for name in viewers:
            viewer = self._viewers.get(name)
            if viewer is None or not _open(viewer):
                continue
            joined = made.get(viewer.packed)
            if joined is None:
                framed = packed_frame if viewer.packed else text_frame
                joined = made[viewer.packed] = b"".join([framed(frame.payload) for frame in frames])
            viewer.outbox.deliver(frames, joined)
            self._counts.frames_sent += len(frames)
            self._counts.bytes_sent += len(joined)
            self._counts.events_relayed += events
            self._counts.viewer_gaps += gaps

    def _close_later(self, name: ViewerId, viewer: _Viewer, code: int, reason: str) -> None:
        if self._closers is not None:
            self._closers.create_task(_close(viewer.connection, code, reason), name=f"viewers: close {name}")

    # Before a viewer is one

    async def _answer_http(self, connection: ServerConnection, request: Request) -> Response | None:
        """None: the WebSocket handshake goes on."""
        path, _, query = request.path.partition("?")
        headers = _headers(request)
        if path not in HEALTH and (rejected := check_host(headers, self._door)) is not None:
            return self._reject(connection, path, rejected)
        if path != rpc.WEBSOCKET_PATH:
            return await self._http(request, headers, _peer(connection))
        if request.method != "GET":
            response = plain(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET is offered.\n")
            response.headers["Allow"] = "GET"
            return response
        if not request.headers.get_all("Upgrade"):
            response = plain(HTTPStatus.UPGRADE_REQUIRED, "This is a WebSocket endpoint.\n")
            response.headers["Upgrade"] = "websocket"
            return response
        if len(self._viewers) >= self._most_viewers:
            response = plain(HTTPStatus.SERVICE_UNAVAILABLE, "Too many viewers are connected.\n")
            response.headers["Retry-After"] = "10"
            return response
        admission = admit(query, headers, self._door)
        if isinstance(admission, Rejected):
            return self._reject(connection, path, admission)
        assert isinstance(connection, _Connection)  # noqa: S101 - serve() was told to make no other
        connection.admission = admission
        offer(connection, self._compress)
        return None

    def _reject(self, connection: ServerConnection, path: str, rejected: Rejected) -> Response:
        self._counts.viewers_refused += 1
        logger.warning(
            "rejected %s for %.200r: %d %s",
            _peer(connection),
            path,
            rejected.status,
            rejected.text.strip(),
            extra=facts(peer=_peer(connection), status=rejected.status.value),
        )
        response = plain(rejected.status, rejected.text)
        if rejected.challenge:
            response.headers["WWW-Authenticate"] = 'Bearer realm="sonde", error="invalid_token"'
        return response

    # While it is one

    async def _read(self, connection: ServerConnection) -> None:
        assert isinstance(connection, _Connection)  # noqa: S101 - as above
        admission = connection.admission
        if not isinstance(admission, Admitted):
            problem, reason = (admission.problem, admission.reason) if admission else ("", "not admitted")
            self._counts.viewers_refused += 1
            logger.warning(
                "turned away %s: %s",
                _peer(connection),
                problem,
                extra=facts(peer=_peer(connection), code=Code.UNAUTHENTICATED, problem=problem),
            )
            await _close(connection, rpc.CLOSE_UNAUTHENTICATED, reason)
            return
        name = secrets.token_hex(8)
        raw: socket.socket = connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_LOW_WATER)
        self._viewers[name] = _Viewer(connection, Outbox(connection.transport), is_agreed(connection))
        self._counts.viewers_joined += 1
        self._tell(ViewerJoined(name, admission.claims))
        try:
            await self._read_calls(name, connection)
        except ConnectionClosed as closed:
            logger.info("the line to %s ended: %s", name, closed, extra=facts(viewer=name))
        finally:
            del self._viewers[name]
            self._tell(ViewerLeft(name))

    async def _read_calls(self, name: ViewerId, connection: ServerConnection) -> None:
        now = asyncio.get_running_loop().time
        bucket = TokenBucket(_RATE, _BURST)
        strikes = Strikes(_MALFORMED, _WITHIN)
        outbox = self._viewers[name].outbox
        async for message in connection:
            read = read_call(message) if isinstance(message, str) else _BINARY
            if not bucket.take(now()):
                outbox.send(answers.failure(read.id, _TOO_FAST))
                await asyncio.sleep(1 / _RATE)  # only this viewer's reading: TCP slows it down
                continue
            match read:
                case Call():
                    self._tell(ViewerCalled(name, read))
                case Unreadable(id, failure):
                    said = facts(viewer=name, code=failure.code, reason=failure.reason)
                    logger.info("unreadable call of %s: %r", name, failure.message, extra=said)
                    outbox.send(answers.failure(id, failure))
                    if read.malformed and strikes.strike(now()):
                        logger.warning("%s sends malformed messages", name, extra=said)
                        await _close(connection, rpc.CLOSE_BAD_MESSAGE, "too many malformed messages")
                        return

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_WATCH_EVERY)
            for name, viewer in list(self._viewers.items()):
                before = viewer.outbox.gaps_told
                why = viewer.outbox.watch(loop.time())
                self._counts.viewer_gaps += viewer.outbox.gaps_told - before
                if why is not None:
                    self._counts.viewers_cut_off += 1
                    said = facts(viewer=name, close_code=rpc.CLOSE_SLOW_VIEWER, problem=why)
                    logger.warning("cut off viewer %s: %s", name, why, extra=said)
                    self._close_later(name, viewer, rpc.CLOSE_SLOW_VIEWER, "this viewer reads too slowly")

    async def _stop(self, server: Server) -> None:
        """Browsers open lines in advance and say nothing on them; such a one, too, has until then and no longer."""
        server.close(code=1012, reason="the broker restarts")
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await server.wait_closed()
        except TimeoutError:
            for line in list(self._lines):
                line.abort()
            await server.wait_closed()


_TOO_FAST = Failure(
    code=Code.RESOURCE_EXHAUSTED,
    reason=Reason.TOO_MANY,
    message=f"more than {_RATE:g} calls each second; wait a moment and try again",
)
_BINARY = Unreadable(
    None,
    Failure(
        code=Code.INVALID_ARGUMENT,
        reason=Reason.MALFORMED_MESSAGE,
        message="calls are text messages, not binary ones",
    ),
)


def _headers(request: Request) -> Headers:
    values = request.headers.get_all
    offered = [each.strip() for value in values("Sec-WebSocket-Protocol") for each in value.split(",")]
    return Headers(
        host=tuple(values("Host")),
        origin=tuple(values("Origin")),
        authorization=tuple(values("Authorization")),
        subprotocols=tuple(offered),
    )


def _select_subprotocol(connection: ServerConnection, offered: Any) -> Subprotocol:
    """Never the one that carries the token."""
    return Subprotocol(rpc.SUBPROTOCOL)


def _open(viewer: _Viewer) -> bool:
    return viewer.connection.protocol.state is State.OPEN


def _peer(connection: ServerConnection) -> str:
    peer = connection.remote_address
    return str(peer[0]) if peer else "somebody"


async def _close(connection: ServerConnection, code: int, reason: str) -> None:
    """The library's close waits for a viewer that does not read; ours does not."""
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await connection.close(code, reason)
    except TimeoutError:
        connection.transport.abort()
