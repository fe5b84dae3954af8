"""The AsyncAPI document is fresh, valid, complete, and true of the golden messages."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from sonde_wire import asyncapi, rpc, topics
from sonde_wire.addresses import Address
from sonde_wire.topics import Channel

HERE = Path(__file__).parent
COMMITTED = HERE.parents[1] / "docs" / "asyncapi.json"
GOLDEN = HERE / "golden"
DOCUMENT = asyncapi.document()


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(target := value.get("$ref"), str):
            yield target
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def resolve(reference: str) -> Any:
    value: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        value = value[step]
    return value


def payload_of(golden: str) -> tuple[str, Any]:
    """The pointer to the schema that a golden message must meet, and the message as it travels."""
    value = json.loads((GOLDEN / f"{golden}.json").read_text())
    kind, _, rest = golden.partition(".")
    method = rest.rpartition(".")[0]
    message = "#/components/messages/{}/payload"
    match kind:
        case "presence":
            return message.format("Presence"), value
        case "broker_presence":
            return message.format("BrokerPresence"), value
        case "metrics":
            return message.format("Metrics"), value
        case "events":
            return message.format("EventBatch"), value
        case "event":
            return message.format("events.notification"), notification("events", {"events": [value]})
        case "command":
            return message.format("Command"), value
        case "reply":
            return message.format("Reply"), value
        case "method" if rest.endswith(".params"):
            frame = {"jsonrpc": "2.0", "id": 1, "method": method, "params": value}
            return message.format(f"{method}.request"), frame
        case "method":
            return message.format(f"{method}.result"), {"jsonrpc": "2.0", "id": 1, "result": value}
        case "notification":
            return message.format(f"{rest}.notification"), notification(rest, value)
        case "frame":
            return f"#/components/schemas/{rest.partition('.')[0].capitalize()}", value
        case _:
            raise LookupError(golden)


def notification(method: str, params: Any) -> Any:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def test_the_committed_document_is_what_the_types_say() -> None:
    assert COMMITTED.read_text() == asyncapi.text(), "run: python -m sonde_wire.asyncapi > docs/asyncapi.json"


def test_the_document_is_valid_asyncapi_3() -> None:
    schema = json.loads((HERE / "asyncapi-3.0.0.json").read_text())
    problems = [
        f"{error.json_path}: {error.message}" for error in Draft7Validator(schema).iter_errors(DOCUMENT)
    ]
    assert problems == []


def test_the_validator_notices_a_broken_document() -> None:
    schema = json.loads((HERE / "asyncapi-3.0.0.json").read_text())
    for broken in (
        {**DOCUMENT, "asyncapi": "2.6.0"},
        {**DOCUMENT, "operations": {"x": {"action": "shout", "channel": {"$ref": "#/channels/viewers"}}}},
        {**DOCUMENT, "channels": {"x": {"addres": "/"}}},
    ):
        assert not Draft7Validator(schema).is_valid(broken)


def test_every_reference_leads_somewhere() -> None:
    for reference in set(references(DOCUMENT)):
        assert resolve(reference), reference


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_a_schema_is_a_json_schema(name: str) -> None:
    Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


@pytest.mark.parametrize("golden", sorted(each.stem for each in GOLDEN.glob("*.json") if each.stem != "site"))
def test_a_golden_message_meets_the_schema_of_its_message(golden: str) -> None:
    pointer, value = payload_of(golden)
    validator = Draft202012Validator({"$ref": pointer, "components": DOCUMENT["components"]})
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)] == []


def test_every_topic_is_a_channel() -> None:
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    marked = {"{namespace}": "n", "{service}": "s", "{instance}": "i", "{broker}": "b"}
    filled = set()
    for address in addresses:
        for parameter, level in marked.items():
            address = address.replace(parameter, level)
        filled.add(address)
    built = {topics.of_process(Address("n", "s", "i"), channel) for channel in Channel}
    built |= {topics.replies_to("b"), topics.presence_of_broker("b"), asyncapi.WEBSOCKET_PATH}
    assert filled == built


def test_every_method_and_notification_is_an_operation_and_nothing_else_is() -> None:
    on_the_socket = {
        name
        for name, operation in DOCUMENT["operations"].items()
        if operation["channel"]["$ref"] == "#/channels/viewers"
    }
    assert on_the_socket == set(rpc.METHODS) | {f"notify.{name}" for name in rpc.NOTIFICATIONS}


def test_a_command_and_its_reply_are_tied_by_an_id_in_the_payload() -> None:
    messages = DOCUMENT["components"]["messages"]
    assert messages["Command"]["correlationId"]["location"] == "$message.payload#/id"
    assert messages["Reply"]["correlationId"]["location"] == "$message.payload#/cause"
    reply = DOCUMENT["operations"]["processCommands"]["reply"]
    assert resolve(reply["channel"]["$ref"])["address"] == "sonde/v1/broker/{broker}/replies"


def test_only_the_open_fields_of_a_frame_have_no_schema() -> None:
    without = {
        (name, field)
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for field, inside in schema.get("properties", {}).items()
        if inside == {} or inside.get("items") == {}
    }
    assert without == {("Request", "params"), ("Response", "result"), ("Notification", "params")}
