"""An editor as a debugpy server meets it: a DAP client over TCP that attaches, as VS Code does."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sonde_agent.sidecar.dap.framing import FrameBuffer, frame
from tests.agent.tap.fakes import PATIENCE


class Editor:
    """`hello`, `break_at` any number of times, `ready`; then events and requests."""

    def __init__(self, line: socket.socket) -> None:
        line.settimeout(PATIENCE)
        self._line = line
        self._frames = FrameBuffer()
        self._arrived: list[dict[str, Any]] = []
        self._seq = 0
        self._attach = 0

    def hello(self, **arguments: Any) -> "Editor":
        """debugpy answers `attach` only after `configurationDone`."""
        self.ask("initialize", adapterID="python", clientID="test", pathFormat="path", linesStartAt1=True)
        self._attach = self.send("attach", {"justMyCode": False, **arguments})
        self.event("initialized")
        return self

    def break_at(self, path: str, *lines: int) -> None:
        answer = self.ask(
            "setBreakpoints", source={"path": path}, breakpoints=[{"line": line} for line in lines]
        )
        assert all(each["verified"] for each in answer["breakpoints"]), answer

    def ready(self) -> None:
        self.ask("configurationDone")
        self._answer_to(self._attach)

    def send(self, command: str, arguments: dict[str, Any]) -> int:
        self._seq += 1
        request = {"seq": self._seq, "type": "request", "command": command, "arguments": arguments}
        self._line.sendall(frame(json.dumps(request).encode()))
        return self._seq

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        return self._answer_to(self.send(command, arguments))

    def event(self, name: str) -> dict[str, Any]:
        return self._next(lambda message: message.get("event") == name)

    def where(self, stopped: dict[str, Any]) -> tuple[str, int]:
        """Function and line of the innermost frame."""
        frame = self.ask("stackTrace", threadId=stopped["threadId"])["stackFrames"][0]
        return frame["name"], frame["line"]

    def go_on(self, stopped: dict[str, Any]) -> None:
        self.ask("continue", threadId=stopped["threadId"])

    def hears_the_end(self) -> bool:
        """True when the server says that the session is over; it is left then, as VS Code does."""
        while (message := self._read()) is not None:
            if message.get("event") == "terminated":
                self._line.close()
                return True
        return False

    def _answer_to(self, seq: int) -> dict[str, Any]:
        return self._next(lambda message: message.get("request_seq") == seq)

    def _next(self, wanted: Any) -> dict[str, Any]:
        for position, message in enumerate(self._arrived):
            if wanted(message):
                del self._arrived[position]
                break
        else:
            while not wanted(message := self._expect()):
                self._arrived.append(message)
        assert message.get("success", True), message
        body: dict[str, Any] = message.get("body") or {}
        return body

    def _expect(self) -> dict[str, Any]:
        message = self._read()
        assert message is not None, "the server hung up"
        return message

    def _read(self) -> dict[str, Any] | None:
        data = b""
        while True:
            for body in self._frames.feed(data):
                assert isinstance(body, bytes)
                message: dict[str, Any] = json.loads(body)
                return message
            try:
                data = self._line.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None


@contextmanager
def editor(port: int, host: str = "127.0.0.1") -> Iterator[Editor]:
    with socket.create_connection((host, port), timeout=PATIENCE) as line:
        yield Editor(line)
