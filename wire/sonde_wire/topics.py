"""Every MQTT topic of Sonde, built and read here and nowhere else. The version is a level of each topic.

sonde/v1/process/<namespace>/<service>/<instance>/presence   retained, QoS 1, last will       sidecar ->
sonde/v1/process/<namespace>/<service>/<instance>/events     batches, QoS 0                   sidecar ->
sonde/v1/process/<namespace>/<service>/<instance>/metrics    newest wins, QoS 0               sidecar ->
sonde/v1/process/<namespace>/<service>/<instance>/probes     state of its probes, retained, QoS 1   sidecar ->
sonde/v1/process/<namespace>/<service>/<instance>/commands   QoS 0, answered by a reply       -> sidecar
sonde/v1/probe/<probe>                                       desired state, retained, QoS 1   -> sidecar
sonde/v1/broker/<broker>/replies                             QoS 0                            sidecar ->
sonde/v1/broker/<broker>/presence                            retained, QoS 1, last will       broker ->
"""

from enum import StrEnum

from sonde_wire.addresses import Address
from sonde_wire.errors import InvalidAddress

ROOT = "sonde/v1"
_PROCESS = f"{ROOT}/process"
_BROKER = f"{ROOT}/broker"
_PROBE = f"{ROOT}/probe"


class Channel(StrEnum):
    """The last level of a process's topic."""

    PRESENCE = "presence"
    EVENTS = "events"
    METRICS = "metrics"
    PROBES = "probes"
    COMMANDS = "commands"


def of_process(address: Address, channel: Channel) -> str:
    return f"{_PROCESS}/{address}/{channel}"


def read_process(topic: str) -> tuple[Address, Channel] | None:
    """The process and channel that a topic names, or None when it is not a process's topic."""
    levels = topic.split("/")
    if len(levels) != 7 or levels[:3] != _PROCESS.split("/"):
        return None
    try:
        return Address(*levels[3:6]), Channel(levels[6])
    except (InvalidAddress, ValueError):
        return None


def all_processes(channel: Channel) -> str:
    """The filter that matches one channel of every process."""
    return f"{_PROCESS}/+/+/+/{channel}"


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
AGENT_MAY_SUBSCRIBE = (f"{_PROCESS}/+/+/+/{Channel.COMMANDS}", f"{_BROKER}/+/presence", f"{_PROBE}/+")
BROKER_MAY_PUBLISH = ("sonde/#",)
BROKER_MAY_SUBSCRIBE = ("sonde/#",)
