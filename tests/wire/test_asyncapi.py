"""The AsyncAPI document is fresh, whole, and names every topic, method and notification."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sonde_wire import asyncapi, rpc, topics
from sonde_wire.addresses import Address
from sonde_wire.topics import Channel

COMMITTED = Path(__file__).parents[2] / "docs" / "asyncapi.json"
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


def test_the_committed_document_is_what_the_types_say() -> None:
    assert COMMITTED.read_text() == asyncapi.text(), "run: python -m sonde_wire.asyncapi > docs/asyncapi.json"


def test_every_reference_leads_somewhere() -> None:
    for reference in set(references(DOCUMENT)):
        assert resolve(reference), reference


def test_every_topic_is_a_channel() -> None:
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    shard = topics.shard_of(Address("n", "s", "i"))
    marked = {
        "{shard}": shard,
        "{namespace}": "n",
        "{service}": "s",
        "{instance}": "i",
        "{broker}": "b",
        "{probe}": "p",
    }
    filled = set()
    for address in addresses:
        for parameter, level in marked.items():
            address = address.replace(parameter, level)
        filled.add(address)
    built = {topics.of_process(Address("n", "s", "i"), channel) for channel in Channel}
    built |= {
        topics.replies_to("b"),
        topics.presence_of_broker("b"),
        topics.of_probe("p"),
        rpc.WEBSOCKET_PATH,
    }
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
