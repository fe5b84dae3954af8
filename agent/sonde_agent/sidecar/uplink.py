"""The face to the bus, for one process: one connection, so that its last will says exactly which one was lost.

Out go presence and the state of probes (retained, QoS 1; the newest wins), events and metrics (`stream`) and replies
(never wait for anything). In come commands, each executed at most once, the presence of brokers, probes, and what the
history has.

While there is no bus, events stay in the journal, metrics are overwritten, replies are dropped: their askers
have stopped waiting.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from sonde_agent.sidecar.journal import Journal
from sonde_agent.sidecar.once import Once
from sonde_agent.sidecar.stream import Stream
from sonde_wire import Address, MalformedMessage, bus, codec, mqtt, probes, topics
from sonde_wire.topics import Channel

logger = logging.getLogger(__name__)

PRESENCE_EVERY = 0.05
"""Seconds between two presences at least."""
PROBES_EVERY = 0.25
"""Seconds between two reports of probes at least."""
MOST_PROBE = 2 * 1024 * 1024
"""Bytes of one probe on the bus."""
LOOK_AGAIN = 1.0
"""Seconds until the bus's URL is looked up again while there is none."""
MOST_REPLIES = 1000
LOST_TOLD_WITHIN = 3.0
STORED_WITHIN = 1.0
"""Seconds for a history to take the last words: after the end nobody can send them again."""


class Owner(Protocol):
    """The process that this line belongs to."""

    def presence(self) -> bus.Presence: ...
    def command(self, command: bus.Command) -> None: ...
    def broker_lost(self, broker: str) -> None: ...
    def bus_lost(self) -> None: ...


class ProbeOwner(Protocol):
    """Takes what is on a probe's topic, and has the report; None and empty: nothing."""

    def seen(self, probe: str, message: probes.ProbeMessage | None) -> None: ...
    def report(self) -> bytes: ...


class _Moved(Exception):
    """The site names another bus now."""


class Uplink:
    """`run` it in a task; `finish` and then await that task for a clean end."""

    def __init__(
        self,
        address: Address,
        boot: str,
        journal: Journal,
        owner: Owner,
        bus_url: Callable[[], mqtt.BusUrl | None],
        probing: ProbeOwner,
    ) -> None:
        self._address = address
        self._boot = boot
        self._commands = topics.of_process(address, Channel.COMMANDS)
        self._stored = topics.of_process(address, Channel.STORED)
        self._stream = Stream(address, journal)
        self._owner = owner
        self._bus_url = bus_url
        self._probes = probing
        self._probes_wake = asyncio.Event()
        self._probes_told = False
        self._replies: deque[tuple[str, bytes, float]] = deque(maxlen=MOST_REPLIES)
        """Topic, payload, and the seconds after which nobody waits for it."""
        self._once = Once()
        self._out_of_reach = False
        self._replies_wake = asyncio.Event()
        self._presence_wake = asyncio.Event()
        self._finishing = asyncio.Event()

    # What the process puts in ---------------------------------------------------------------------------------

    def events_waiting(self) -> None:
        self._stream.events_waiting()

    def presence_changed(self) -> None:
        self._presence_wake.set()

    def probes_changed(self) -> None:
        self._probes_wake.set()

    def metrics(self, sample: bus.Metrics) -> None:
        self._stream.metrics(sample)

    def reply(self, command: bus.Command, reply: bus.Reply) -> None:
        payload = codec.encode(reply)
        self._once.answered(command.id, payload)
        self._reply(command, payload)

    def _reply(self, command: bus.Command, payload: bytes) -> None:
        self._replies.append((topics.replies_to(command.broker), payload, command.timeout))
        self._replies_wake.set()

    def finish(self) -> None:
        """Publish what is left, the presence last, give a history a moment to take it, and end."""
        self._finishing.set()
        self._replies_wake.set()
        self._stream.finish()

    # The line -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Ends only after `finish`, or cancelled."""
        while True:
            url = self._bus_url()
            if url is None:
                if await self._finishes_within(LOOK_AGAIN):
                    return  # there was nobody to tell
                continue
            try:
                await mqtt.stay_connected(
                    url,
                    client_id=_client_id(self._boot),
                    will=self._will,
                    serve=self._serve,
                    lost=lambda error, url=url: self._lost(error, url),  # type: ignore[misc] # bound now
                )
                return
            except _Moved:
                logger.info("%s goes on at another bus", self._address)

    async def _finishes_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._finishing.wait()
        except TimeoutError:
            return False
        return True

    def _will(self) -> mqtt.Will:
        lost = _lost(self._owner.presence())
        return mqtt.Will(topics.of_process(self._address, Channel.PRESENCE), codec.encode(lost))

    def _lost(self, error: mqtt.BusLost, url: mqtt.BusUrl) -> None:
        # once an outage: `sonde run` shares the program's terminal
        logger.log(
            logging.DEBUG if self._out_of_reach else logging.WARNING,
            "%s: %s; it tries again",
            self._address,
            error,
        )
        self._out_of_reach = True
        self._owner.bus_lost()
        now = self._bus_url()
        if now is not None and now != url:
            raise _Moved

    async def _serve(self, line: mqtt.BusConnection) -> None:
        """Tasks: receive (commands, brokers, probes, what is stored), replies, stream (events, metrics), presence, probes.
        All end together: when the line breaks, or after `finish` when what was left is published."""
        self._replies.clear()
        self._out_of_reach = False
        self._stream.line_made()
        # in this order: whoever sees the presence may send a command at once
        await line.subscribe(self._commands, self._stored, topics.all_brokers())
        await self._publish_presence(line)
        await line.subscribe(topics.all_probes(), qos=1)
        lost: list[BaseException] = []
        try:
            async with asyncio.TaskGroup() as group:
                receiving = group.create_task(self._receive(line), name="receive")
                replying = group.create_task(self._send_replies(line), name="replies")
                streaming = group.create_task(self._stream.send(line, self._finishing), name="stream")
                telling = group.create_task(self._send_presence(line), name="presence")
                reporting = group.create_task(self._send_probes(line), name="probes")
                self._probes_wake.set()
                await self._finishing.wait()
                telling.cancel()
                reporting.cancel()
                # these end by themselves: cancelled in the middle, they would lose what they had taken
                await asyncio.wait({replying, streaming})
                await self._publish_the_end(line)
                receiving.cancel()
        except* mqtt.BusLost as errors:
            lost.extend(errors.exceptions)
        if lost:
            raise lost[0]

    async def _publish_the_end(self, line: mqtt.BusConnection) -> None:
        await self._stream.publish(line)
        await self._publish_replies(line)
        await self._publish_probes(line)
        await self._publish_presence(line)
        await self._stream.acknowledged(line, STORED_WITHIN)

    async def _send_replies(self, line: mqtt.BusConnection) -> None:
        while not self._finishing.is_set():
            await self._replies_wake.wait()
            self._replies_wake.clear()
            await self._publish_replies(line)

    async def _send_presence(self, line: mqtt.BusConnection) -> None:
        while True:
            await self._presence_wake.wait()
            await self._publish_presence(line)
            await asyncio.sleep(PRESENCE_EVERY)

    async def _publish_replies(self, line: mqtt.BusConnection) -> None:
        while self._replies:
            topic, payload, seconds = self._replies.popleft()
            await line.publish(topic, payload, expires=seconds)

    async def _publish_presence(self, line: mqtt.BusConnection) -> None:
        self._presence_wake.clear()
        payload = codec.encode(self._owner.presence())
        await line.publish(topics.of_process(self._address, Channel.PRESENCE), payload, retain=True, qos=1)

    async def _send_probes(self, line: mqtt.BusConnection) -> None:
        while True:
            await self._probes_wake.wait()
            await self._publish_probes(line)
            await asyncio.sleep(PROBES_EVERY)

    async def _publish_probes(self, line: mqtt.BusConnection) -> None:
        self._probes_wake.clear()
        payload = self._probes.report()
        if not payload and not self._probes_told:
            return
        self._probes_told = True
        await line.publish(topics.of_process(self._address, Channel.PROBES), payload, retain=True, qos=1)
        self._probes_told = bool(payload)

    # What comes in --------------------------------------------------------------------------------------------

    async def _receive(self, line: mqtt.BusConnection) -> None:
        async for message in line:
            try:
                if broker := topics.read_broker_presence(message.topic):
                    self._take_broker(broker, message.payload)
                elif probe := topics.read_probe(message.topic):
                    self._take_probe(probe, message.payload)
                elif message.retained:
                    logger.warning("%s ignored a retained command: it may be an old one", self._address)
                elif message.topic == self._stored:
                    stored = codec.decode(message.payload, bus.EventsStored)
                    if stored.boot == self._boot:
                        self._stream.stored(stored.upto)
                else:
                    self._take(codec.decode(message.payload, bus.Command))
            except MalformedMessage as error:
                logger.warning("%s ignored a message: %s", self._address, error)

    def _take_broker(self, broker: str, payload: bytes) -> None:
        if not payload:  # it said that it leaves, and took its retained presence away
            self._stream.broker_gone(broker)
            return
        presence = codec.decode(payload, bus.BrokerPresence)
        if presence.broker != broker:
            raise MalformedMessage("presence", "it names another broker than its topic")
        if presence.state == "lost":
            self._stream.broker_gone(broker)
            self._owner.broker_lost(broker)
        else:
            self._stream.broker_seen(broker, presence.store)

    def _take_probe(self, probe: str, payload: bytes) -> None:
        if not payload:
            self._probes.seen(probe, None)
            return
        if len(payload) > MOST_PROBE:
            raise MalformedMessage("probe", f"{len(payload)} bytes, more than {MOST_PROBE}")
        message: probes.ProbeMessage = codec.decode(payload, probes.ProbeMessage)  # type: ignore[arg-type] # a union
        if message.id != probe:
            raise MalformedMessage("probe", "it names another than its topic")
        self._probes.seen(probe, message)

    def _take(self, command: bus.Command) -> None:
        """At most once for each id: a repeat gets the reply again, or nothing while the first still runs."""
        if self._finishing.is_set():
            return
        if self._once.is_new(command.id):
            self._owner.command(command)
        elif reply := self._once.reply(command.id):
            self._reply(command, reply)


async def tell_lost(url: mqtt.BusUrl | None, presence: bus.Presence) -> None:
    """On a line of its own, once, for a process whose own line has failed."""
    if url is None:
        return
    lost = _lost(presence)
    topic = topics.of_process(Address.parse(presence.process), Channel.PRESENCE)
    try:
        async with (
            asyncio.timeout(LOST_TOLD_WITHIN),
            mqtt.connect(url, client_id=_client_id(presence.boot)) as line,
        ):
            await line.publish(topic, codec.encode(lost), retain=True, qos=1)
    except (mqtt.BusLost, TimeoutError) as error:
        logger.warning("%s: nobody could be told that it is lost: %s", presence.process, error)


def _lost(presence: bus.Presence) -> bus.Presence:
    return msgspec.structs.replace(
        presence, state="lost", sessions=(), debugger="detached", stopped_threads=0
    )


def _client_id(boot: str) -> str:
    """The same for each line of a boot: the server ends the one that it replaces, with its last will."""
    return f"sonde-{boot[:16]}"
