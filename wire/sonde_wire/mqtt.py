"""The one face to the MQTT server, for sidecars and brokers alike: connect, publish, receive, come back.

The protocol is aiomqtt's business. This module adds what both sides need in the same way: the URL, TCP_NODELAY
(without it a QoS 1 round trip takes 42 ms), bounded queues, and reconnection with full jitter. MQTT 3.1.1 is
spoken, which every server has.

It is the one module of the wire that does I/O; import it only from a face.
"""

import asyncio
import logging
import os
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiomqtt
from msgspec import Struct

from sonde_wire.errors import WireError

logger = logging.getLogger(__name__)

PASSWORD_FILE_VARIABLE = "SONDE_BUS_PASSWORD_FILE"  # noqa: S105 - the name of a variable
KEEPALIVE = 10
"""Seconds. The server publishes the last will after 1.5 times as long a silence."""
_INCOMING = 10_000
_ABANDONED_WITHIN = 0.25
"""Seconds for a connection that nobody wants any more to be made or refused, so that it can be closed."""
_BACKOFF_FIRST = 0.1
_BACKOFF_MOST = 10.0


class InvalidBusUrl(WireError, ValueError):
    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.problem}; a bus is named like mqtt://user:password@host:1883 or mqtts://host:8883"


class BusLost(WireError):
    """The line to the MQTT server could not be made, or broke. `problem` never contains the password."""

    def __init__(self, server: str, problem: str) -> None:
        super().__init__(server, problem)
        self.server = server
        self.problem = problem

    def __str__(self) -> str:
        return f"the bus at {self.server} cannot be reached: {self.problem}"


class BusUrl(Struct, frozen=True):
    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, text: str) -> "BusUrl":
        """A URL with a user and no password gets it from the file that SONDE_BUS_PASSWORD_FILE names, if it is set:
        a command line and an environment can be read by others. Raises `InvalidBusUrl`."""
        try:
            parts = urlsplit(text)
        except ValueError:
            raise InvalidBusUrl("not a URL") from None
        if parts.scheme not in {"mqtt", "mqtts"}:
            raise InvalidBusUrl(f"unknown scheme {parts.scheme!r}")
        if not parts.hostname:
            raise InvalidBusUrl("no host")
        try:
            port = parts.port
        except ValueError:
            raise InvalidBusUrl("the port is not a number below 65536") from None
        tls = parts.scheme == "mqtts"
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        return cls(
            host=parts.hostname,
            port=port or (8883 if tls else 1883),
            tls=tls,
            user=user,
            password=_password_from_file() if user and password is None else password,
        )

    @property
    def server(self) -> str:
        """Host and port, for messages and logs: never the password."""
        return f"{self.host}:{self.port}"


def _password_from_file() -> str | None:
    named = os.environ.get(PASSWORD_FILE_VARIABLE)
    if not named:
        return None
    try:
        return Path(named).read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise InvalidBusUrl(f"the file {named} of {PASSWORD_FILE_VARIABLE} cannot be read") from None


class Will(Struct, frozen=True):
    """What the server publishes, retained, when this client vanishes without a goodbye."""

    topic: str
    payload: bytes


class Received(Struct, frozen=True):
    topic: str
    payload: bytes
    retained: bool


class BusConnection:
    """One connection while it lasts. Iterate over it to receive; any method raises `BusLost` when it broke."""

    def __init__(self, client: aiomqtt.Client, server: str) -> None:
        self._client = client
        self._server = server

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 0) -> None:
        """An empty retained payload clears what was retained."""
        cancels = _cancels()
        try:
            await self._client.publish(topic, payload, qos=qos, retain=retain)
        except aiomqtt.MqttError as error:
            raise BusLost(self._server, str(error)) from None
        _heed(cancels)

    async def subscribe(self, *filters: str, qos: int = 0) -> None:
        cancels = _cancels()
        try:
            await self._client.subscribe([(each, qos) for each in filters])
        except aiomqtt.MqttError as error:
            raise BusLost(self._server, str(error)) from None
        _heed(cancels)

    async def __aiter__(self) -> AsyncIterator[Received]:
        try:
            async for message in self._client.messages:
                payload = message.payload
                yield Received(
                    str(message.topic), payload if isinstance(payload, bytes) else b"", bool(message.retain)
                )
        except aiomqtt.MqttError as error:
            raise BusLost(self._server, str(error)) from None


def _cancels() -> int:
    """How often this task has been asked to end."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _heed(before: int) -> None:
    """Ends the task if it was asked to since `before`. aiomqtt waits by `asyncio.wait_for`, which on 3.11 loses a
    cancellation that comes together with its result (python/cpython#86296); the task would then never end."""
    if _cancels() > before:
        raise asyncio.CancelledError


def _is_news(record: logging.LogRecord) -> bool:
    """That the line broke is said by whoever serves it, as a warning."""
    return not str(record.msg).startswith("failed to receive on socket")


_library = logging.getLogger(f"{__name__}.aiomqtt")
_library.addFilter(_is_news)


@asynccontextmanager
async def connect(url: BusUrl, *, client_id: str, will: Will | None = None) -> AsyncIterator[BusConnection]:
    """Raises `BusLost` when the server cannot be reached or refuses the credentials."""
    client = aiomqtt.Client(
        url.host,
        url.port,
        username=url.user,
        password=url.password,
        identifier=client_id,
        will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=True) if will else None,
        tls_context=ssl.create_default_context() if url.tls else None,
        keepalive=KEEPALIVE,
        clean_session=True,
        max_queued_incoming_messages=_INCOMING,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        logger=_library,
    )
    cancels = _cancels()
    first_end = _end(client)
    try:
        await _enter(client)
    except aiomqtt.MqttError as error:
        raise BusLost(url.server, str(error)) from None
    try:
        _heed(cancels)
        yield BusConnection(client, url.server)
    finally:
        try:
            await client.__aexit__(None, None, None)
        except aiomqtt.MqttError:
            logger.debug("the bus at %s was gone before the goodbye", url.server)
        for end in (first_end, _end(client)):
            if end is not None and end.done() and not end.cancelled():
                end.exception()


def _end(client: aiomqtt.Client) -> "asyncio.Future[None] | None":
    """Of the line: when nobody happens to wait for it, asyncio would print its exception as one that was never retrieved, on
    the terminal of whoever runs a program with us in it. aiomqtt makes a new one when a line ends while it is made."""
    return getattr(client, "_disconnected", None)


async def _enter(client: aiomqtt.Client) -> None:
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
    once. `serve` must publish its presence and subscribe anew each time: an MQTT server may have forgotten
    everything.
    """
    attempt = 0
    while True:
        try:
            async with connect(url, client_id=client_id, will=will()) as connection:
                attempt = 0
                await serve(connection)
                return
        except BusLost as error:
            lost(error)
        ceiling = min(_BACKOFF_MOST, _BACKOFF_FIRST * 2**attempt)
        attempt = min(attempt + 1, 10)
        await asyncio.sleep(random.uniform(0, ceiling))  # noqa: S311 - jitter, not a secret
