"""What the tap reports each second: what only the process itself can count (see `link.Report`)."""

import gc
from typing import Any

from sonde_agent.tap import operations
from sonde_agent.tap.lag import Lag


class Reporter:
    """`read` once a second, in the tap's thread. It imports nothing then, and waits for nothing."""

    def __init__(self) -> None:
        self._lag = Lag()
        self._operations: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """Fields of the wire's `Metrics`; those that there is nothing to say of are left out."""
        stats = gc.get_stats()
        fields: dict[str, Any] = {
            "gc_collections": sum(each["collections"] for each in stats),
            "gc_collected": sum(each["collected"] for each in stats),
            "gc_uncollectable": sum(each["uncollectable"] for each in stats),
        }
        lag = self._lag.read()
        if lag is not None:
            fields["event_loop_lag"] = round(lag, 4)
        if (counted := operations.read()) is not None:
            self._operations = {name: value for name, value in counted.items() if value}
        return {**fields, **self._operations}
