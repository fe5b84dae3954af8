"""A viewer of Sonde with nothing but the `websockets` package: lists processes, then prints events as they come.

    SONDE_URL=http://127.0.0.1:8080 SONDE_TOKEN=... python viewer_plain.py [SELECTOR]

It comes back by itself when the line breaks and misses nothing: it tells the broker how far it has got with each process,
and the broker tells first what it missed. What nobody has any more arrives as a gap.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

UNAUTHENTICATED = 4401
MOST_CURSORS = 256


class Viewer:
    def __init__(self, url: str, token: str, selector: str) -> None:
        self.address = url.replace("http", "ws", 1).rstrip("/") + "/ws"
        self.token = token
        self.selector = selector
        self.cursors: dict[str, tuple[str, int]] = {}
        """By process: its boot, and the number of the last event that arrived. A process that starts again has a new boot."""

    async def run(self) -> None:
        """Until the token is not taken any more."""
        attempt = 0
        while True:
            try:
                async with connect(
                    self.address,
                    subprotocols=["sonde.v1"],  # type: ignore[list-item]  # a plain text will do
                    additional_headers={"Authorization": f"Bearer {self.token}"},
                    max_size=None,
                ) as line:
                    attempt = 0
                    await self.follow(line)
            except InvalidStatus as error:
                if error.response.status_code in {401, 403}:
                    sys.exit("the broker does not take this token")
            except ConnectionClosed as error:
                if error.rcvd and error.rcvd.code == UNAUTHENTICATED:
                    sys.exit("the token has expired: get a fresh one")
            except OSError:
                pass  # nobody there; try again
            print("the line broke; coming back", flush=True)
            # with jitter: others come back too
            await asyncio.sleep(random.uniform(0, min(10.0, 0.2 * 2**attempt)))
            attempt = min(attempt + 1, 10)

    async def follow(self, line: ClientConnection) -> None:
        """Ends with `ConnectionClosed`."""
        await ask(line, 1, "process.list", selector=self.selector)
        newest = list(self.cursors.items())[-MOST_CURSORS:]
        cursors = [{"process": process, "boot": boot, "seq": seq} for process, (boot, seq) in newest]
        await ask(line, 2, "subscribe", topics=["events"], selector=self.selector, cursors=cursors)
        async for message in messages(line):
            if "error" in message:
                sys.exit(f"refused: {message['error']['message']}")
            match message.get("method", message.get("id")):
                case 1:
                    for process in message["result"]["processes"]:
                        print(f"{process['process']} is {process['state']}", flush=True)
                case 2:
                    print("following", flush=True)
                case "events":
                    for event in message["params"]["events"]:
                        self.take(event)
                case "gap":
                    self.miss(message["params"])

    def take(self, event: dict[str, Any]) -> None:
        boot, seq = self.cursors.pop(event["process"], ("", 0))
        if boot == event["boot"] and event["seq"] <= seq:
            self.cursors[event["process"]] = boot, seq
            return  # it came twice
        # the newest is the last one of the table
        self.cursors[event["process"]] = event["boot"], event["seq"]
        print(f"{event['process']} #{event['seq']} {event['type']}", flush=True)

    def miss(self, gap: dict[str, Any]) -> None:
        print(f"{gap['process']} gap: {gap['first']} to {gap['last']} are lost here", flush=True)
        boot, seq = self.cursors.get(gap["process"], ("", 0))
        if boot == gap["boot"]:
            self.cursors[gap["process"]] = boot, max(seq, gap["last"])


async def ask(line: ClientConnection, number: int, method: str, **params: Any) -> None:
    await line.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))


async def messages(line: ClientConnection) -> AsyncIterator[dict[str, Any]]:
    while True:
        yield json.loads(await line.recv())


if __name__ == "__main__":
    selector = sys.argv[1] if len(sys.argv) > 1 else "*/*/*"
    asyncio.run(Viewer(os.environ["SONDE_URL"], os.environ["SONDE_TOKEN"], selector).run())
