"""How the broker is: what /healthz and /readyz say, as a plain value.

Alive is whoever answers. Ready is who reaches the bus and is not about to stop. A history that has failed makes nobody
unready: what is live goes on, and taking all brokers away would end the debugging too. It is said as `degraded`, and it is
a gauge of /metrics to be alarmed by.
"""

from typing import Any, Literal

from msgspec import Struct

from sonde_wire.rpc import StoreState


class Health(Struct, frozen=True, kw_only=True):
    bus_up: bool
    bus_problem: str = ""
    history: StoreState = "none"
    history_problem: str = ""
    draining: bool = False
    """Told to stop: viewers are being sent to another broker."""

    @property
    def ready(self) -> bool:
        return self.bus_up and not self.draining

    @property
    def status(self) -> Literal["ready", "degraded", "not ready"]:
        if not self.ready:
            return "not ready"
        return "degraded" if self.history == "degraded" else "ready"

    def told(self) -> dict[str, Any]:
        """The body of /readyz: each part with its state, and why where it is not well."""
        bus = self.bus_problem or "the broker has no line to the bus"
        history = self.history_problem or "the history has failed; events are relayed only"
        return {
            "status": self.status,
            "parts": {
                "bus": _part("up" if self.bus_up else "down", "" if self.bus_up else bus),
                "history": _part(self.history, history if self.history == "degraded" else ""),
                "viewers": _part(
                    "draining" if self.draining else "served",
                    "the broker was told to stop" if self.draining else "",
                ),
            },
        }


def _part(state: str, problem: str) -> dict[str, str]:
    return {"state": state} | ({"problem": problem} if problem else {})
