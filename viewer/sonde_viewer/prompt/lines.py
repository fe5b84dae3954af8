"""The lines of a script as they come, while the event loop turns: a lease is renewed and notices are told also
while nobody writes."""

import asyncio
import codecs
import contextlib
import os
import threading
from collections.abc import AsyncIterator

_CHUNK = 65_536


async def lines(descriptor: int) -> AsyncIterator[str]:
    """Of a pipe, a terminal or a file, which an event loop cannot wait for."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    begun = ""
    while chunk := await _read(descriptor):
        *whole, begun = (begun + decoder.decode(chunk)).split("\n")
        for line in whole:
            yield line
    if begun:
        yield begun


async def _read(descriptor: int) -> bytes:
    """A thread for each chunk. It is a daemon and holds no lock: nobody waits for it when the program ends."""
    loop = asyncio.get_running_loop()
    chunk: asyncio.Future[bytes] = loop.create_future()

    def read_in_time(data: bytes) -> None:
        if not chunk.done():
            chunk.set_result(data)

    def read() -> None:
        try:
            data = os.read(descriptor, _CHUNK)
        except OSError:
            data = b""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody wants it any more
            loop.call_soon_threadsafe(read_in_time, data)

    threading.Thread(target=read, name="sonde reads commands", daemon=True).start()
    return await chunk
