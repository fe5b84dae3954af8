"""Whatever bytes arrive, `decode` gives the message or raises `MalformedMessage`, and nothing else."""

import contextlib
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from sonde_wire import bus, codec, rpc
from sonde_wire.dap import Request as DapRequest
from sonde_wire.errors import Failure, MalformedMessage
from sonde_wire.local import Site

KINDS: list[Any] = [
    bus.Presence,
    bus.BrokerPresence,
    bus.AnyEvent,
    bus.EventBatch,
    bus.Metrics,
    bus.Command,
    bus.Reply,
    rpc.Request,
    rpc.Response,
    rpc.Notification,
    DapRequest,
    Failure,
    Site,
    Raw,
    *{method.params for method in rpc.METHODS.values()},
    *{kind for kind, _ in rpc.NOTIFICATIONS.values()},
]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
tags = [
    str(each.__struct_config__.tag)
    for each in (*get_args(bus.AnyEvent), bus.Presence, bus.Command, bus.Reply)
]
near_messages = st.fixed_dictionaries(
    {"type": st.sampled_from(tags)},
    optional={
        "process": st.sampled_from(["a/b/c", "A/b/c", ""]),
        "boot": st.sampled_from(["0" * 32, "0"]),
        "seq": json_values,
        "time": json_values,
        "operation": json_values,
        "result": json_values,
        "message": json_values,
    },
)


@given(st.binary(), st.sampled_from(KINDS))
def test_random_bytes_raise_only_malformed_message(payload: bytes, kind: Any) -> None:
    with contextlib.suppress(MalformedMessage):
        codec.decode(payload, kind)
    with contextlib.suppress(MalformedMessage):
        codec.decode_any(payload)


@given(st.one_of(json_values, near_messages), st.sampled_from(KINDS))
def test_any_json_value_raises_only_malformed_message(value: Any, kind: Any) -> None:
    payload = json.dumps(value).encode()
    try:
        message: Any = codec.decode(payload, kind)
    except MalformedMessage:
        return
    assert codec.decode(codec.encode(message), kind) == message


@given(json_values)
def test_a_plain_value_is_read_back(value: Any) -> None:
    assert codec.decode_any(codec.encode(value)) == value
    assert codec.decode_any(codec.raw(value)) == value


@pytest.mark.parametrize("payload", [b"\xff\xfe", b'"\xff"', b"[" * 100_000, b"", b"{", b"nul"])
def test_what_is_not_json_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        codec.decode_any(payload)
    with pytest.raises(MalformedMessage):
        codec.decode(payload, bus.Presence)


def test_a_lone_surrogate_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        codec.decode('"\ud800"', bus.Presence)
    with pytest.raises(MalformedMessage):
        codec.decode_any('"\ud800"')


def test_a_raw_value_is_copied_verbatim_into_another_message() -> None:
    body = b'{"b": 1,  "a": [1.0, 1e2]}'
    assert body in codec.encode(rpc.Notification(method="gap", params=Raw(body)))


def test_a_batch_is_joined_from_the_bytes_of_its_events() -> None:
    event = codec.raw(bus.ProcessStarted(process="a/b/c", boot="0" * 32, seq=1, time=1.0, pid=7))
    batch = bus.EventBatch(process="a/b/c", boot="0" * 32, first=1, last=1, events=(event,))
    arrived = codec.decode(codec.encode(batch), bus.EventBatch)
    assert bytes(arrived.events[0]) == bytes(event)


def test_the_text_of_a_malformed_message_is_short() -> None:
    with pytest.raises(MalformedMessage) as refusal:
        codec.decode(json.dumps({"type": "x" * 10_000}).encode(), bus.Presence)
    assert len(str(refusal.value)) < 300


def test_a_name_that_ends_in_a_newline_is_malformed() -> None:
    for process, boot in (("a/b/c\n", "0" * 32), ("a/b/c", "0" * 32 + "\n")):
        event = {"type": "process_started", "process": process, "boot": boot, "seq": 1, "time": 1.0, "pid": 7}
        with pytest.raises(MalformedMessage):
            codec.decode(codec.encode(event), bus.ProcessStarted)
