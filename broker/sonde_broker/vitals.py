"""How the broker is, read from its parts when somebody asks: for /readyz and for /metrics. Nothing is counted here."""

import msgspec

from sonde_broker.agents import Agents
from sonde_broker.counts import Counts, Levels
from sonde_broker.health import Health
from sonde_broker.relay import Relay
from sonde_broker.store import Store
from sonde_broker.viewers import Viewers


class Vitals:
    """`viewers` and `store` are set when they are there."""

    def __init__(self, counts: Counts, relay: Relay, agents: Agents) -> None:
        self.viewers: Viewers | None = None
        self.store: Store | None = None
        self.draining = False
        """The broker was told to stop, and sends its viewers to another one."""
        self._counts = counts
        self._relay = relay
        self._agents = agents

    def health(self) -> Health:
        history = self._relay.store_status
        return Health(
            bus_up=self._relay.bus_up,
            history=history.store,
            history_problem=history.problem,
            draining=self.draining,
        )

    def levels(self) -> Levels:
        """And brings `counts` up to date with what the parts count themselves."""
        self._counts.messages_malformed = self._agents.malformed
        self._counts.messages_dropped = self._agents.dropped
        waiting = 0
        if self.store is not None:
            self._counts.history_events_stored = self.store.stored
            self._counts.history_events_dropped = self.store.dropped
            waiting = self.store.waiting_bytes
        connected, lagging, unsent = self.viewers.levels() if self.viewers is not None else (0, 0, 0)
        return msgspec.structs.replace(
            self._relay.levels(),
            draining=self.draining,
            viewers=connected,
            viewers_lagging=lagging,
            viewer_bytes_unsent=unsent,
            bus_messages_queued=self._agents.queued,
            history_bytes_queued=waiting,
        )
