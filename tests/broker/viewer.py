"""A viewer on a real WebSocket that keeps what it is told, in order, and waits for what a test expects."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from sonde_wire import rpc

Message = dict[str, Any]


class Viewer:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.told: list[Message] = []
        self._news = asyncio.Condition()
        self._last_id = 0

    async def read(self) -> None:
        try:
            async for message in self.connection:
                assert isinstance(message, str)
                async with self._news:
                    self.told.append(json.loads(message))
                    self._news.notify_all()
        except ConnectionClosed:
            return

    async def until(self, found: Callable[[list[Message]], Any]) -> Any:
        """The first true value of `found`, given all that was told so far."""
        async with asyncio.timeout(15), self._news:
            await self._news.wait_for(lambda: found(self.told))
            return found(self.told)

    async def send(self, method: str, **params: Any) -> int:
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        await self.connection.send(json.dumps(request))
        return self._last_id

    async def answer_to(self, id: int | None) -> Message:
        return await self.until(  # type: ignore[no-any-return]  # a message that is there
            lambda told: next((each for each in told if "method" not in each and each["id"] == id), None)
        )

    async def call(self, method: str, **params: Any) -> Message:
        return await self.answer_to(await self.send(method, **params))

    async def result(self, method: str, **params: Any) -> Any:
        response = await self.call(method, **params)
        assert "result" in response, response
        return response["result"]

    async def reason(self, method: str, **params: Any) -> str:
        response = await self.call(method, **params)
        return str(response["error"]["data"]["reason"])

    async def online(self, process: str) -> None:
        """Subscribes to presence and waits until the process is there."""
        await self.result("subscribe", topics=["presence"])
        await self.until(
            lambda told: any(
                each["process"] == process and each["state"] == "online" for each in items(told, "presence")
            )
        )

    async def events(self, count: int) -> list[Message]:
        return await self.until(  # type: ignore[no-any-return]  # as above
            lambda told: got if len(got := items(told, "events")) >= count else None
        )

    async def closed(self) -> tuple[int | None, str | None]:
        """Code and reason."""
        async with asyncio.timeout(15):
            await self.connection.wait_closed()
        return self.connection.close_code, self.connection.close_reason


def items(told: list[Message], topic: str) -> list[Message]:
    return [item for each in told if each.get("method") == topic for item in each["params"][topic]]


@asynccontextmanager
async def viewer(url: str, token: str, **options: Any) -> AsyncIterator[Viewer]:
    """As a program connects: the token in the Authorization header."""
    headers = {"Authorization": f"Bearer {token}"}
    async with connected(url, additional_headers=headers, **options) as connection:
        yield connection


@asynccontextmanager
async def browser(url: str, token: str | None, origin: str | None = None) -> AsyncIterator[Viewer]:
    """As a page connects: the token as a subprotocol, the origin by the browser."""
    offered = [rpc.SUBPROTOCOL] + ([f"{rpc.BEARER_SUBPROTOCOL_PREFIX}{token}"] if token is not None else [])
    async with connected(url, offered, origin=origin or url) as connection:
        yield connection


@asynccontextmanager
async def connected(
    url: str, subprotocols: list[str] | None = None, path: str = "/ws", **options: Any
) -> AsyncIterator[Viewer]:
    offered = [Subprotocol(each) for each in subprotocols or [rpc.SUBPROTOCOL]]
    address = url.replace("http", "ws", 1) + path
    async with connect(
        address, subprotocols=offered, proxy=None, max_size=None, close_timeout=1, **options
    ) as connection:
        one = Viewer(connection)
        reading = asyncio.create_task(one.read(), name="viewer in a test")
        try:
            yield one
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
