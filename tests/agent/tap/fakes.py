"""What the tap's tests speak with: a sidecar that is a plain socket server, a DAP client that is one, and programs
in which the tap runs. Everything waits for something that happens, with a deadline."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sonde_agent import link

PATIENCE = 20.0
TOKEN = "a token of the tests"
T = TypeVar("T")


def eventually(look: Callable[[], T], what: str) -> T:
    """The first true value; for things that nobody announces, such as a file or a count of threads."""
    deadline = time.monotonic() + PATIENCE
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        os.sched_yield()
        time.sleep(0.005)
    return seen


class Line:
    """The sidecar's end of one tap's line."""

    def __init__(self, accepted: socket.socket) -> None:
        accepted.settimeout(PATIENCE)
        self.socket = accepted
        self._buffer = link.LineBuffer()
        self._lines: Iterator[bytes] = iter(())
        self._next_id = 0
        self.debuggings: list[socket.socket] = []
        self.reports: list[link.Report] = []
        self.hits: list[link.Hits] = []

    def receive(self, *, everything: bool = False) -> link.Message | None:
        """None when the tap hung up. Reports and hits come in between at any time, and are kept aside, if not everything
        is wanted."""
        while True:
            for text in self._lines:
                message = link.decode(text)
                if everything or not isinstance(message, link.Report | link.Hits):
                    return message
                if isinstance(message, link.Report):
                    self.reports.append(message)
                else:
                    self.hits.append(message)
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._lines = self._buffer.feed(data)

    def send(self, message: link.Message) -> None:
        self.socket.sendall(link.encode(message))

    def call(self, operation: str, **arguments: Any) -> link.Result | link.Fault:
        self._next_id += 1
        self.send(link.Call(id=self._next_id, operation=operation, arguments=arguments))
        reply = self.receive()
        assert isinstance(reply, link.Result | link.Fault), reply
        assert reply.id == self._next_id
        return reply

    def value(self, operation: str, **arguments: Any) -> Any:
        reply = self.call(operation, **arguments)
        assert isinstance(reply, link.Result), reply
        return reply.value

    def close(self) -> None:
        self.socket.close()


class FakeSidecar:
    """Listens on a Unix socket. `environment` is what a program needs to find it."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="sonde-test-")
        directory = Path(self._directory.name)
        self.token_file = directory / "token"
        self.token_file.write_text(TOKEN)
        self.path = directory / "sidecar.sock"
        self.address = f"unix:{self.path}"
        self.environment = {
            link.SIDECAR_VARIABLE: self.address,
            link.TOKEN_FILE_VARIABLE: str(self.token_file),
            "SONDE_TEST_RAISE": "1",
            "SONDE_VERBOSE": "1",
        }
        self._server: socket.socket | None = None
        self._lines: list[Line] = []
        self.listen()

    def listen(self) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.settimeout(PATIENCE)
        self._server.bind(str(self.path))
        self._server.listen()

    def vanish(self) -> None:
        """As when it is killed."""
        for line in self._lines:
            line.close()
        if self._server is not None:
            self._server.close()
            self.path.unlink()
            self._server = None

    def accept(self) -> tuple[Line, link.Hello]:
        """The next tap, not yet welcome."""
        assert self._server is not None
        accepted, _ = self._server.accept()
        line = Line(accepted)
        self._lines.append(line)
        hello = line.receive()
        assert isinstance(hello, link.Hello), hello
        return line, hello

    def welcome(self) -> tuple[Line, link.Hello]:
        line, hello = self.accept()
        line.send(
            link.Welcome(version=link.VERSION, process=f"{hello.namespace or 'default'}/{hello.service}/1")
        )
        return line, hello

    def nobody_comes(self, within: float) -> bool:
        assert self._server is not None
        self._server.settimeout(within)
        try:
            self._server.accept()
        except TimeoutError:
            return True
        finally:
            self._server.settimeout(PATIENCE)
        return False

    def close(self) -> None:
        self.vanish()
        for line in self._lines:
            for debugging in line.debuggings:
                debugging.close()
        self._directory.cleanup()


@contextmanager
def fake_sidecar() -> Iterator[FakeSidecar]:
    sidecar = FakeSidecar()
    try:
        yield sidecar
    finally:
        sidecar.close()


class Program:
    """A Python program under test. It says things with `print`, and goes on when it reads a line."""

    def __init__(self, process: "subprocess.Popen[str]", main: Path) -> None:
        self.process = process
        self.main = main
        self.path = str(main)

    @property
    def pid(self) -> int:
        return self.process.pid

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def tell(self, line: str = "") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self) -> tuple[int, str, str]:
        """Its code, the rest of its output, and what it wrote to standard error."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err

    def line_of(self, tag: str) -> int:
        """The number of the line that carries the comment `# tag`."""
        lines = self.main.read_text().splitlines()
        return next(number for number, text in enumerate(lines, 1) if text.endswith(f"# {tag}"))

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def tasks(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def children(self) -> list[int]:
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(word) for word in text.split()]

    def listening_sockets(self) -> int:
        links = [os.readlink(entry) for entry in Path(f"/proc/{self.pid}/fd").iterdir()]  # noqa: PTH115 - a socket's link is no path
        ours = {text[8:-1] for text in links if text.startswith("socket:[")}
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[3] == "0A" and row[9] in ours for row in rows)


@contextmanager
def running(
    directory: Path,
    source: str,
    environment: dict[str, str] | None = None,
    command: tuple[str, ...] = (sys.executable,),
    arguments: tuple[str, ...] = (),
    name: str = "program.py",
) -> Iterator[Program]:
    """Runs the source as a main script. Killed at the end if it still runs."""
    main = directory / name
    main.write_text(textwrap.dedent(source))
    process = subprocess.Popen(
        [*command, str(main), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=directory,
        env={**clean_environment(), **(environment or {})},
    )
    try:
        with process:
            try:
                yield Program(process, main)
            finally:
                if process.poll() is None:
                    process.kill()
    finally:
        process.wait()


def clean_environment() -> dict[str, str]:
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SONDE_", "PYTHON", "COVERAGE"))
    }


class Debugging:
    """The sidecar's half of one debug session with pydevd, as small as it can be."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.address: tuple[str, int] = self._listener.getsockname()
        self.server_token, self.client_token = os.urandom(8).hex(), os.urandom(8).hex()
        self._seq = 0
        self._text = b""
        self.events: list[dict[str, Any]] = []
        self.socket: socket.socket | None = None

    def open(self, **options: float) -> "Debugging":
        """`options`: `lease` and `evaluation_limit`, in seconds."""
        host, port = self.address
        with self._listener:
            self.version = self._line.value(
                "debugger.connect",
                host=host,
                port=port,
                server_token=self.server_token,
                client_token=self.client_token,
                **options,
            )["debugpy"]
            self.socket, _ = self._listener.accept()
        self._line.debuggings.append(self.socket)
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        shown = self.ask("pydevdAuthorize", debugServerAccessToken=self.server_token)
        assert shown["clientAccessToken"] == self.client_token
        self.ask("initialize", adapterID="python", clientID="test", pathFormat="path", linesStartAt1=True)
        self.ask("attach", justMyCode=False, subProcess=False, stopAllThreadsOnSuspend=False)
        self.ask("configurationDone")
        return self

    def go_away(self) -> None:
        """Nobody listens any more."""
        self._listener.close()

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        message = self.response(self.send(command, **arguments))
        assert message["success"], message
        answer: dict[str, Any] = message.get("body") or {}
        return answer

    def send(self, command: str, **arguments: Any) -> int:
        """The number of the request, for `response`."""
        self._seq += 1
        body = json.dumps(
            {"seq": self._seq, "type": "request", "command": command, "arguments": arguments}
        ).encode()
        assert self.socket is not None
        self.socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return self._seq

    def response(self, seq: int) -> dict[str, Any]:
        """Whether it is a success or not."""
        while True:
            for position, message in enumerate(self.events):
                if message["type"] == "response" and message["request_seq"] == seq:
                    return self.events.pop(position)
            self.hear()

    def event(self, name: str) -> dict[str, Any]:
        while True:
            for position, message in enumerate(self.events):
                if message.get("event") == name:
                    del self.events[position]
                    body: dict[str, Any] = message.get("body") or {}
                    return body
            self.events.append(self._read())

    def stop_at(self, path: str, *lines: int) -> None:
        answer = self.ask(
            "setBreakpoints", source={"path": path}, breakpoints=[{"line": line} for line in lines]
        )
        assert all(each["verified"] for each in answer["breakpoints"]), answer

    def where(self, stopped: dict[str, Any]) -> tuple[str, int]:
        frame = self.ask("stackTrace", threadId=stopped["threadId"])["stackFrames"][0]
        return frame["name"], frame["line"]

    def go_on(self, stopped: dict[str, Any]) -> None:
        self.ask("continue", threadId=stopped["threadId"])

    def close(self) -> None:
        """The socket first, as the sidecar does it."""
        assert self.socket is not None
        self.socket.close()
        self._line.value("debugger.disconnect")

    def hear(self) -> None:
        """All that has come; waits for one message at least. What came with another makes no socket readable again."""
        self.events.append(self._read())
        while (message := self._next_of_text()) is not None:
            self.events.append(message)

    def _read(self) -> dict[str, Any]:
        assert self.socket is not None
        while (message := self._next_of_text()) is None:
            data = self.socket.recv(65536)
            assert data, "pydevd hung up"
            self._text += data
        return message

    def _next_of_text(self) -> dict[str, Any] | None:
        head, separator, rest = self._text.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        if len(rest) < length:
            return None
        self._text = rest[length:]
        message: dict[str, Any] = json.loads(rest[:length])
        return message
