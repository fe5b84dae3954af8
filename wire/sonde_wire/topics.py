"""Every MQTT topic of Sonde, built and read here and nowhere else. The version is a level of each topic.

A process's topics are sonde/v1/process/<shard>/<namespace>/<service>/<instance>/<channel>:

presence   retained, QoS 1, last will              sidecar ->
events     batches, QoS 0                          sidecar ->
metrics    newest wins, QoS 0                      sidecar ->
probes     state of its probes, retained, QoS 1    sidecar ->
commands   QoS 0, answered by a reply              -> sidecar
stored     what the history has of it, QoS 0       -> sidecar

and beside them there are:

sonde/v1/probe/<probe>               desired state, retained, QoS 1   -> sidecar
sonde/v1/broker/<broker>/replies     QoS 0                            sidecar ->
sonde/v1/broker/<broker>/presence    retained, QoS 1, last will       broker ->

The shard follows from the process's name. It is there so that a subscription, a bridge or an access list can take a
part of a fleet whose services are of very different size: brokers divide the shards among themselves.
"""

import hashlib
from enum import StrEnum
from functools import lru_cache

from sonde_wire.addresses import Address, Selector
from sonde_wire.errors import InvalidAddress

ROOT = "sonde/v1"
_PROCESS = f"{ROOT}/process"
_BROKER = f"{ROOT}/broker"
_PROBE = f"{ROOT}/probe"

_EVERY = Selector()
SHARDS = tuple("0123456789abcdef")
"""The first hexadecimal digit of the SHA-256 of a process's name says in which it is."""


_DOT = ":"
"""Stands for a dot of a name, because NATS before 2.10 closes the connection at a topic with one. No name has a colon."""


class Channel(StrEnum):
    """The last level of a process's topic."""

    PRESENCE = "presence"
    EVENTS = "events"
    METRICS = "metrics"
    PROBES = "probes"
    COMMANDS = "commands"
    STORED = "stored"


@lru_cache(maxsize=32768)
def shard_of(address: Address) -> str:
    return hashlib.sha256(str(address).encode()).hexdigest()[0]


def _without_dots(names: str) -> str:
    return names.replace(".", _DOT)


def of_process(address: Address, channel: Channel) -> str:
    return f"{_PROCESS}/{shard_of(address)}/{_without_dots(str(address))}/{channel}"


@lru_cache(maxsize=32768)
def read_process(topic: str) -> tuple[Address, Channel] | None:
    """The process and channel that a topic names, or None when it is not a process's topic."""
    levels = topic.split("/")
    if len(levels) != 8 or levels[:3] != _PROCESS.split("/") or "." in topic:
        return None
    try:
        names = (level.replace(_DOT, ".") for level in levels[4:7])
        address, channel = Address(*names), Channel(levels[7])
    except (InvalidAddress, ValueError):
        return None
    return (address, channel) if levels[3] == shard_of(address) else None


def processes(channel: Channel, selector: Selector = _EVERY, shard: str = "+") -> str:
    """The filter for one channel of the processes of a selector. It matches more than the selector does where that has a
    prefix, which MQTT's filters have no word for."""
    exact = selector.address
    if exact is not None:
        return of_process(exact, channel)
    levels = (selector.namespace, selector.service, selector.instance)
    named = "/".join("+" if level.endswith("*") else level for level in levels)
    return f"{_PROCESS}/{shard}/{_without_dots(named)}/{channel}"


def replies_to(broker: str) -> str:
    return f"{_BROKER}/{broker}/replies"


def presence_of_broker(broker: str) -> str:
    return f"{_BROKER}/{broker}/presence"


def all_brokers() -> str:
    return f"{_BROKER}/+/presence"


def read_broker_presence(topic: str) -> str | None:
    """The broker whose presence topic this is, or None."""
    levels = topic.split("/")
    return levels[3] if len(levels) == 5 and topic == presence_of_broker(levels[3]) else None


def of_probe(probe: str) -> str:
    return f"{_PROBE}/{probe}"


def all_probes() -> str:
    return f"{_PROBE}/+"


def read_probe(topic: str) -> str | None:
    """The probe whose topic this is, or None."""
    levels = topic.split("/")
    return levels[3] if len(levels) == 4 and topic == of_probe(levels[3]) else None


AGENT_MAY_PUBLISH = (f"{_PROCESS}/#", f"{_BROKER}/+/replies")
AGENT_MAY_SUBSCRIBE = (
    f"{_PROCESS}/+/+/+/+/{Channel.COMMANDS}",
    f"{_PROCESS}/+/+/+/+/{Channel.STORED}",
    f"{_BROKER}/+/presence",
    f"{_PROBE}/+",
)
BROKER_MAY_PUBLISH = ("sonde/#",)
BROKER_MAY_SUBSCRIBE = ("sonde/#",)
