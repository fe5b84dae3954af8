"""The AsyncAPI document is valid AsyncAPI 3.0, and true of the golden messages."""

import json
from pathlib import Path
from typing import Any

import pytest

from sonde_wire import asyncapi

jsonschema = pytest.importorskip("jsonschema")  # not among what every interpreter's environment has

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
DOCUMENT = asyncapi.document()


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
        case "events_read":
            return "#/components/schemas/EventsRead", value
        case "stored":
            return message.format("EventsStored"), value
        case "reply":
            return message.format("Reply"), value
        case "probe":
            return message.format("Probe"), value
        case "probe_removed":
            return "#/components/schemas/ProbeRemoved", value
        case "probe_report":
            return message.format("ProbeReport"), value
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


def test_the_document_is_valid_asyncapi_3() -> None:
    schema = json.loads((HERE / "asyncapi-3.0.0.json").read_text())
    problems = [
        f"{error.json_path}: {error.message}"
        for error in jsonschema.Draft7Validator(schema).iter_errors(DOCUMENT)
    ]
    assert problems == []


def test_the_validator_notices_a_broken_document() -> None:
    schema = json.loads((HERE / "asyncapi-3.0.0.json").read_text())
    for broken in (
        {**DOCUMENT, "asyncapi": "2.6.0"},
        {**DOCUMENT, "operations": {"x": {"action": "shout", "channel": {"$ref": "#/channels/viewers"}}}},
        {**DOCUMENT, "channels": {"x": {"addres": "/"}}},
    ):
        assert not jsonschema.Draft7Validator(schema).is_valid(broken)


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_a_schema_is_a_json_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


@pytest.mark.parametrize("golden", sorted(each.stem for each in GOLDEN.glob("*.json") if each.stem != "site"))
def test_a_golden_message_meets_the_schema_of_its_message(golden: str) -> None:
    pointer, value = payload_of(golden)
    validator = jsonschema.Draft202012Validator({"$ref": pointer, "components": DOCUMENT["components"]})
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)] == []
