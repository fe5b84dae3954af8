"""What comes off the bus: what is told to the core, and what is refused."""

import msgspec
import pytest

from sonde_broker import ingress
from sonde_broker.relay_io import (
    BrokerSeen,
    EventsSeen,
    Header,
    MetricsSeen,
    PresenceCleared,
    PresenceSeen,
    ProbeSeen,
    ProbesReported,
    ReplySeen,
)
from sonde_wire import Address, MalformedMessage, bus, codec, topics
from sonde_wire.probes import ProbeRemoved, ProbeReport
from tests.broker.messages import (
    BOOT,
    CART,
    CHECKOUT,
    OTHER_BOOT,
    batch,
    metrics,
    presence,
    session_closed,
    started,
)

TOPIC = f"sonde/v1/process/b/{CHECKOUT}"
ADDRESS = Address.parse(CHECKOUT)


def read(channel: str, message: object) -> object:
    return ingress.read(
        f"{TOPIC}/{channel}", message if isinstance(message, bytes) else codec.encode(message), "b1"
    )


def test_each_channel_has_its_happening() -> None:
    assert read("presence", presence()) == PresenceSeen(ADDRESS, presence(), codec.encode(presence()))
    assert read("metrics", metrics()) == MetricsSeen(ADDRESS, codec.encode(metrics()))
    header = Header("process_started", CHECKOUT, BOOT, 1, 1000.0)
    assert read("events", batch(started(1))) == EventsSeen(ADDRESS, batch(started(1)), (header,))
    reply = bus.Reply(process=CHECKOUT, boot=BOOT, cause="c", result=codec.raw({}))
    told = ingress.read("sonde/v1/broker/b1/replies", codec.encode(reply), "b1")
    assert isinstance(told, ReplySeen)
    assert told.reply.cause == "c"


def test_probes_and_what_processes_say_of_theirs_are_told() -> None:
    said = ProbeReport(process=CHECKOUT, boot=BOOT, time=1.0)
    assert read("probes", said) == ProbesReported(ADDRESS, said)
    assert read("probes", b"") == ProbesReported(ADDRESS, None)
    removed = ProbeRemoved(id="probeaaaaa", time=1.0, expires=2.0)
    told = ingress.read("sonde/v1/probe/probeaaaaa", codec.encode(removed), "b1")
    assert told == ProbeSeen("probeaaaaa", removed)
    assert ingress.read("sonde/v1/probe/probeaaaaa", b"", "b1") == ProbeSeen("probeaaaaa", None)


@pytest.mark.parametrize(
    "payload",
    [
        codec.encode(ProbeRemoved(id="probebbbbb", time=1.0, expires=2.0)),
        b"{}",
        b'{"type":"probe"}',
        b"\xff",
        b" " * (3 * 1024 * 1024),
    ],
    ids=range(5),
)
def test_probes_that_no_correct_broker_publishes_are_refused(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        ingress.read("sonde/v1/probe/probeaaaaa", payload, "b1")


def test_other_brokers_are_told() -> None:
    online = bus.BrokerPresence(broker="b2", state="online", time=1.0, store="0f")
    topic = topics.presence_of_broker("b2")
    assert ingress.read(topic, codec.encode(online), "b1") == BrokerSeen("b2", online)
    assert ingress.read(topic, b"", "b1") == BrokerSeen("b2", None)
    with pytest.raises(MalformedMessage):
        ingress.read(topics.presence_of_broker("b3"), codec.encode(online), "b1")


def test_what_carries_values_and_what_was_printed_is_told_apart() -> None:
    printed = bus.Output(process=CHECKOUT, boot=BOOT, seq=2, time=1.0, message=msgspec.Raw(b"{}"))
    logged = bus.ProbeLogged(
        process=CHECKOUT,
        boot=BOOT,
        seq=3,
        time=1.0,
        probe="abcdefghij",
        hit=1,
        message="m",
        path="a.py",
        line=1,
    )
    told = read("events", batch(started(1), printed, logged))
    assert isinstance(told, EventsSeen)
    assert (told.outputs, told.brought) == ((1,), (2,))
    rest = told.after(1)
    assert (rest.outputs, rest.brought, rest.batch.first) == ((0,), (1,), 2)
    assert [each.seq for each in rest.headers] == [2, 3]


def test_an_empty_presence_was_cleared() -> None:
    assert read("presence", b"") == PresenceCleared(ADDRESS)


@pytest.mark.parametrize(
    "topic",
    [
        "sonde/v1/broker/b2/replies",
        f"{TOPIC}/commands",
        f"{TOPIC}/stored",
        f"{TOPIC}/events/more",
        "sonde/v1/process/b/Shop/checkout/pod-1/events",
        "sonde/v1/process/c/shop/checkout/pod-1/events",
        "sonde/v2/process/b/shop/checkout/pod-1/events",
        "other",
        "",
    ],
)
def test_other_topics_are_not_for_us(topic: str) -> None:
    assert ingress.read(topic, b"whatever", "b1") is None


def test_sessions_that_a_batch_closes_are_told() -> None:
    told = read("events", batch(started(1), session_closed(2, "s1"), session_closed(3, "s2")))
    assert isinstance(told, EventsSeen)
    assert told.closed_sessions == ("s1", "s2")


def forged(**more: object) -> bytes:
    """A batch of one event, with some of its fields, or its event's, replaced."""
    good = msgspec.json.decode(codec.encode(batch(started(1))))
    event = good["events"][0] | {key: value for key, value in more.items() if key in good["events"][0]}
    inner = more.pop("inner", {})
    assert isinstance(inner, dict)
    return codec.encode(good | more | {"events": [event | inner]})


@pytest.mark.parametrize(
    "payload",
    [
        forged(process=CART),
        forged(inner={"process": CART}),
        forged(inner={"boot": OTHER_BOOT}),
        forged(inner={"seq": 2}),
        forged(inner={"seq": 0}),
        forged(inner={"type": 1}),
        forged(first=0, last=0),
        forged(last=2),
        forged(boot="short"),
        forged(type="metrics"),
        codec.encode(msgspec.json.decode(codec.encode(batch(started(1)))) | {"events": []}),
        codec.encode(batch(started(1), started(3))),
        codec.encode(batch(started(2), started(1))),
        b'{"type":"events"}',
        codec.encode(batch(started(1)))[:-1] + b',"x":"\xff"}',
        codec.encode(batch(started(1))) + b" " * (1024 * 1024),
    ],
    ids=range(16),
)
def test_batches_that_no_correct_agent_publishes_are_refused(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read("events", payload)


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        ("presence", presence(CART)),
        ("metrics", metrics(CART)),
        ("probes", ProbeReport(process=CART, boot=BOOT, time=1.0)),
    ],
)
def test_a_message_that_names_another_process_than_its_topic_is_refused(
    channel: str, message: object
) -> None:
    with pytest.raises(MalformedMessage, match="another process"):
        read(channel, message)


def test_bytes_that_are_no_text_are_refused_even_where_nobody_looks() -> None:
    raw = codec.encode(
        bus.DapEvent(process=CHECKOUT, boot=BOOT, seq=1, time=1.0, message=codec.raw({"output": "X"}))
    )
    message = bus.EventBatch(
        process=CHECKOUT, boot=BOOT, first=1, last=1, events=(msgspec.Raw(raw.replace(b"X", b"\xff")),)
    )
    with pytest.raises(MalformedMessage, match="UTF-8"):
        read("events", message)
