"""The bus inside this process: sockets, clock and timers around the core."""

import asyncio
import logging
import secrets
import socket
from types import TracebackType
from typing import Protocol, Self, assert_never

from sonde_broker.bus.core import BusCore
from sonde_broker.bus.decoder import Decoder
from sonde_broker.bus.errors import EngineLost, MalformedPacket
from sonde_broker.bus.events import (
    Answer,
    Close,
    Denied,
    Effect,
    Event,
    Give,
    Lost,
    Malformed,
    Opened,
    Received,
    Send,
    Stopping,
    Tick,
    Written,
)
from sonde_broker.bus.packets import Packet, ReasonCode
from sonde_broker.bus.sessions import PUMP
from sonde_broker.bus.settings import BusSettings, Counters

__all__ = ["EmbeddedBus", "Guest"]

_log = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
_LINGER_SECONDS = 2.0
"""How long a closed connection may take to send its last bytes before it is cut."""

_ORDINARY = (ReasonCode.SUCCESS, ReasonCode.DISCONNECT_WITH_WILL, ReasonCode.SERVER_SHUTTING_DOWN)


class Guest(Protocol):
    """Whoever is connected from inside this process. Called amid the core's work: may not call the bus."""

    def given(self, message: Give) -> None: ...
    def answered(self, packet: Packet) -> None: ...
    def closed(self, reason: int, detail: str) -> None: ...


class EmbeddedBus:
    """An MQTT server on the running event loop.

        async with EmbeddedBus(BusSettings(accounts=(...))) as bus:
            connect_to(bus.url)

    It listens when the block is entered; when it is left, MQTT 5 clients are told and all connections closed.
    It has no task of its own: everything happens in the callbacks of the loop.
    """

    def __init__(self, settings: BusSettings | None = None) -> None:
        self._settings = settings if settings is not None else BusSettings()
        self._core = BusCore(self._settings, new_client_id=lambda: f"auto-{secrets.token_hex(8)}")
        self._links: dict[int, _Link] = {}
        self._guests: dict[int, Guest] = {}
        self._closing: set[_Link] = set()
        self._last_connection = 0
        self._dirty: set[_Link] = set()
        self._heavy: set[_Link] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._port = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        try:
            self._server = await self._loop.create_server(
                lambda: _Link(self), self._settings.host, self._settings.port, backlog=1024
            )
        except OSError as error:
            raise EngineLost("the embedded bus", None, str(error)) from error
        self._port = self._server.sockets[0].getsockname()[1]
        self._schedule_tick(self._loop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        self._handle(Stopping())
        for link in list(self._links.values()):
            self._close(link)
        async with asyncio.timeout(_LINGER_SECONDS * 2):
            for link in list(self._closing):
                await link.gone.wait()
            if self._server is not None:
                await self._server.wait_closed()
        self._ended.set()

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("the bus has not been started")
        return self._port

    @property
    def url(self) -> str:
        """For a client with the first account, or with none if the bus has none."""
        return self.url_for(None)

    def url_for(self, user: str | None) -> str:
        """For a client with the account of `user`, credentials included."""
        return self._settings.url(self.port, user)

    def counters(self) -> Counters:
        return self._core.counters()

    async def watch(self) -> None:
        """Returns when the bus has been closed. This engine cannot be lost while its process lives."""
        await self._ended.wait()

    def enter(self, guest: Guest, user: str | None) -> tuple[int, str | None, str | None]:
        """Opens a connection from inside this process: its number, and the credentials of the account of `user` (None: the
        first account, or nothing where there are none) for its CONNECT. Everything else is as on a socket."""
        login = self._settings.login(user)
        self._last_connection += 1
        if self._stopping or self._server is None:
            guest.closed(ReasonCode.SERVER_SHUTTING_DOWN, "the bus does not run")
        else:
            self._guests[self._last_connection] = guest
            self._handle(Opened(self._last_connection, inside=True))
        return (self._last_connection, *login)

    def heard(self, connection: int, event: Received | Written) -> None:
        """Of a connection that was opened by `enter`."""
        if connection in self._guests:
            self._handle(event)

    def _open(self, link: "_Link") -> None:
        self._last_connection += 1
        link.connection = self._last_connection
        if self._stopping:
            # Accepted just before the listening socket was closed.
            link.close()
            return
        self._links[link.connection] = link
        self._handle(Opened(link.connection))

    def _lost(self, link: "_Link") -> None:
        self._closing.discard(link)
        self._dirty.discard(link)
        self._heavy.discard(link)
        if self._links.pop(link.connection, None) is not None:
            self._handle(Lost(link.connection))

    def _handle(self, event: Event) -> None:
        """Gives the core an event, and performs what it asks for."""
        assert self._loop is not None  # noqa: S101 - there are no events before the start
        self._perform(self._core.handle(event, self._loop.time()))
        if self._heavy:
            heavy, self._heavy = self._heavy, set()
            for link in heavy:
                self._flush(link)

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                link = self._links.get(effect.connection)
                if link is None:
                    continue
                if not link.out:
                    if not self._dirty:
                        assert self._loop is not None  # noqa: S101 - as above
                        self._loop.call_soon(self._flush_all)
                    self._dirty.add(link)
                link.out.append(effect.data)
                link.out_size += len(effect.data)
                if link.out_size > PUMP:
                    self._heavy.add(link)
            elif isinstance(effect, Give):
                if (guest := self._guests.get(effect.connection)) is not None:
                    guest.given(effect)
            elif isinstance(effect, Answer):
                if (guest := self._guests.get(effect.connection)) is not None:
                    guest.answered(effect.packet)
            elif isinstance(effect, Close):
                self._log_close(effect)
                if (link := self._links.get(effect.connection)) is not None:
                    self._close(link)
                elif (guest := self._guests.pop(effect.connection, None)) is not None:
                    guest.closed(effect.reason, effect.detail)
            elif isinstance(effect, Denied):
                _log.warning(
                    "refused to let client %r of user %r %s %s",
                    effect.client,
                    effect.user,
                    effect.action,
                    effect.topic,
                )
            else:
                assert_never(effect)

    def _flush_all(self) -> None:
        dirty, self._dirty = self._dirty, set()
        for link in dirty:
            self._flush(link)

    def _flush(self, link: "_Link") -> None:
        """Writes what was collected and tells the core, which may add more: that goes with the next tick."""
        self._dirty.discard(link)
        if link.connection not in self._links:
            return
        pending = link.write_out()
        assert self._loop is not None  # noqa: S101 - as above
        self._perform(self._core.handle(Written(link.connection, pending), self._loop.time()))

    def _close(self, link: "_Link") -> None:
        del self._links[link.connection]
        link.write_out()
        self._closing.add(link)
        link.close()

    def _log_close(self, effect: Close) -> None:
        level = logging.DEBUG if effect.reason in _ORDINARY or not effect.client else logging.WARNING
        _log.log(
            level, "connection of client %r closed: %s (0x%02X)", effect.client, effect.detail, effect.reason
        )

    def _schedule_tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(_TICK_SECONDS, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._schedule_tick(loop)
        self._handle(Tick())

    @property
    def _packet_limit(self) -> int:
        return self._settings.limits.packet


_RECEIVED = memoryview(bytearray(64 * 1024))
"""Where all connections receive: what has come is taken out before the next one's turn. Without it asyncio makes room for 256 KiB
anew for each message."""


class _Link(asyncio.BufferedProtocol):
    """One accepted connection."""

    def __init__(self, bus: EmbeddedBus) -> None:
        self.connection = 0
        self.out: list[bytes] = []
        self.out_size = 0
        self.gone = asyncio.Event()
        self._bus = bus
        self._decoder: Decoder | None = Decoder(limit=bus._packet_limit)
        self._transport: asyncio.Transport | None = None
        self._linger: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_server makes no other
        self._transport = transport
        connected: socket.socket = transport.get_extra_info("socket")
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        transport.set_write_buffer_limits(high=PUMP, low=PUMP // 4)
        self._bus._open(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _RECEIVED

    def buffer_updated(self, nbytes: int) -> None:
        decoder = self._decoder
        if decoder is None:
            return
        connection, handle = self.connection, self._bus._handle
        try:
            decoder.feed(bytes(_RECEIVED[:nbytes]))
            # A packet can lead to the end of this very connection; what follows is not looked at.
            while self._decoder is not None and (packets := decoder.next_packets()):
                handle(Received(connection, packets))
        except MalformedPacket as error:
            handle(Malformed(connection, error))

    def resume_writing(self) -> None:
        if self._transport is not None and self._decoder is not None:
            self._bus._handle(Written(self.connection, self._transport.get_write_buffer_size()))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._linger is not None:
            self._linger.cancel()
        self._decoder = None
        self.gone.set()
        self._bus._lost(self)

    def write_out(self) -> int:
        """Writes what was collected; returns how many bytes the transport could not pass on yet."""
        assert self._transport is not None  # noqa: S101 - made before the bus knows this link
        out = self.out
        if out:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
            self.out = []
            self.out_size = 0
        return self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Reads no more; gives the last bytes a moment."""
        assert self._transport is not None  # noqa: S101 - as above
        self._decoder = None
        self._transport.close()
        self._linger = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.abort)
