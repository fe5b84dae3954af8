"""What Datadog's agent is to its library, on the loopback: it takes what probes bring, and keeps it to be looked at.

Snapshots and logs come by HTTP, metrics as datagrams. Whatever else is asked is answered with an empty object.
"""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread
from typing import Any

_INFO = {
    "endpoints": ["/debugger/v1/input", "/debugger/v1/diagnostics", "/debugger/v2/input"],
    "version": "7.60.0",
}
_PROBES = ("/debugger/v1/input", "/debugger/v2/input")
_LONGEST = 65_536
_LOOK_SECONDS = 0.2
"""Between looks whether it is over."""


class Intake:
    """Its threads write; `brought` and `counted` are read when `until` has come back."""

    def __init__(self) -> None:
        self.ports: tuple[int, int] = (0, 0)
        """Of HTTP, and of the datagrams."""
        self._news = Condition()
        self._bodies: list[bytes] = []
        self._datagrams = 0
        self._events = 0

    def take(self, body: bytes) -> None:
        with self._news:
            self._bodies.append(body)
            self._events += len(json.loads(body))
            self._news.notify_all()

    def count(self, datagram: bytes) -> None:
        with self._news:
            self._datagrams += len(datagram.splitlines())
            self._news.notify_all()

    async def until(self, events: int, metrics: int, seconds: float = 10.0) -> tuple[int, int]:
        """How many of both came; sooner than `seconds` when these have."""

        def wait() -> tuple[int, int]:
            with self._news:
                self._news.wait_for(lambda: self._events >= events and self._datagrams >= metrics, seconds)
                return self._events, self._datagrams

        return await asyncio.to_thread(wait)

    def brought(self) -> list[dict[str, Any]]:
        with self._news:
            return [event for body in self._bodies for event in json.loads(body)]


@contextmanager
def intake() -> Iterator[Intake]:
    """Open with the block, at ports that were free."""
    taking = Intake()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self._body()
            if self.path.partition("?")[0] in _PROBES:
                taking.take(body)
            answer = json.dumps(_INFO if self.path == "/info" else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_PUT = do_GET

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, format: str, *args: object) -> None:
            """Nothing of it is for anybody."""

    closing = Event()

    def counting(metrics: socket.socket) -> None:
        while not closing.is_set():
            with suppress(TimeoutError):
                taking.count(metrics.recv(_LONGEST))

    with ExitStack() as stack:
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        metrics = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        metrics.bind(("127.0.0.1", 0))
        metrics.settimeout(_LOOK_SECONDS)
        port: int = metrics.getsockname()[1]
        taking.ports = (server.server_port, port)
        threads = (Thread(target=server.serve_forever), Thread(target=counting, args=(metrics,)))
        for thread in threads:
            thread.start()
        try:
            yield taking
        finally:
            closing.set()
            server.shutdown()
            for thread in threads:
                thread.join()
