"""A message off the bus to a `Happening`. Pure; raises `MalformedMessage` for what no correct agent publishes.

The bus is an untrusted carrier: sizes are bounded, text must be UTF-8 (it is copied into WebSocket text
messages, and one bad byte would cost every viewer its connection), and the process named inside must be the
one whose topic it came on, for each event of a batch too.
"""

from msgspec import Struct

from sonde_broker.relay_io import (
    BrokerSeen,
    EventsSeen,
    Happening,
    Header,
    MetricsSeen,
    PresenceCleared,
    PresenceSeen,
    ProbeSeen,
    ProbesReported,
    ReplySeen,
)
from sonde_wire import Address, MalformedMessage, bus, codec
from sonde_wire.probes import ProbeMessage, ProbeReport
from sonde_wire.topics import Channel, read_broker_presence, read_probe, read_process, replies_to

MOST_BYTES = {
    Channel.PRESENCE: 64 * 1024,
    Channel.EVENTS: 1024 * 1024,
    Channel.METRICS: 128 * 1024,
    Channel.PROBES: 512 * 1024,
}
MOST_PROBE = 2 * 1024 * 1024
MOST_BROKER = 4 * 1024
MOST_REPLY = 4 * 1024 * 1024
MOST_EVENTS = 10_000
"""Of one batch."""


class _MetricsHeader(Struct, frozen=True, tag_field="type", tag="metrics"):
    process: str


def read(topic: str, payload: bytes, broker: str) -> Happening | None:
    """None: not for us."""
    if topic == replies_to(broker):
        _check_text(payload, MOST_REPLY, "reply")
        return ReplySeen(codec.decode(payload, bus.Reply))
    if (probe := read_probe(topic)) is not None:
        return _read_probe(probe, payload)
    if (other := read_broker_presence(topic)) is not None:
        return _read_broker(other, payload)
    named = read_process(topic)
    if named is None:
        return None
    process, channel = named
    if channel is Channel.COMMANDS or channel is Channel.STORED:
        return None
    if channel is Channel.PRESENCE and not payload:
        return PresenceCleared(process)
    if channel is Channel.PROBES and not payload:
        return ProbesReported(process, None)
    _check_text(payload, MOST_BYTES[channel], channel)
    match channel:
        case Channel.PRESENCE:
            presence = codec.decode(payload, bus.Presence)
            _check_process(presence.process, str(process), channel)
            return PresenceSeen(process, presence, payload)
        case Channel.METRICS:
            metrics = codec.decode(payload, _MetricsHeader)
            _check_process(metrics.process, str(process), channel)
            return MetricsSeen(process, payload)
        case Channel.EVENTS:
            batch = codec.decode(payload, bus.EventBatch)
            _check_process(batch.process, str(process), channel)
            return _read_events(process, batch)
        case Channel.PROBES:
            report = codec.decode(payload, ProbeReport)
            _check_process(report.process, str(process), channel)
            return ProbesReported(process, report)


def _read_probe(probe: str, payload: bytes) -> ProbeSeen:
    if not payload:
        return ProbeSeen(probe, None)
    _check_text(payload, MOST_PROBE, "probe")
    message: ProbeMessage = codec.decode(payload, ProbeMessage)  # type: ignore[arg-type] # a union
    if message.id != probe:
        raise MalformedMessage("probe", "it names another than its topic")
    return ProbeSeen(probe, message)


def _read_broker(broker: str, payload: bytes) -> BrokerSeen:
    if not payload:
        return BrokerSeen(broker, None)
    _check_text(payload, MOST_BROKER, "broker presence")
    presence = codec.decode(payload, bus.BrokerPresence)
    if presence.broker != broker:
        raise MalformedMessage("broker presence", "it names another than its topic")
    return BrokerSeen(broker, presence)


def _check_text(payload: bytes, most: int, what: str) -> None:
    if len(payload) > most:
        raise MalformedMessage(what, f"{len(payload)} bytes, more than {most}")
    try:
        str(payload, "utf-8")
    except UnicodeDecodeError:
        raise MalformedMessage(what, "not UTF-8") from None


def _check_process(inside: str, outside: str, what: str) -> None:
    if inside != outside:
        raise MalformedMessage(what, f"it names another process than its topic, {outside}")


def _read_events(process: Address, batch: bus.EventBatch) -> EventsSeen:
    """Of each event the header is read, once; its body is only copied from here on."""
    if not 1 <= len(batch.events) <= MOST_EVENTS:
        raise MalformedMessage("event batch", f"{len(batch.events)} events")
    headers: list[Header] = []
    closed: list[str] = []
    outputs: list[int] = []
    brought: list[int] = []
    for index, encoded in enumerate(batch.events):
        event = codec.decode(encoded, Header)
        if event.process != batch.process or event.boot != batch.boot:
            raise MalformedMessage("event batch", "an event of another process or boot")
        if event.seq != batch.first + index:
            raise MalformedMessage("event batch", f"event {event.seq} where {batch.first + index} belongs")
        headers.append(event)
        if event.type == "output":
            outputs.append(index)
        elif event.type in bus.WITH_VALUES:
            brought.append(index)
        elif event.type == "session_closed" and event.session is not None:
            closed.append(event.session)
    if batch.last != batch.first + len(headers) - 1:
        raise MalformedMessage(
            "event batch", f"it ends with {batch.first + len(headers) - 1}, not {batch.last}"
        )
    return EventsSeen(process, batch, tuple(headers), tuple(closed), tuple(outputs), tuple(brought))
