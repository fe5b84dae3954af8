"""The viewer's side of Sonde: a client library, the command line and the built page.

    async with sonde_viewer.connect() as viewer:
        shop = await viewer.process("shop")
        async with viewer.debug(shop) as session:
            await session.set_breakpoints("/app/shop.py", [10])
            stop = await session.stopped(within=30)
            print(await session.evaluate("cart"))

The names below are loaded when first used: `sonde run` starts in images where only the tap's own dependencies
are installed, and this package is imported on its way.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sonde_viewer.client import Viewer, connect
    from sonde_viewer.errors import (
        AmbiguousProcess,
        ConnectionLost,
        DapError,
        NoAnswer,
        Refused,
        SessionClosed,
        ViewerError,
    )
    from sonde_viewer.replay import Replay
    from sonde_viewer.resuming import follow
    from sonde_viewer.session import DebugSession
    from sonde_viewer.stops import Stop
    from sonde_viewer.watch import Watch

__all__ = [
    "AmbiguousProcess",
    "ConnectionLost",
    "DapError",
    "DebugSession",
    "NoAnswer",
    "Refused",
    "Replay",
    "SessionClosed",
    "Stop",
    "Viewer",
    "ViewerError",
    "Watch",
    "connect",
    "follow",
]

_HOMES = {
    "Viewer": "client",
    "connect": "client",
    "follow": "resuming",
    "Replay": "replay",
    "DebugSession": "session",
    "Stop": "stops",
    "Watch": "watch",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
