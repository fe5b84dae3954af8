"""The right face: the WebSocket server, where viewers are, and the page.

Each viewer has one task of its own, which reads; nothing ever waits for a viewer to take something. What goes
out is written by the core's order into the transport at once (`outbox`), past the library's `send`, which would
wait for the slowest. That is sound because every frame is written whole and no extension is negotiated.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
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
from sonde_broker.exchange import ToViewers
from sonde_broker.limits import Strikes, TokenBucket
from sonde_broker.outbox import NOT_SENT_LOW_WATER, Outbox, text_frame
from sonde_broker.pages import Pages, plain
from sonde_broker.relay_io import (
    CloseViewer,
    Deliver,
    Happening,
    Send,
    ViewerCalled,
    ViewerId,
    ViewerJoined,
    ViewerLeft,
)
from sonde_wire import Code, Failure, Reason, rpc

logger = logging.getLogger(__name__)

_HEALTH = ("/healthz", "/readyz")
"""Asked by probes, which name an address and not one of our hosts."""
MOST_INBOUND = 64 * 1024
_RATE, _BURST = 100.0, 200.0
_MALFORMED, _WITHIN = 10, 10.0
_CLOSE_TIMEOUT = 2.0
_WATCH_EVERY = 0.25


class _Connection(ServerConnection):
    admission: Admitted | TurnedAway | None = None


class _Viewer(Struct):
    connection: ServerConnection
    outbox: Outbox


class Viewers:
    """`tell` is told who joined, called and left; `bus_up` answers for /readyz."""

    def __init__(
        self,
        *,
        door: DoorRules,
        pages: Pages,
        tell: Callable[[Happening], None],
        bus_up: Callable[[], bool],
        most_viewers: int,
    ) -> None:
        self._door = door
        self._pages = pages
        self._tell = tell
        self._bus_up = bus_up
        self._most_viewers = most_viewers
        self._viewers: dict[ViewerId, _Viewer] = {}
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
            create_connection=_Connection,
            compression=None,
            max_size=MOST_INBOUND,
            max_queue=16,
            open_timeout=5,
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

    def perform(self, effect: ToViewers) -> None:
        """Never waits."""
        match effect:
            case Deliver(viewers, frames):
                joined = b"".join(text_frame(frame.payload) for frame in frames)
                for name in viewers:
                    if (viewer := self._viewers.get(name)) is not None and _open(viewer):
                        viewer.outbox.deliver(frames, joined)
            case Send(name, payload):
                if (viewer := self._viewers.get(name)) is not None and _open(viewer):
                    viewer.outbox.send(payload)
            case CloseViewer(name, code, reason):
                if (viewer := self._viewers.get(name)) is not None:
                    self._close_later(name, viewer, code, reason)
            case _:
                assert_never(effect)

    def _close_later(self, name: ViewerId, viewer: _Viewer, code: int, reason: str) -> None:
        if self._closers is not None:
            self._closers.create_task(_close(viewer.connection, code, reason), name=f"viewers: close {name}")

    # Before a viewer is one

    def _answer_http(self, connection: ServerConnection, request: Request) -> Response | None:
        """None: the WebSocket handshake goes on."""
        path, _, query = request.path.partition("?")
        headers = _headers(request)
        if path not in _HEALTH and (rejected := check_host(headers, self._door)) is not None:
            return self._reject(connection, path, rejected)
        if path != rpc.WEBSOCKET_PATH:
            if "token=" in query:
                return plain(HTTPStatus.BAD_REQUEST, "A token never belongs into a URL's query.\n")
            return self._pages.respond(
                request.method,
                path,
                encodings=",".join(request.headers.get_all("Accept-Encoding")),
                known_etags=",".join(request.headers.get_all("If-None-Match")),
                bus_up=self._bus_up(),
            )
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
        return None

    def _reject(self, connection: ServerConnection, path: str, rejected: Rejected) -> Response:
        logger.warning(
            "rejected %s for %.200r: %d %s", _peer(connection), path, rejected.status, rejected.text.strip()
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
            logger.warning("turned away %s: %s", _peer(connection), problem)
            await _close(connection, rpc.CLOSE_UNAUTHENTICATED, reason)
            return
        name = secrets.token_hex(8)
        raw: socket.socket = connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_LOW_WATER)
        self._viewers[name] = _Viewer(connection, Outbox(connection.transport))
        self._tell(ViewerJoined(name, admission.claims))
        try:
            await self._read_calls(name, connection)
        except ConnectionClosed as closed:
            logger.info("the line to %s ended: %s", name, closed)
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
                    logger.info("unreadable call of %s: %r", name, failure.message)
                    outbox.send(answers.failure(id, failure))
                    if read.malformed and strikes.strike(now()):
                        logger.warning("%s sends malformed messages", name)
                        await _close(connection, rpc.CLOSE_BAD_MESSAGE, "too many malformed messages")
                        return

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_WATCH_EVERY)
            for name, viewer in list(self._viewers.items()):
                if (why := viewer.outbox.watch(loop.time())) is not None:
                    logger.warning("cut off viewer %s: %s", name, why)
                    self._close_later(name, viewer, rpc.CLOSE_SLOW_VIEWER, "this viewer reads too slowly")

    async def _stop(self, server: Server) -> None:
        server.close(code=1012, reason="the broker restarts")
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await server.wait_closed()
        except TimeoutError:
            for viewer in list(self._viewers.values()):
                viewer.connection.transport.abort()
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
