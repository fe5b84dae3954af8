"""The one face to the MQTT server, for sidecars and brokers alike: connect, publish, receive, come back.

The protocol is aiomqtt's business (`mqtt_client`). This module adds what both sides need in the same way: MQTT 5 where
the server has it and 3.1.1 where it does not, the nodes of a cluster one after the other, refusals that say what to do,
and reconnection with full jitter.

It is the one module of the wire that does I/O; import it only from a face.
"""

import asyncio
import logging
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Literal, Protocol

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from sonde_wire.mqtt_client import KEEPALIVE, Client, Ended, Expiries, Received, Unanswered, Will
from sonde_wire.mqtt_errors import (
    LOGIN_REFUSED,
    NOT_AUTHORIZED,
    QUOTA_EXCEEDED,
    UNSUPPORTED_VERSION,
    BusLost,
    BusRefused,
    reason,
)
from sonde_wire.mqtt_url import PASSWORD_FILE_VARIABLE, BusUrl, InvalidBusUrl, Server

__all__ = [
    "KEEPALIVE",
    "PASSWORD_FILE_VARIABLE",
    "BusConnection",
    "BusLine",
    "BusLost",
    "BusRefused",
    "BusUrl",
    "InvalidBusUrl",
    "Received",
    "Server",
    "Will",
    "connect",
    "stay_connected",
]

logger = logging.getLogger(__name__)

_ABANDONED_WITHIN = 0.25
"""Seconds for a connection that nobody wants any more to be made or refused, so that it can be closed."""
_BACKOFF_FIRST = 0.1
_BACKOFF_MOST = 10.0
_STEADY = 5.0
"""Seconds after which a line that breaks is tried again as if it had never failed."""

Version = Literal["5", "3.1.1"]

_without_5: set[Server] = set()
"""Servers that know no MQTT 5; asked once in the life of this process."""

_expiries = Expiries()


class BusLine(Protocol):
    """What a program says on the bus, by a connection or, beside the embedded bus, without one."""

    @property
    def version(self) -> Version: ...
    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        qos: int = 0,
        expires: float | None = None,
    ) -> None: ...
    async def subscribe(self, *filters: str, qos: int = 0, retained: bool = True) -> None: ...
    async def unsubscribe(self, *filters: str) -> None: ...
    def __aiter__(self) -> AsyncIterator[Received]: ...


class BusConnection:
    """One connection while it lasts. Iterate over it to receive; any method raises `BusLost` when it broke, and
    `BusRefused` when the server said no."""

    def __init__(self, client: Client, server: str, user: str | None = None) -> None:
        self.server = server
        """Which of the bus's servers it is."""
        self._client = client
        self._user = user

    @property
    def version(self) -> Version:
        return "5" if self._client.v5 else "3.1.1"

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        qos: int = 0,
        expires: float | None = None,
    ) -> None:
        """An empty retained payload clears what was retained. After `expires` seconds the server does not deliver it
        any more, where it speaks MQTT 5. Only there, and only with QoS 1, is a refusal noticed."""
        cancels = _cancels()
        properties = None
        if expires is not None and self._client.v5:
            properties = _expiries.of(max(1, math.ceil(expires)))
        try:
            code = await self._client.send(topic, payload, qos=qos, retain=retain, properties=properties)
        except aiomqtt.MqttError as error:
            raise self._broken(error) from None
        _heed(cancels)
        if code == QUOTA_EXCEEDED:
            # it was delivered and not kept; the line is worth more than what somebody who comes later would miss
            logger.warning("%s", BusRefused(self.server, f"to keep {topic}", code, self._user))
        elif code >= 0x80:
            raise BusRefused(self.server, f"a message on {topic}", code, self._user)

    async def subscribe(self, *filters: str, qos: int = 0, retained: bool = True) -> None:
        """With MQTT 3.1.1 all subscriptions have QoS 0 (see `Client.ask_for`), and what is retained is sent also without
        `retained`. All filters are tried before the first refused one is raised."""
        if not filters:
            return
        cancels = _cancels()
        try:
            codes = await self._client.ask_for(filters, qos=qos, retained=retained)
        except aiomqtt.MqttError as error:
            raise self._broken(error) from None
        _heed(cancels)
        for wanted, code in zip(filters, codes, strict=False):
            if code >= 0x80:
                raise BusRefused(self.server, f"the subscription to {wanted}", code, self._user)

    async def unsubscribe(self, *filters: str) -> None:
        """One that was not subscribed is no mistake."""
        if not filters:
            return
        cancels = _cancels()
        try:
            await self._client.unsubscribe(list(filters))
        except aiomqtt.MqttError as error:
            raise self._broken(error) from None
        _heed(cancels)

    async def __aiter__(self) -> AsyncIterator[Received]:
        try:
            async for message in self._client.receive():
                yield message
        except aiomqtt.MqttError as error:
            raise self._broken(error) from None

    def _broken(self, error: aiomqtt.MqttError) -> BusLost:
        if not isinstance(error, Ended) or error.code is None:
            return BusLost(self.server, str(error))
        if error.code == NOT_AUTHORIZED:  # how some servers answer a message that is not allowed
            return BusRefused(self.server, "what was said, and ended the line", error.code, self._user)
        return BusLost(self.server, f"it ended the line: {reason(error.code)}")


def _cancels() -> int:
    """How often this task has been asked to end."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _heed(before: int) -> None:
    """Ends the task if it was asked to since `before`. aiomqtt waits by `asyncio.wait_for`, which on 3.11 loses a
    cancellation that comes together with its result (python/cpython#86296); the task would then never end."""
    if _cancels() > before:
        raise asyncio.CancelledError


@asynccontextmanager
async def connect(url: BusUrl, *, client_id: str, will: Will | None = None) -> AsyncIterator[BusConnection]:
    """To one of the servers, tried in random order. Raises `BusLost` when none of them can be reached, and `BusRefused`
    when one does not let us in."""
    cancels = _cancels()
    server, client = await _first_that_answers(url, client_id, will)
    try:
        _heed(cancels)
        yield BusConnection(client, str(server), url.user)
    finally:
        try:
            await client.__aexit__(None, None, None)
        except aiomqtt.MqttError:
            logger.debug("the bus at %s was gone before the goodbye", server)


async def _first_that_answers(url: BusUrl, client_id: str, will: Will | None) -> tuple[Server, Client]:
    servers = random.sample(url.servers, len(url.servers))
    failed: list[BusLost] = []
    for server in servers:
        try:
            return server, await _open(url, server, client_id, will)
        except BusRefused:
            raise
        except BusLost as error:
            failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    raise BusLost(url.server, "; ".join(f"{each.server}: {each.problem}" for each in failed))


async def _open(url: BusUrl, server: Server, client_id: str, will: Will | None) -> Client:
    """By MQTT 5 or, when the server does not know it, by 3.1.1, which is then remembered.

    A server may say so (CONNACK, "unacceptable protocol version") or just close the connection. The latter can
    have other reasons, so it counts only when 3.1.1 is answered at the next moment.
    """
    if server not in _without_5:
        cancels = _cancels()
        client = Client(url, server, client_id=client_id, will=will, v5=True)
        try:
            await _enter(client)
            return client
        except Unanswered:
            pass
        except aiomqtt.MqttError as error:
            if _code(error) != UNSUPPORTED_VERSION:
                raise _not_made(error, server, url.user) from None
        _heed(cancels)
    client = Client(url, server, client_id=client_id, will=will, v5=False)
    try:
        await _enter(client)
    except aiomqtt.MqttError as error:
        if _code(error) == UNSUPPORTED_VERSION:
            _without_5.discard(server)  # it may be another server by now
        elif _code(error) is not None:
            _without_5.add(server)
        raise _not_made(error, server, url.user) from None
    if server not in _without_5:
        _without_5.add(server)
        logger.info("the bus at %s speaks MQTT 3.1.1 and not 5", server)
    return client


def _code(error: aiomqtt.MqttError) -> int | None:
    """The reason code of a CONNACK."""
    given = getattr(error, "rc", None)
    return given.value if isinstance(given, ReasonCode) else None


def _not_made(error: aiomqtt.MqttError, server: Server, user: str | None) -> BusLost:
    code = _code(error)
    if code is None:
        return BusLost(str(server), str(error))
    if code in LOGIN_REFUSED:
        return BusRefused(str(server), "to be connected to", code, user)
    return BusLost(str(server), reason(code))


async def _enter(client: Client) -> None:
    """Cancelled in the middle, aiomqtt leaves its thread connecting, and the socket and task that come of it to
    nobody. So a connection that is under way is waited for a moment, and then taken leave of."""
    entering = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        await asyncio.wait({entering}, timeout=_ABANDONED_WITHIN)
        if not entering.done() or entering.exception() is None:
            # its goodbye goes out at once; the answer may never come
            with suppress(TimeoutError, aiomqtt.MqttError):
                async with asyncio.timeout(_ABANDONED_WITHIN):
                    await client.__aexit__(None, None, None)
        entering.cancel()
        await asyncio.wait({entering})
        raise


async def stay_connected(
    url: BusUrl,
    *,
    client_id: str,
    will: Callable[[], Will | None],
    serve: Callable[[BusConnection], Awaitable[None]],
    lost: Callable[[BusLost], None],
) -> None:
    """Connect, run `serve` until the line breaks, call `lost`, and do it again, for ever (end it by cancelling).

    Waits between attempts grow from 0.1 s to 10 s with full jitter, so that a fleet does not come back at
    once, nor a refused program in a circle. `serve` must publish its presence and subscribe anew each time: an MQTT
    server may have forgotten everything.
    """
    attempt = 0
    clock = asyncio.get_running_loop().time
    while True:
        connected = math.inf
        try:
            async with connect(url, client_id=client_id, will=will()) as connection:
                connected = clock()
                await serve(connection)
                return
        except BusLost as error:
            if clock() - connected > _STEADY:
                attempt = 0
            lost(error)
        ceiling = min(_BACKOFF_MOST, _BACKOFF_FIRST * 2**attempt)
        attempt = min(attempt + 1, 10)
        await asyncio.sleep(random.uniform(0, ceiling))  # noqa: S311 - jitter, not a secret
