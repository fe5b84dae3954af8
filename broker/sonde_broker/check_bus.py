"""Whether one server of the bus would do: for `--check`."""

import asyncio
import contextlib
import secrets

from sonde_wire import mqtt, topics
from sonde_wire.mqtt import BusConnection, BusLost, BusRefused

PATIENCE = 8.0
"""Seconds for a message to come back."""
_VERSION_WITHIN = 0.5
_VERSION_TOPIC = "$SYS/broker/version"
"""By convention; who has no such topic, or does not let us read it, is as good a server."""


async def there_and_back(url: mqtt.BusUrl) -> str:
    """Raises `BusLost`, also when what is sent does not come back: then the account may not do what a broker does."""
    name = f"check-{secrets.token_hex(6)}"
    topic = topics.replies_to(name)
    try:
        async with asyncio.timeout(PATIENCE), mqtt.connect(url, client_id=f"sonde-{name}") as line:
            await line.subscribe(topic)
            await line.publish(topic, b"{}")
            seen = _Seen(topic)
            await seen.until_back(line)
            told = f"{line.server} answers and speaks MQTT {line.version}"
            with contextlib.suppress(TimeoutError, BusRefused):
                async with asyncio.timeout(_VERSION_WITHIN):
                    await line.subscribe(_VERSION_TOPIC)
                    await seen.until_version(line)
    except TimeoutError:
        raise BusLost(
            url.server,
            f"what was published on {topic} did not come back within {PATIENCE:g} s; "
            f"may this account publish and subscribe {', '.join(topics.BROKER_MAY_PUBLISH)}?",
        ) from None
    return f"{told}; it is {seen.version}" if seen.version else told


class _Seen:
    def __init__(self, topic: str) -> None:
        self.version = ""
        self._topic = topic

    async def until_back(self, line: BusConnection) -> None:
        async for message in line:
            self._note(message)
            if message.topic == self._topic:
                return

    async def until_version(self, line: BusConnection) -> None:
        if self.version:
            return
        async for message in line:
            self._note(message)
            if self.version:
                return

    def _note(self, message: mqtt.Received) -> None:
        if message.topic == _VERSION_TOPIC:
            said = message.payload[:100].decode(errors="replace")
            self.version = "".join(char for char in said if char.isprintable())
