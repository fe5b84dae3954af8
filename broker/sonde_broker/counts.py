"""What a broker has counted since its start, and how much there is of each thing now: plain values, so that a core may
count, and counting costs an addition. `telemetry` reads them when somebody asks.

No name of a process, a person, a selector or a probe is ever counted by: the number of figures stays what it is here.
"""

from typing import Literal

from msgspec import Struct

from sonde_broker.relay_io import BusUp, EventsSeen, Happening, MetricsSeen
from sonde_wire import Code

Outcome = Literal["answered", "failed", "timed_out", "abandoned"]
"""Of a command to a process: with a result, with a failure, not in time, or ended because the process, the bus or the viewer
was gone."""
OUTCOMES: tuple[Outcome, ...] = ("answered", "failed", "timed_out", "abandoned")


class Counts(Struct):
    """Only ever added to."""

    events_received: int = 0
    """From the bus, each once."""
    events_relayed: int = 0
    """To viewers, each once for each viewer."""
    event_batches_received: int = 0
    metrics_received: int = 0
    frames_sent: int = 0
    """WebSocket messages, each once for each viewer."""
    bytes_sent: int = 0
    """To viewers, after compression."""
    events_missed: int = 0
    """Of a process's numbers that never came from the bus."""
    viewer_gaps: int = 0
    """Gaps that viewers were told of."""
    viewers_joined: int = 0
    viewers_cut_off: int = 0
    """Because they read too slowly."""
    viewers_refused: int = 0
    """At the door: host, origin, token, room."""
    messages_malformed: int = 0
    """From the bus."""
    messages_dropped: int = 0
    """That were to go to the bus, and did not for want of room."""
    bus_connects: int = 0
    """Each after the first is a line that was lost."""
    history_events_stored: int = 0
    history_events_dropped: int = 0
    """That were not taken for want of room; their sidecars send them again."""
    history_queries: int = 0
    key_reloads: int = 0
    key_reload_failures: int = 0
    commands: dict[str, int] = {}
    """By `Outcome`."""
    refusals: dict[str, int] = {}
    """Calls that were refused, by code."""
    requests: dict[tuple[str, int], int] = {}
    """HTTP, by route (of a closed list) and status."""

    def happened(self, happening: Happening) -> None:
        """To be told all that the core is told of."""
        match happening:
            case EventsSeen(batch=batch):
                self.event_batches_received += 1
                self.events_received += len(batch.events)
            case MetricsSeen():
                self.metrics_received += 1
            case BusUp():
                self.bus_connects += 1
            case _:
                pass

    def command(self, outcome: Outcome) -> None:
        self.commands[outcome] = self.commands.get(outcome, 0) + 1

    def refused(self, code: Code) -> None:
        self.refusals[code] = self.refusals.get(code, 0) + 1

    def request(self, route: str, status: int) -> None:
        key = (route, status)
        self.requests[key] = self.requests.get(key, 0) + 1


class Levels(Struct, frozen=True, kw_only=True):
    """How much there is now. Read only when somebody asks; None: there is no such thing here."""

    bus_up: bool
    draining: bool = False
    viewers: int = 0
    viewers_lagging: int = 0
    viewer_bytes_unsent: int = 0
    groups: int = 0
    """Of viewers that are told the same."""
    bus_filters: int = 0
    """Subscriptions that this broker has on the bus."""
    bus_messages_queued: int = 0
    processes: dict[str, int] = {}
    """By state: online, ended, lost."""
    brokers: int = 1
    """On this bus, this one included."""
    probes: int = 0
    sessions: int = 0
    """Debug sessions of viewers of this broker."""
    commands_pending: int = 0
    history_up: bool | None = None
    history_bytes_queued: int = 0
