"""A broker with its bus on this machine, as a child of this program: what `sonde up` and `sonde demo` are."""

import asyncio.subprocess
import contextlib
import os
from collections.abc import AsyncIterator

from msgspec import Struct

from sonde_viewer import children
from sonde_viewer.children import ChildFailed
from sonde_viewer.commands import delegate
from sonde_wire import codec, local

_READY = 20.0
"""Seconds until the broker must have announced itself."""


class _Announcement(Struct, frozen=True):
    """What matters here of the line that the broker writes when it is ready, or cannot be."""

    error: str = ""


class Up(Struct, frozen=True):
    site: local.Site
    broker: asyncio.subprocess.Process


@contextlib.asynccontextmanager
async def up(listen: str | None, bus: str | None, history: str | None = None) -> AsyncIterator[Up]:
    """Raises `ChildFailed`. Tokens travel in the site's file, never on a command line."""
    reading, writing = os.pipe()
    options = [*_option("--listen", listen), *_option("--bus", bus), *_option("--history", history)]
    command = delegate.line("sonde_broker", "serve", "--site", "--announce-fd", str(writing), *options)
    async with children.child(command, keep=[writing]) as broker:
        os.close(writing)
        line = await children.announced(reading, broker, "broker", _READY)
        problem = codec.decode(line, _Announcement).error
        if problem:
            raise ChildFailed("broker", f"could not start: {problem}")
        site = local.read()
        if site is None:
            raise ChildFailed("broker", f"left no site file at {local.path()}")
        yield Up(site, broker)


def _option(name: str, value: str | None) -> list[str]:
    return [] if value is None else [name, value]
