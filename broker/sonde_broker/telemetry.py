"""The broker's own figures in Prometheus' text format, made from `counts` when they are scraped and at no other time.

Names follow https://prometheus.io/docs/practices/naming/: base units, `_total` for what is only ever added to.
"""

import platform
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from sonde_broker.counts import OUTCOMES, Counts, Levels
from sonde_wire import Code

_PREFIX = "sonde_broker"
_COUNTERS = (
    ("events_received", "events_received", "Events that came from the bus."),
    ("events_relayed", "events_relayed", "Events written to viewers, each once for each viewer."),
    ("event_batches_received", "event_batches_received", "Messages with events that came from the bus."),
    ("events_missed", "events_missed", "Numbers of events that never came from the bus."),
    ("metrics_received", "metrics_received", "Metrics messages that came from the bus."),
    ("frames_sent", "viewer_frames_sent", "WebSocket messages written to viewers."),
    ("bytes_sent", "viewer_sent_bytes", "Bytes written to viewers, after compression."),
    ("viewer_gaps", "viewer_gaps", "Gaps that viewers were told of."),
    ("viewers_joined", "viewers_joined", "Viewers that came in."),
    ("viewers_cut_off", "viewers_cut_off", "Viewers that were closed because they read too slowly."),
    ("viewers_refused", "viewers_refused", "Viewers that were not let in."),
    (
        "messages_malformed",
        "bus_messages_malformed",
        "Messages from the bus that were not what they should be.",
    ),
    ("messages_dropped", "bus_messages_dropped", "Messages to the bus that were dropped for want of room."),
    ("bus_connects", "bus_connects", "Lines to the bus that were made."),
    ("history_events_stored", "history_events_stored", "Events that the history has taken."),
    ("history_events_dropped", "history_events_dropped", "Events that the history had no room for in time."),
    ("history_queries", "history_queries", "Questions to the history."),
    ("key_reloads", "key_reloads", "Times that changed keys were taken."),
    ("key_reload_failures", "key_reload_failures", "Times that changed keys were not taken."),
)
"""Field of `Counts`, name without prefix and `_total`, help."""
_GAUGES = (
    ("bus_up", "bus_up", "Whether the broker has a line to the bus."),
    ("draining", "draining", "Whether the broker was told to stop."),
    ("viewers", "viewers", "Viewers that are connected."),
    ("viewers_lagging", "viewers_lagging", "Viewers that cannot keep up."),
    ("viewer_bytes_unsent", "viewer_unsent_bytes", "Bytes that viewers have not read yet."),
    ("groups", "viewer_groups", "Groups of viewers that are told the same."),
    ("bus_filters", "bus_filters", "Subscriptions on the bus."),
    ("bus_messages_queued", "bus_messages_queued", "Messages that wait to be published."),
    ("brokers", "brokers", "Brokers on this bus."),
    ("probes", "probes", "Probes that are set."),
    ("sessions", "sessions", "Debug sessions of this broker's viewers."),
    ("commands_pending", "commands_pending", "Commands that processes have not answered yet."),
    ("history_up", "history_up", "Whether events are being remembered."),
    ("history_bytes_queued", "history_queued_bytes", "Bytes of events that wait to be written."),
)
"""Field of `Levels`, name without prefix, help."""
_LABELLED = (
    ("commands", "outcome", "Commands to processes, by what came of them."),
    ("refusals", "code", "Calls that were refused."),
    ("http_requests", "route,status", "HTTP requests, without WebSockets."),
)
_BUILD = "The release of Sonde and what it runs on."
_PROCESSES = "Processes that are known."
_STATES = ("online", "ended", "lost")


def table_rows() -> Iterator[tuple[str, ...]]:
    """Of docs/configuration.md: the head, then a row for each figure."""
    yield "Figure", "What it is"
    yield f"`{_PREFIX}_build_info{{version,python}}`", _BUILD
    for _, name, text in _COUNTERS:
        yield f"`{_PREFIX}_{name}_total`", text
    for name, label, text in _LABELLED:
        yield f"`{_PREFIX}_{name}_total{{{label}}}`", text
    for _, name, text in _GAUGES:
        yield f"`{_PREFIX}_{name}`", text
    yield f"`{_PREFIX}_processes{{state}}`", _PROCESSES


class Telemetry:
    """`levels` is asked at each scrape."""

    def __init__(self, counts: Counts, levels: Callable[[], Levels], version: str) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Broker(counts, levels, version))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The text and its content type; `accept` is the header of that name."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Broker(Collector):
    def __init__(self, counts: Counts, levels: Callable[[], Levels], version: str) -> None:
        self._counts = counts
        self._levels = levels
        self._version = version

    def describe(self) -> list[Metric]:
        """Nothing is read when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        levels = self._levels()  # first: it may bring the counts up to date
        yield InfoMetricFamily(
            f"{_PREFIX}_build",
            _BUILD,
            {"version": self._version, "python": platform.python_version()},
        )
        yield from self._counters()
        yield from self._gauges(levels)

    def _counters(self) -> Iterator[Metric]:
        counts = self._counts
        for field, name, text in _COUNTERS:
            yield CounterMetricFamily(f"{_PREFIX}_{name}", text, getattr(counts, field))
        values: tuple[dict[tuple[str, ...], int], ...] = (
            {(outcome,): counts.commands.get(outcome, 0) for outcome in OUTCOMES},
            {(code,): counts.refusals.get(code, 0) for code in Code},
            {(route, str(status)): number for (route, status), number in sorted(counts.requests.items())},
        )
        for (name, label, text), samples in zip(_LABELLED, values, strict=True):
            family = CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=label.split(","))
            for labels, number in samples.items():
                family.add_metric(labels, number)
            yield family

    def _gauges(self, levels: Levels) -> Iterator[Metric]:
        for field, name, text in _GAUGES:
            if (value := getattr(levels, field)) is not None:
                yield GaugeMetricFamily(f"{_PREFIX}_{name}", text, float(value))
        processes = GaugeMetricFamily(f"{_PREFIX}_processes", _PROCESSES, labels=["state"])
        for state in _STATES:
            processes.add_metric([state], levels.processes.get(state, 0))
        yield processes
