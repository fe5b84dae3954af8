"""A DAP client for the peers: on pydevd's own socket, or at the port of debugpy's adapter."""

import asyncio
import itertools
import json
import socket
from typing import Any


class Client:
    """One request at a time. Events that come meanwhile wait until they are asked for."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, nodelay: bool = True
    ) -> None:
        self._reader, self._writer = reader, writer
        self._numbers = itertools.count(1)
        self._events: list[dict[str, Any]] = []
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(nodelay))

    @classmethod
    async def dial(cls, port: int) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**24))

    async def event(self, name: str) -> dict[str, Any]:
        """The body of the next event of that name."""
        while True:
            for message in self._events:
                if message.get("event") == name:
                    self._events.remove(message)
                    body: dict[str, Any] = message.get("body", {})
                    return body
            self._events.append(await self._message())

    def send(self, command: str, **arguments: Any) -> int:
        """The request's number, for `answer`."""
        number = next(self._numbers)
        request = {"seq": number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self._writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return number

    async def answer(self, number: int) -> dict[str, Any]:
        while True:
            message = await self._message()
            if message.get("request_seq") == number:
                return message
            if message.get("type") == "event":
                self._events.append(message)

    async def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        return await self.answer(self.send(command, **arguments))

    async def closed(self) -> None:
        """Returns when the other side has closed the connection; what it said before that is dropped."""
        while await self._reader.read(2**16):
            pass

    def close(self) -> None:
        self._writer.close()

    async def _message(self) -> dict[str, Any]:
        header = await self._reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in header.split(b"\r\n") if line.lower().startswith(b"content-length")]
        body = await self._reader.readexactly(int(lengths[0].split(b":")[1]))
        message: dict[str, Any] = json.loads(body)
        return message
