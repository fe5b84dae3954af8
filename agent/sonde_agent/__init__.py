"""Sonde's agent: the tap inside a process, and the sidecar beside it.

    import sonde_agent
    sonde_agent.start(service="checkout")

or, without touching the program, `sonde run app.py`. `start` returns at once; everything else happens in one
daemon thread that never raises, prints or holds the program up. Importing this package imports nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sonde_agent.classic.errors import DebugpyServerError, ExposedServerWarning, PortInUse
    from sonde_agent.classic.server import DebugpyServer, ServerInfo
    from sonde_agent.classic.several import DebugpyServerManager
    from sonde_agent.tap.guest import Status
    from sonde_agent.tap.operations import operation

VERSION = "0.1.0"

__all__ = [
    "VERSION",
    "DebugpyServer",
    "DebugpyServerError",
    "DebugpyServerManager",
    "ExposedServerWarning",
    "PortInUse",
    "ServerInfo",
    "is_running",
    "operation",
    "start",
    "status",
    "stop",
]

_FOUND_IN = {
    "DebugpyServer": "sonde_agent.classic.server",
    "DebugpyServerError": "sonde_agent.classic.errors",
    "DebugpyServerManager": "sonde_agent.classic.several",
    "ExposedServerWarning": "sonde_agent.classic.errors",
    "PortInUse": "sonde_agent.classic.errors",
    "ServerInfo": "sonde_agent.classic.server",
    "operation": "sonde_agent.tap.operations",
}


def __getattr__(name: str) -> object:
    """What most programs never ask for is imported when somebody does."""
    if (module := _FOUND_IN.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(module), name)
    return found


def start(
    service: str | None = None,
    *,
    namespace: str | None = None,
    instance: str | None = None,
    labels: "Mapping[str, str] | None" = None,
    sidecar: str | None = None,
    bus: str | None = None,
) -> None:
    """Makes this process visible; does nothing when it is already.

    What is not given is taken from SONDE_SERVICE, SONDE_NAMESPACE, SONDE_INSTANCE, SONDE_LABELS (`k=v,k=v`) and
    SONDE_SIDECAR, then guessed. Without a `sidecar` the tap starts one of its own, which talks to `bus`. Raises
    `ValueError` for a name or an address that cannot be one; nothing has been started then.
    """
    from sonde_agent.tap import guest

    guest.start(service, namespace, instance, labels, sidecar, bus)


def stop() -> None:
    """Takes leave of the sidecar and ends the tap; a debugger that was attached is gone afterwards."""
    from sonde_agent.tap import guest

    guest.stop()


def is_running() -> bool:
    """True from `start` until `stop` or until the sidecar refuses the tap; in a forked child as in its parent."""
    from sonde_agent.tap import guest

    return guest.is_running()


def status() -> "Status":
    """What the tap does now, and why when it does nothing."""
    from sonde_agent.tap import guest

    return guest.status()
