"""Builds a broker from its settings and runs it until it is told to stop."""

import asyncio
import base64
import contextlib
import errno
import importlib.metadata
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from sonde_broker import bus as engines
from sonde_broker import pages
from sonde_broker.admission import DoorRules, own_origins
from sonde_broker.agents import Agents
from sonde_broker.errors import CannotListen, InvalidSettings
from sonde_broker.exchange import Exchange
from sonde_broker.probe_file import ProbeFile
from sonde_broker.relay import Relay
from sonde_broker.relay_io import Happening, KeepProbes, ProbesRestored
from sonde_broker.settings import LOOPBACK_HOSTS, HostPort, OwnBus, Settings, TheirBus
from sonde_broker.site import told
from sonde_broker.tokens import TokenRules, verify
from sonde_broker.viewers import Viewers
from sonde_wire import topics
from sonde_wire.mqtt import BusUrl

logger = logging.getLogger(__name__)

_BUS_PATIENCE = 5.0
"""How long the start waits for the bus before it says that it is ready; a bus may also come later."""


class Broker(Struct, frozen=True):
    name: str
    url: str
    bus: str
    """For agents, with their password."""
    agents: Agents


class _Bus(Struct, frozen=True):
    ours: BusUrl
    for_agents: str
    engine: engines.EmbeddedBus | engines.MosquittoBus | None = None


async def serve(settings: Settings) -> None:
    """Returns after SIGTERM or SIGINT, when everybody was told; raises what `running` raises."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as broker:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BUS_PATIENCE):
                await broker.agents.connected.wait()
        with told(settings, broker.url, broker.bus):
            logger.info("broker %s serves %s", broker.name, broker.url)
            await stop.wait()
            logger.info("told to stop")


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Broker]:
    """A broker for as long as the block lasts. Raises `CannotListen`, `InvalidSettings`, and
    `sonde_broker.bus.BusError` when a bus of our own cannot be started or fails.

    Tasks: `bus` (agents.run) and, with a bus of our own, `bus engine`, which ends only by failing; both are
    cancelled after the viewers have been closed, so that their sessions' ends still reach the bus.
    """
    assets = pages.load(settings.page)
    name = f"b{secrets.token_hex(6)}"
    rules = TokenRules(
        keys=settings.keys,
        issuer=settings.issuer,
        audience=settings.audience,
        longest_life=settings.longest_life,
    )
    with contextlib.closing(_listen(settings.listen, any_port=settings.any_port)) as listening:
        port: int = listening.getsockname()[1]
        async with _bus(settings) as bus:
            relay = Relay(
                broker=name,
                version=_version(),
                verify=lambda token, now: verify(token, rules, now),
                new_id=lambda: secrets.token_hex(16),
                new_probe=lambda: base64.b32encode(secrets.token_bytes(7)).decode().lower()[:10],
            )

            def tell(happening: Happening) -> None:
                exchange.tell(happening)

            agents = Agents(bus.ours, name, tell)
            viewers = Viewers(
                door=_door(settings, port, rules),
                pages=pages.Pages(assets),
                tell=tell,
                bus_up=lambda: relay.bus_up,
                most_viewers=settings.most_viewers,
            )
            kept = ProbeFile(settings.probe_file)
            exchange = Exchange(relay, to_viewers=viewers.perform, to_bus=agents.publish, keep=kept.write)
            exchange.tell(ProbesRestored(kept.read()))
            url = f"http://{HostPort(_reachable(settings.listen.host), port)}"
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(agents.run(), name="bus")]
                if bus.engine is not None:
                    tasks.append(group.create_task(bus.engine.watch(), name="bus engine"))
                async with viewers.serving(listening):
                    yield Broker(name, url, bus.for_agents, agents)
                for task in tasks:
                    task.cancel()
            exchange.close()
            kept.write(KeepProbes(relay.probes.kept()))


def _version() -> str:
    try:
        return importlib.metadata.version("sonde")
    except importlib.metadata.PackageNotFoundError:
        return "0+checkout"  # on the path, not installed


def _listen(where: HostPort, *, any_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    try:
        return socket.create_server((where.host, where.port), family=family, backlog=1024)
    except OSError as error:
        if any_port and error.errno == errno.EADDRINUSE:
            logger.info("%s is taken; a free port is used instead", where)
            return _listen(HostPort(where.host, 0), any_port=False)
        raise CannotListen(str(where), os.strerror(error.errno) if error.errno else str(error)) from None


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def _door(settings: Settings, port: int, rules: TokenRules) -> DoorRules:
    hosts = {*LOOPBACK_HOSTS, settings.listen.host, *settings.hosts}
    return DoorRules(
        origins=frozenset(own_origins(hosts, port) | set(settings.origins)),
        hosts=frozenset(hosts),
        verify=lambda token: verify(token, rules, time.time()),
    )


@asynccontextmanager
async def _bus(settings: Settings) -> AsyncIterator[_Bus]:
    """A bus of our own for as long as the block lasts, or the one that is there."""
    if isinstance(settings.bus, TheirBus):
        yield _Bus(settings.bus.url, settings.bus.text)
        return
    try:
        wanted = _engine_settings(settings.bus)
    except engines.InvalidSettings as error:
        raise InvalidSettings(str(error)) from None
    kind = engines.EmbeddedBus if settings.bus.engine == "embedded" else engines.MosquittoBus
    async with kind(wanted) as engine:
        yield _Bus(BusUrl.parse(engine.url_for("broker")), engine.url_for("agent"), engine)


def _engine_settings(own: OwnBus) -> engines.BusSettings:
    return engines.BusSettings(
        host=own.listen.host,
        port=own.listen.port,
        accounts=(
            engines.Account(
                user="agent",
                password=own.agent_password,
                publish=topics.AGENT_MAY_PUBLISH,
                subscribe=topics.AGENT_MAY_SUBSCRIBE,
            ),
            engines.Account(
                user="broker",
                password=secrets.token_hex(32),
                publish=topics.BROKER_MAY_PUBLISH,
                subscribe=topics.BROKER_MAY_SUBSCRIBE,
            ),
        ),
    )
