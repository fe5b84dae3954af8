"""Each wire message has a golden file, and what is decoded from it encodes to the same JSON value again."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from sonde_wire import bus, codec, errors, history, local, looking, probes, rpc

GOLDEN = Path(__file__).parent / "golden"

BUS_MESSAGES: dict[str, Any] = {
    "presence": bus.Presence,
    "broker_presence": bus.BrokerPresence,
    "metrics": bus.Metrics,
    "events": bus.EventBatch,
    "reply": bus.Reply,
    "stored": bus.EventsStored,
    "events_read": bus.EventsRead,
    "probe": probes.Probe,
    "probe_removed": probes.ProbeRemoved,
    "probe_report": probes.ProbeReport,
}
FRAMES: dict[str, Any] = {
    "request": rpc.Request,
    "response": rpc.Response,
    "notification": rpc.Notification,
}
ROOTS = {bus.BusMessage, bus.Event, bus.Operation, probes._Part, rpc.Params, rpc.Method}
"""Structs that never travel themselves: others are derived from them, or they describe a method."""


def type_of(name: str) -> Any:
    """The type that a golden file's name stands for. Raises `LookupError` for a name that means nothing."""
    kind, _, rest = name.partition(".")
    match kind:
        case "event":
            return next(each for each in get_args(bus.AnyEvent) if tag_of(each) == rest)
        case "command":
            return bus.Command
        case "method":
            method, _, side = rest.rpartition(".")
            return {"params": rpc.METHODS[method].params, "result": rpc.METHODS[method].result}[side]
        case "notification":
            return rpc.NOTIFICATIONS[rest][0]
        case "frame":
            return FRAMES[rest.partition(".")[0]]
        case "site":
            return local.Site
        case _:
            return BUS_MESSAGES[kind]


def tag_of(struct: type[msgspec.Struct]) -> str:
    return str(struct.__struct_config__.tag)


def needed() -> Iterator[str]:
    yield from ("presence.online", "presence.ended", "presence.lost")
    yield from ("broker_presence.online", "broker_presence.lost")
    yield from ("metrics", "events", "stored", "reply.result", "reply.failure", "site")
    yield from ("probe_removed", "probe_report", "probe")
    yield from (f"probe.{tag_of(each)}" for each in get_args(probes.Kind) if each is not probes.Snapshot)
    yield from (f"event.{tag_of(each)}" for each in get_args(bus.AnyEvent))
    yield from (f"command.{tag_of(each)}" for each in get_args(bus.AnyOperation))
    for method in rpc.METHODS:
        yield from (f"method.{method}.params", f"method.{method}.result")
    yield from (f"notification.{each}" for each in rpc.NOTIFICATIONS)
    yield from ("frame.request", "frame.response.result", "frame.response.error", "frame.notification")


def structs_within(value: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(value, msgspec.Struct):
        yield type(value)
        for field in value.__struct_fields__:
            yield from structs_within(getattr(value, field))
    elif isinstance(value, tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from structs_within(each)


NAMES = sorted(each.stem for each in GOLDEN.glob("*.json"))


def test_every_message_has_a_golden_file() -> None:
    assert sorted(set(needed()) - set(NAMES)) == []


def test_every_struct_of_the_wire_is_met_in_some_golden_file() -> None:
    met = {
        struct
        for name in NAMES
        for struct in structs_within(codec.decode((GOLDEN / f"{name}.json").read_bytes(), type_of(name)))
    }
    defined = {
        each
        for module in (bus, history, looking, probes, rpc, local)
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, msgspec.Struct) and each.__module__ == module.__name__
    }
    assert defined - ROOTS - met == set()
    assert errors.Failure in met


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_is_decoded_and_encoded_to_the_same_value(name: str) -> None:
    text = (GOLDEN / f"{name}.json").read_text()
    message = codec.decode(text, type_of(name))
    assert json.loads(codec.encode(message)) == json.loads(text)


@pytest.mark.parametrize("name", NAMES)
def test_an_encoded_message_is_decoded_to_an_equal_one(name: str) -> None:
    message = codec.decode((GOLDEN / f"{name}.json").read_bytes(), type_of(name))
    assert codec.decode(codec.encode(message), type_of(name)) == message


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_is_pretty_printed(name: str) -> None:
    text = (GOLDEN / f"{name}.json").read_text()
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("name", [each for each in NAMES if each.startswith(("command.", "event."))])
def test_the_name_of_a_golden_file_is_the_tag_inside(name: str) -> None:
    kind, _, tag = name.partition(".")
    value = json.loads((GOLDEN / f"{name}.json").read_text())
    assert (value["operation"] if kind == "command" else value)["type"] == tag


@pytest.mark.parametrize("name", [each for each in NAMES if each.startswith("event.")])
def test_an_event_is_recognised_among_all_events(name: str) -> None:
    any_event: Any = bus.AnyEvent
    event = codec.decode((GOLDEN / f"{name}.json").read_bytes(), any_event)
    assert type(event) is type_of(name)


@pytest.mark.parametrize(
    "name",
    [
        each
        for each in NAMES
        if each.startswith(("method.", "notification.", "presence", "metrics"))
        and type_of(each) is not msgspec.Raw
    ],
)
def test_a_missing_required_field_is_refused(name: str) -> None:
    kind = type_of(name)
    value = json.loads((GOLDEN / f"{name}.json").read_text())
    for field in msgspec.structs.fields(kind):
        if field.required:
            without = {key: each for key, each in value.items() if key != field.encode_name}
            with pytest.raises(errors.MalformedMessage):
                codec.decode(codec.encode(without), kind)


@pytest.mark.parametrize("name", [each for each in NAMES if each.endswith(".params")])
def test_a_parameter_that_a_method_does_not_know_is_refused(name: str) -> None:
    value = {**json.loads((GOLDEN / f"{name}.json").read_text()), "surprise": 1}
    with pytest.raises(errors.MalformedMessage):
        codec.decode(codec.encode(value), type_of(name))


@pytest.mark.parametrize("name", [each for each in NAMES if each.startswith(("presence", "event", "reply"))])
def test_a_field_that_a_newer_peer_adds_to_a_bus_message_is_ignored(name: str) -> None:
    text = (GOLDEN / f"{name}.json").read_text()
    newer = {**json.loads(text), "surprise": 1}
    assert codec.decode(codec.encode(newer), type_of(name)) == codec.decode(
        codec.encode(json.loads(text)), type_of(name)
    )
