"""Builds a broker from its settings and runs it until it is told to stop."""

import asyncio
import base64
import contextlib
import errno
import importlib.metadata
import logging
import os
import resource
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from msgspec import Struct

from sonde_broker import bus as engines
from sonde_broker import monitors, pages
from sonde_broker.admission import DoorRules, own_origins
from sonde_broker.agents import Agents, StayConnected
from sonde_broker.bus.inside import stay_inside
from sonde_broker.counts import Counts
from sonde_broker.errors import CannotListen, InvalidSettings
from sonde_broker.exchange import Exchange, ToStore, ToViewers
from sonde_broker.key_watch import KeyWatch
from sonde_broker.passing import PassingViewers
from sonde_broker.probe_file import ProbeFile
from sonde_broker.relay import Relay
from sonde_broker.relay_io import (
    Happening,
    Keep,
    KeepProbes,
    KeysChanged,
    ProbesRestored,
    StoreChanged,
)
from sonde_broker.settings import LOOPBACK_HOSTS, HostPort, OwnBus, Settings, TheirBus
from sonde_broker.site import told
from sonde_broker.store import Store
from sonde_broker.telemetry import Telemetry
from sonde_broker.tokens import TokenRules
from sonde_broker.viewers import Viewers
from sonde_broker.vitals import Vitals
from sonde_broker.web import Web
from sonde_wire import topics
from sonde_wire.mqtt import BusUrl, stay_connected

logger = logging.getLogger(__name__)

_PATIENCE = 5.0
"""How long the start waits for bus and history before it says that it is ready; both may also come later."""


class Broker(Struct, frozen=True):
    name: str
    url: str
    bus: str
    """For agents, with their password."""
    agents: Agents
    remembers: asyncio.Event
    """Set when the history works or has failed for the first time; at once where there is none."""
    keys: KeyWatch
    monitors: str | None = None
    """The URL of the port for figures and health alone."""


class _Bus(Struct, frozen=True):
    stay: StayConnected
    """How we are on it."""
    for_agents: str
    engine: engines.EmbeddedBus | engines.MosquittoBus | None = None


async def serve(settings: Settings) -> None:
    """Returns after SIGTERM or SIGINT, when everybody was told; raises what `running` raises."""
    _allow_many_connections()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as broker:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await broker.agents.connected.wait()
                await broker.remembers.wait()
        loop.add_signal_handler(signal.SIGHUP, broker.keys.ask)
        with told(settings, broker.url, broker.bus):
            logger.info("broker %s serves %s", broker.name, broker.url)
            await stop.wait()
            logger.info("told to stop")


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Broker]:
    """A broker for as long as the block lasts. Raises `CannotListen`, `InvalidSettings`, and
    `sonde_broker.bus.BusError` when a bus of our own cannot be started or fails.

    Tasks: `bus` (agents.run), `keys` (KeyWatch.run) and, with a bus of our own, `bus engine`, which ends only by failing; all
    are cancelled after the viewers have been closed, so that their sessions' ends still reach the bus.
    """
    assets = pages.load(settings.page) | {"/asyncapi.json": pages.document()}
    counts = Counts()
    remembers = asyncio.Event()
    if settings.history is None:
        remembers.set()
    name = f"b{secrets.token_hex(6)}"
    rules = TokenRules(
        keys=settings.keys,
        issuer=settings.issuer,
        audience=settings.audience,
        longest_life=settings.longest_life,
    )
    keys = KeyWatch(settings.key_files, rules, counts, lambda taken: tell(KeysChanged(taken)))
    with contextlib.closing(_listen(settings.listen, any_port=settings.any_port)) as listening:
        port: int = listening.getsockname()[1]
        async with _bus(settings) as bus:
            relay = Relay(
                broker=name,
                version=_version(),
                verify=keys.verify,
                new_id=lambda: secrets.token_hex(16),
                new_probe=lambda: base64.b32encode(secrets.token_bytes(7)).decode().lower()[:10],
                counts=counts,
            )

            def tell(happening: Happening) -> None:
                counts.happened(happening)
                exchange.tell(happening)
                if isinstance(happening, StoreChanged):
                    remembers.set()

            agents = Agents(bus.stay, name, tell)
            vitals = Vitals(counts, relay, agents)
            door = _door(settings, port, keys)
            passing = PassingViewers(tell)
            web = Web(
                pages=pages.Pages(assets),
                health=vitals.health,
                telemetry=Telemetry(counts, vitals.levels, _version()),
                passing=passing,
                door=door,
                counts=counts,
            )
            viewers = Viewers(
                door=door,
                http=web.respond,
                tell=tell,
                most_viewers=settings.most_viewers,
                compress=settings.compress,
                counts=counts,
            )

            vitals.viewers = viewers

            def to_viewers(effect: ToViewers) -> None:
                if not passing.takes(effect):
                    viewers.perform(effect)

            kept = ProbeFile(settings.probe_file)

            def to_store(order: ToStore) -> None:
                assert store is not None  # noqa: S101 - the core orders nothing of a history that it was not told of
                if isinstance(order, Keep):
                    store.keep(order)
                else:
                    counts.history_queries += 1
                    store.ask(order)

            exchange = Exchange(
                relay, to_viewers=to_viewers, to_bus=agents.perform, to_store=to_store, keep=kept.write
            )
            exchange.tell(ProbesRestored(kept.read()))
            url = f"http://{HostPort(_reachable(settings.listen.host), port)}"
            async with (
                _history(settings, tell) as store,
                monitors.listening(settings.metrics_listen, web.monitor) as monitored,
                asyncio.TaskGroup() as group,
            ):
                vitals.store = store
                tasks = [
                    group.create_task(agents.run(), name="bus"),
                    group.create_task(keys.run(), name="keys"),
                ]
                if bus.engine is not None:
                    tasks.append(group.create_task(bus.engine.watch(), name="bus engine"))
                async with viewers.serving(listening):
                    try:
                        yield Broker(name, url, bus.for_agents, agents, remembers, keys, monitored)
                    finally:
                        vitals.draining = True
                for task in tasks:
                    task.cancel()
            exchange.close()
            kept.write(KeepProbes(relay.probes.kept()))


def _allow_many_connections() -> None:
    """The usual 1024 files are for programs that use `select`; what we may have is what the hard limit says."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@asynccontextmanager
async def _history(settings: Settings, tell: Callable[[Happening], None]) -> AsyncIterator[Store | None]:
    """The one that there is, or none. It ends last, so that it takes what still comes."""
    wanted = settings.history
    if wanted is None:
        yield None
        return
    async with Store(wanted.url, tell, days=wanted.days, size=wanted.most_bytes) as store:
        yield store


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


def _door(settings: Settings, port: int, keys: KeyWatch) -> DoorRules:
    hosts = {*LOOPBACK_HOSTS, settings.listen.host, *settings.hosts}
    return DoorRules(
        origins=frozenset(own_origins(hosts, port) | set(settings.origins)),
        hosts=frozenset(hosts),
        verify=lambda token: keys.verify(token, time.time()),
    )


@asynccontextmanager
async def _bus(settings: Settings) -> AsyncIterator[_Bus]:
    """A bus of our own for as long as the block lasts, or the one that is there."""
    if isinstance(settings.bus, TheirBus):
        yield _Bus(partial(stay_connected, settings.bus.url), settings.bus.text)
        return
    try:
        wanted = _engine_settings(settings.bus)
    except engines.InvalidSettings as error:
        raise InvalidSettings(str(error)) from None
    if settings.bus.engine == "embedded":
        async with engines.EmbeddedBus(wanted) as embedded:
            inside = partial(stay_inside, embedded, user="broker")
            yield _Bus(inside, embedded.url_for("agent"), embedded)
        return
    async with engines.MosquittoBus(wanted) as mosquitto:
        url = BusUrl.parse(mosquitto.url_for("broker"))
        yield _Bus(partial(stay_connected, url), mosquitto.url_for("agent"), mosquitto)


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
