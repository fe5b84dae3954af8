"""The bus: an MQTT server inside this process, or Mosquitto as a child process, behind one face.

async with EmbeddedBus(BusSettings(accounts=(Account(user="agent", password=...),))) as bus:
    connect_to(bus.url)
"""

from sonde_broker.bus.accounts import Account
from sonde_broker.bus.embedded import EmbeddedBus
from sonde_broker.bus.errors import BusError, EngineLost, EngineMissing, InvalidSettings
from sonde_broker.bus.inside import connect_inside, stay_inside
from sonde_broker.bus.mosquitto import MosquittoBus
from sonde_broker.bus.settings import BusSettings, Counters, Limits

__all__ = [
    "Account",
    "BusError",
    "BusSettings",
    "Counters",
    "EmbeddedBus",
    "EngineLost",
    "EngineMissing",
    "InvalidSettings",
    "Limits",
    "MosquittoBus",
    "connect_inside",
    "stay_inside",
]
