"""The AsyncAPI 3.0 document of the bus and of the viewers' WebSocket, made from the types.

The application that it describes is the broker, because it alone touches both sides: `send` is what the
broker sends, `receive` what it receives. `python -m sonde_wire.asyncapi` prints the document;
`docs/asyncapi.json` is that text. Specification: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args

import msgspec
from msgspec import Raw, Struct

from sonde_wire import bus, history, looking, probes, rpc, topics
from sonde_wire.addresses import Address
from sonde_wire.errors import Failure
from sonde_wire.topics import Channel

Json = dict[str, Any]

"""On every broker."""

_TEMPLATE = "#/components/schemas/{name}"
_MQTT_BINDING = "0.2.0"
_WEBSOCKET_BINDING = "0.1.0"
_WEBSOCKET_CHANNEL = "viewers"
_RESULTS = (
    bus.Done,
    bus.SessionState,
    bus.LeaseState,
    bus.SeatState,
    looking.Stacks,
    looking.Source,
    looking.Sources,
    looking.Tasks,
    looking.Modules,
    looking.Runtime,
    looking.Diagnosis,
    bus.EventsRead,
)
_DAP = "of the Debug Adapter Protocol, in its own shape"

_PARAMETERS = {
    "shard": "First hexadecimal digit of the SHA-256 of the three next levels with slashes between them",
    "namespace": "First level of the process's address",
    "service": "Second level of the process's address",
    "instance": "Third level of the process's address",
    "broker": "Id of a broker",
    "probe": "Id of a probe",
}


class _Topic(Struct, frozen=True, kw_only=True):
    """One topic of the bus, as the broker meets it."""

    name: str
    address: str
    action: Literal["send", "receive"]
    message: type[Struct]
    summary: str
    qos: int = 0
    retain: bool = False
    correlation: str | None = None
    """Where the id is that ties a command to its reply."""


def _of_process(channel: Channel) -> str:
    root, version, kind, _, *levels = topics.of_process(
        Address("namespace", "service", "instance"), channel
    ).split("/")
    named = (f"{{{level}}}" if level in _PARAMETERS else level for level in ("shard", *levels))
    return "/".join((root, version, kind, *named))


_TOPICS = (
    _Topic(
        name="processPresence",
        address=_of_process(Channel.PRESENCE),
        action="receive",
        message=bus.Presence,
        summary="That a process is there. Retained; also the last will of its sidecar.",
        qos=1,
        retain=True,
    ),
    _Topic(
        name="processEvents",
        address=_of_process(Channel.EVENTS),
        action="receive",
        message=bus.EventBatch,
        summary="What a process tells, in batches; sequence numbers show every hole.",
    ),
    _Topic(
        name="processMetrics",
        address=_of_process(Channel.METRICS),
        action="receive",
        message=bus.Metrics,
        summary="What a process uses; the newest replaces all before it.",
    ),
    _Topic(
        name="processProbes",
        address=_of_process(Channel.PROBES),
        action="receive",
        message=probes.ProbeReport,
        summary="The state of a process's probes; the newest replaces all before it.",
        qos=1,
        retain=True,
    ),
    _Topic(
        name="probes",
        address=topics.of_probe("{probe}"),
        action="send",
        message=probes.Probe,
        summary="A probe that processes are to have. ProbeRemoved takes its place when it is removed.",
        qos=1,
        retain=True,
    ),
    _Topic(
        name="processCommands",
        address=_of_process(Channel.COMMANDS),
        action="send",
        message=bus.Command,
        summary="What a viewer asks of a process; answered on the broker's reply topic.",
        correlation="id",
    ),
    _Topic(
        name="processStored",
        address=_of_process(Channel.STORED),
        action="send",
        message=bus.EventsStored,
        summary="What the history has of a process's events, so that its sidecar need not keep them.",
    ),
    _Topic(
        name="brokerReplies",
        address=topics.replies_to("{broker}"),
        action="receive",
        message=bus.Reply,
        summary="The answers to a broker's commands.",
        correlation="cause",
    ),
    _Topic(
        name="brokerPresence",
        address=topics.presence_of_broker("{broker}"),
        action="send",
        message=bus.BrokerPresence,
        summary="That a broker is there. Retained; also its last will.",
        qos=1,
        retain=True,
    ),
)


def document() -> Json:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sonde",
            "version": topics.ROOT.rpartition("/")[2],
            "description": (
                "The bus (MQTT) and the viewers' WebSocket, as the broker meets them. "
                "MQTT 3.1.1 suffices; ids travel in the payload. A receiver on the bus ignores fields that it "
                "does not know; parameters of a method that are not known are refused."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": {topic.name: _bus_channel(topic) for topic in _TOPICS}
        | {_WEBSOCKET_CHANNEL: _websocket_channel()},
        "operations": dict(_bus_operations()) | dict(_websocket_operations()),
        "components": {
            "messages": {topic.message.__name__: _bus_message(topic) for topic in _TOPICS}
            | _websocket_messages(),
            "schemas": _schemas(),
            "securitySchemes": {
                "account": {
                    "type": "userPassword",
                    "description": "One account for agents, one for brokers, told apart by the server's ACL",
                },
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": (
                        "In the Authorization header, or as the offered subprotocol "
                        f"`{rpc.BEARER_SUBPROTOCOL_PREFIX}<JWT>`"
                    ),
                },
            },
        },
    }


def _servers() -> Json:
    return {
        "bus": {
            "host": "bus.example:8883",
            "protocol": "secure-mqtt",
            "protocolVersion": "3.1.1",
            "description": "Any MQTT server",
            "security": [{"$ref": "#/components/securitySchemes/account"}],
        },
        "broker": {
            "host": "broker.example",
            "protocol": "wss",
            "description": "Any broker",
            "security": [{"$ref": "#/components/securitySchemes/token"}],
        },
    }


def _bus_channel(topic: _Topic) -> Json:
    name = topic.message.__name__
    retained = "retained" if topic.retain else "not retained"
    return {
        "address": topic.address,
        "summary": topic.summary,
        "description": f"QoS {topic.qos}, {retained}.",
        "servers": [{"$ref": "#/servers/bus"}],
        "parameters": {
            level[1:-1]: {"description": _PARAMETERS[level[1:-1]]}
            for level in topic.address.split("/")
            if level.startswith("{")
        },
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _bus_operations() -> Iterator[tuple[str, Json]]:
    """One for each topic, but for the replies: they belong to the operation that is replied to."""
    for topic in _TOPICS:
        if topic.message is bus.Reply:
            continue
        operation: Json = {
            "action": topic.action,
            "channel": {"$ref": f"#/channels/{topic.name}"},
            "summary": topic.summary,
            "messages": [{"$ref": f"#/channels/{topic.name}/messages/{topic.message.__name__}"}],
            "bindings": {
                "mqtt": {"qos": topic.qos, "retain": topic.retain, "bindingVersion": _MQTT_BINDING},
            },
        }
        if topic.message is bus.Command:
            operation["reply"] = {
                "channel": {"$ref": "#/channels/brokerReplies"},
                "messages": [{"$ref": "#/channels/brokerReplies/messages/Reply"}],
            }
        yield topic.name, operation


def _bus_message(topic: _Topic) -> Json:
    message: Json = {
        "name": topic.message.__name__,
        "summary": topic.summary,
        "payload": _reference(topic.message),
    }
    if topic.correlation is not None:
        message["correlationId"] = {"location": f"$message.payload#/{topic.correlation}"}
    return message


def _websocket_channel() -> Json:
    return {
        "address": rpc.WEBSOCKET_PATH,
        "summary": f"JSON-RPC 2.0, subprotocol `{rpc.SUBPROTOCOL}`",
        "description": f"The broker closes it with {_close_codes()}.",
        "servers": [{"$ref": "#/servers/broker"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _websocket_messages()},
        "bindings": {"ws": {"method": "GET", "bindingVersion": _WEBSOCKET_BINDING}},
    }


def _close_codes() -> str:
    prefix = "CLOSE_"
    codes = {value: name for name, value in vars(rpc).items() if name.startswith(prefix)}
    return ", ".join(
        f"{value} ({codes[value].removeprefix(prefix).replace('_', ' ').lower()})" for value in sorted(codes)
    )


def _websocket_operations() -> Iterator[tuple[str, Json]]:
    channel = f"#/channels/{_WEBSOCKET_CHANNEL}"
    for name, method in rpc.METHODS.items():
        yield (
            name,
            {
                "action": "receive",
                "channel": {"$ref": channel},
                "summary": method.summary,
                "description": f"Needs {_need(method)}.",
                "messages": [{"$ref": f"{channel}/messages/{name}.request"}],
                "reply": {
                    "channel": {"$ref": channel},
                    "messages": [
                        {"$ref": f"{channel}/messages/{name}.result"},
                        {"$ref": f"{channel}/messages/error"},
                    ],
                },
            },
        )
    for name, (_, summary) in rpc.NOTIFICATIONS.items():
        yield (
            f"notify.{name}",
            {
                "action": "send",
                "channel": {"$ref": channel},
                "summary": summary,
                "messages": [{"$ref": f"{channel}/messages/{name}.notification"}],
            },
        )


def _need(method: rpc.Method) -> str:
    if method.scope is not None:
        return f"the scope `{method.scope}`"
    return "the scope of the DAP request inside" if method.params is rpc.DapCall else "any valid token"


def _websocket_messages() -> Json:
    messages: Json = {}
    correlation = {"location": "$message.payload#/id"}
    for name, method in rpc.METHODS.items():
        some = any(field.required for field in msgspec.structs.fields(method.params))
        result = {"type": "object", "description": f"A response {_DAP}"}
        messages[f"{name}.request"] = {
            "name": f"{name}.request",
            "summary": method.summary,
            "correlationId": correlation,
            "payload": _frame(
                rpc.Request,
                {"method": {"const": name}, "params": _reference(method.params)},
                required=["params"] if some else [],
            ),
        }
        messages[f"{name}.result"] = {
            "name": f"{name}.result",
            "correlationId": correlation,
            "payload": _frame(
                rpc.Response,
                {"result": result if method.result is Raw else _reference(method.result)},
                required=["result"],
            ),
        }
    messages["error"] = {
        "name": "error",
        "summary": "Why a request was not done",
        "correlationId": correlation,
        "payload": _frame(rpc.Response, {}, required=["error"]),
    }
    for name, (params, summary) in rpc.NOTIFICATIONS.items():
        messages[f"{name}.notification"] = {
            "name": f"{name}.notification",
            "summary": summary,
            "payload": _frame(
                rpc.Notification, {"method": {"const": name}, "params": _reference(params)}, required=[]
            ),
        }
    return messages


def _frame(kind: type[Struct], properties: Json, *, required: list[str]) -> Json:
    """A JSON-RPC frame whose open fields are pinned to one method."""
    narrowed: Json = {"type": "object", "properties": properties}
    if required:
        narrowed["required"] = required
    return {"allOf": [_reference(kind), narrowed]}


def _reference(kind: type[Struct]) -> Json:
    return {"$ref": _TEMPLATE.format(name=kind.__name__)}


def _any_of(kinds: Iterable[type[Struct]]) -> Json:
    return {"anyOf": [_reference(kind) for kind in kinds]}


def _schemas() -> Json:
    """Of every message and what it holds, by name."""
    kinds: list[Any] = [topic.message for topic in _TOPICS]
    kinds += [
        *get_args(bus.AnyEvent),
        *_RESULTS,
        probes.ProbeRemoved,
        rpc.Request,
        rpc.Response,
        rpc.Notification,
        Failure,
    ]
    kinds += [method.params for method in rpc.METHODS.values()]
    kinds += [method.result for method in rpc.METHODS.values() if method.result is not Raw]
    kinds += [params for params, _ in rpc.NOTIFICATIONS.values()]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_TEMPLATE)
    for (kind, field), inside in _inside_raw().items():
        schemas[kind.__name__]["properties"][field] = inside
    return {name: _tidy(schemas[name]) for name in sorted(schemas)}


def _inside_raw() -> Mapping[tuple[type[Struct], str], Json]:
    """What stands where the types say `Raw`, which has no schema of its own."""
    event = {"type": "object", "description": f"An event {_DAP}"}
    request = {"type": "object", "description": f"A request {_DAP}"}
    events = {"type": "array", "items": _any_of(get_args(bus.AnyEvent))}
    return {
        (bus.EventBatch, "events"): events,
        (rpc.EventItems, "events"): events,
        (rpc.ProbeResults, "events"): events,
        (history.EventPage, "events"): events,
        (bus.EventsRead, "events"): events,
        (rpc.PresenceItems, "presence"): {"type": "array", "items": _reference(bus.Presence)},
        (rpc.MetricItems, "metrics"): {"type": "array", "items": _reference(bus.Metrics)},
        (bus.DapEvent, "message"): event,
        (bus.Output, "message"): event,
        (bus.Dap, "request"): request,
        (rpc.DapCall, "request"): request,
        (bus.SessionState, "capabilities"): {"type": "object", "description": f"Capabilities {_DAP}"},
        (bus.SessionState, "stops"): {
            "type": "array",
            "items": {"type": "object", "description": f"Body of a `stopped` event {_DAP}"},
        },
        (bus.SessionState, "threads"): {
            "type": "array",
            "items": {"type": "object", "description": f"A Thread {_DAP}"},
        },
        (bus.BreakpointSet, "breakpoints"): {
            "type": "array",
            "items": {"type": "object", "description": f"A Breakpoint {_DAP}"},
        },
        (bus.Reply, "result"): {
            "description": "By the operation that was asked; for `dap` the whole DAP response",
            **_any_of(_RESULTS),
        },
    }


def _tidy(schema: Any) -> Any:
    """Without `discriminator`, which in AsyncAPI must be the name of a schema (ours is the constant in each
    one's `type`), and with docstrings indented in the same way by each version of Python."""
    if isinstance(schema, dict):
        tidy = {key: _tidy(each) for key, each in schema.items() if key != "discriminator"}
        if isinstance(description := tidy.get("description"), str):
            tidy["description"] = inspect.cleandoc(description)
        return tidy
    return [_tidy(each) for each in schema] if isinstance(schema, list) else schema


def text() -> str:
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
