"""A broker for the viewer's tests: real WebSocket, real wire messages, and a process made of a script.

It checks every request against `sonde_wire.rpc` as a broker must, remembers it, and answers from `answers`;
`notify` tells every viewer something.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from websockets import Subprotocol
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from sonde_wire import Code, Failure, Reason, bus, codec, looking, rpc

BOOT = "0" * 32
TOKEN = "a good token"
SHOP = bus.Presence(
    process="default/shop/shop-1",
    boot=BOOT,
    state="online",
    time=1.0,
    started=1.0,
    pid=4242,
    host="here",
    python="3.11.7",
)
FILES = (
    looking.SourceFile(path="/app/shop.py", module="shop", application=True),
    looking.SourceFile(path="/usr/lib/python3/json/decoder.py", module="json.decoder"),
)
LEASE = bus.Lease(left=60.0, length=60.0)
CAPABILITIES = {"supportsConditionalBreakpoints": True}

Answer = Callable[[rpc.Params], Any]
DapAnswer = Callable[[dict[str, Any]], dict[str, Any]]


def presence(process: str, **changes: Any) -> bus.Presence:
    return msgspec.structs.replace(SHOP, process=process, **changes)


def refusal(reason: Reason = Reason.OUTSIDE_SELECTOR, code: Code = Code.PERMISSION_DENIED) -> Failure:
    return Failure(code=code, reason=reason, message="not for you; ask somebody else")


class FakeBroker:
    """`answers` maps a method to what it answers: a value, a `Failure`, or None for silence."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, rpc.Params]] = []
        self.dap_requests: list[dict[str, Any]] = []
        self.traces: list[tuple[str, str]] = []
        """Of each request, traceparent and tracestate."""
        self.headers: dict[str, str] = {}
        self.answers: dict[str, Answer] = {
            "whoami": lambda _: rpc.Welcome(
                broker="b", version="0", subject="ada", scopes=(), selectors=(), expires=1.0
            ),
            "process.list": lambda _: rpc.ProcessList(processes=(SHOP,)),
            "process.sources": lambda _: looking.Sources(files=FILES),
            "process.source": lambda _: looking.Source(path="/app/shop.py", text=SOURCE, sha256=""),
            "process.stacks": lambda _: STACKS,
            "subscribe": lambda _: rpc.Subscribed(subscription=7),
            "unsubscribe": lambda _: bus.Done(),
            "session.open": lambda _: self.session,
            "session.close": lambda _: bus.Done(),
            "session.renew": lambda _: bus.LeaseState(lease=LEASE, renewed=True),
            "session.seat": self._answer_seat,
            "dap": self._answer_dap,
        }
        self.dap: dict[str, DapAnswer] = {}
        self.delays: dict[str, asyncio.Event] = {}
        """By method: its answer waits for that."""
        self.session = bus.SessionState(
            session="s1", process=SHOP.process, boot=BOOT, capabilities=codec.raw(CAPABILITIES)
        )
        self._seq = 0
        self._asked = asyncio.Event()
        self._viewers: set[ServerConnection] = set()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    def asked(self, method: str) -> list[rpc.Params]:
        return [params for name, params in self.requests if name == method]

    async def was_asked(self, method: str, times: int = 1) -> None:
        """Waits for it; the test's own timeout is the deadline."""
        while len(self.asked(method)) < times:
            self._asked.clear()
            await self._asked.wait()

    async def notify(self, method: str, params: Any) -> None:
        frame = codec.encode(rpc.Notification(method=method, params=codec.raw(params)))
        for viewer in set(self._viewers):
            await viewer.send(frame, text=True)

    async def event(self, event: str, session: str | None = None, **body: Any) -> None:
        """A DAP event of the process."""
        message = codec.raw({"seq": 0, "type": "event", "event": event, "body": body})
        kind = bus.Output if event == "output" else bus.DapEvent
        await self.tell(kind, session=session, message=message)

    def opens(self, **changes: Any) -> None:
        """What the next `session.open` answers, beside what it always does."""
        self.session = msgspec.structs.replace(self.session, **changes)

    async def tell(self, kind: Callable[..., bus.AnyEvent], **fields: Any) -> None:
        self._seq += 1
        event = kind(process=SHOP.process, boot=BOOT, seq=self._seq, time=1.0, **fields)
        await self.notify("events", rpc.EventItems(events=(codec.raw(event),)))

    async def close(self, code: int) -> None:
        for viewer in set(self._viewers):
            await viewer.close(code)

    async def gone(self) -> None:
        """Nobody listens any more, and whoever was connected is told to go elsewhere."""
        assert self._server is not None
        self._server.close(close_connections=False)
        await self.close(1012)

    def _answer_seat(self, params: rpc.Params) -> bus.SeatState:
        """The seat is free, and whoever takes or asks for it gets it."""
        assert isinstance(params, rpc.SeatCall)
        driver = {"take": params.session, "ask": params.session, "grant": params.to, "release": None}
        return bus.SeatState(driver=driver[params.action])

    def _answer_dap(self, params: rpc.Params) -> Any:
        assert isinstance(params, rpc.DapCall)
        request = codec.decode_any(params.request)
        self.dap_requests.append(request)
        answering = self.dap.get(request["command"])
        answer = answering(request) if answering else {}
        head = {"seq": 1, "type": "response", "request_seq": request["seq"], "command": request["command"]}
        return head | {"success": True} | answer

    async def _viewer(self, connection: ServerConnection) -> None:
        self._viewers.add(connection)
        try:
            async for frame in connection:
                request = codec.decode(frame, rpc.Request)
                await self._answer(connection, request)
        finally:
            self._viewers.discard(connection)

    async def _answer(self, connection: ServerConnection, request: rpc.Request) -> None:
        assert not isinstance(request.params, msgspec.UnsetType)
        params = codec.decode(request.params, rpc.METHODS[request.method].params)
        self.requests.append((request.method, params))
        self.traces.append((request.traceparent, request.tracestate))
        self._asked.set()
        if request.method in self.delays:
            await self.delays[request.method].wait()
        result = self.answers[request.method](params)
        if isinstance(result, Failure):
            response = rpc.Response(id=request.id, error=rpc.Error.of(result))
        elif result is None:
            return
        else:
            response = rpc.Response(id=request.id, result=codec.raw(result))
        await connection.send(codec.encode(response), text=True)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.headers = dict(request.headers.raw_items())
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return connection.respond(401, "no\n")
        return None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["FakeBroker"]:
        async with serve(
            self._viewer,
            "127.0.0.1",
            0,
            subprotocols=[Subprotocol(rpc.SUBPROTOCOL)],
            process_request=self._admit,
        ) as self._server:
            yield self


SOURCE = """\
def checkout(cart):
    subtotal = cart.subtotal
    discount = discount_for(cart)
    total = subtotal - discount
    return total
"""
STACKS = looking.Stacks(
    threads=(
        looking.ThreadStack(
            id=1,
            name="MainThread",
            frames=(
                looking.StackFrame(path="/app/shop.py", line=4, function="checkout", text="total = ..."),
                looking.StackFrame(path="/app/shop.py", line=9, function="main"),
            ),
        ),
    ),
    time=1.0,
)
