"""Which probes there are to be: desired state, which the bus keeps for whoever comes later. Pure.

    add --> LIVE --remove--> removed: said on the bus until the probe would have expired, then cleared
             |  `------------ by another broker, or ours before a restart: what the bus retains is taken
             `--its time is over--> expired: cleared

What has ended is remembered for an hour. When the bus is back, which may have forgotten, what it retains arrives by
itself; what did not is published again after `RESTORE_AFTER`. Removed is for good, the higher revision wins, and of
two equal ones the last on the bus: so brokers agree.

A probe with canaries names them (`chosen`); see `canaries`. After the bus has come back, those that are not known
are waited for as long as `fleet` waits.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from sonde_broker.canaries import choose
from sonde_broker.deadlines import Deadlines
from sonde_broker.fleet import GRACE, Fleet
from sonde_broker.relay_io import Instant, Publish
from sonde_broker.tokens import Claims
from sonde_wire import Address, Code, Reason, Refused, Selector, codec, topics
from sonde_wire.probes import Probe, ProbeMessage, ProbeRemoved, ProbeSpec, ProbeStatus, means

logger = logging.getLogger(__name__)

MOST_LIVE = 200
MOST_OF_ONE = 50
"""Live ones that one subject has made."""
MOST_TAKEN = 2000
"""From the bus, removed ones too; more are ignored."""
KEEP_ENDED = 3600.0
MOST_ENDED = 200
RESTORE_AFTER = 1.0
"""Seconds for what the bus retains to arrive."""
CHOOSE_AFTER = 0.2
"""Seconds in which processes come and go together."""
STAND_IN_AFTER = 5.0
"""Seconds that the other brokers leave to the one whose task it is; then they look whether it is still to be done."""


class Live(Struct):
    probe: Probe
    candidates: set[Address]
    """Online, and meant by it: where it is, unless it chooses."""

    @property
    def processes(self) -> set[Address]:
        """Where it is."""
        if self.probe.chosen is None:
            return self.candidates
        return {each for name in self.probe.chosen if (each := Address.parse(name)) in self.candidates}


class Ended(Struct):
    probe: Probe
    state: Literal["removed", "expired"]
    at: float
    processes: set[Address]
    """Where it was."""
    statuses: Mapping[Address, ProbeStatus] = {}
    """What they said last."""


class _Ends(Struct, frozen=True):
    probe: str


class _Chooses(Struct, frozen=True):
    probe: str


class _Restores(Struct, frozen=True):
    pass


class _GraceEnds(Struct, frozen=True):
    pass


class Probes:
    """Methods return what is to be published; which probes are other than before is in `take_changed`, and whether
    what `kept` gives is other, in `unkept`."""

    def __init__(
        self, fleet: Fleet, new_id: Callable[[], str], leads: Callable[[str], bool] = lambda _: True
    ) -> None:
        """`leads` says whether what many brokers see is for this one to do, by the probe's id."""
        self.unkept = False
        self._leads = leads
        self._fleet = fleet
        self._new_id = new_id
        self._live: dict[str, Live] = {}
        self._ended: dict[str, Ended] = {}
        self._removed: dict[str, ProbeRemoved] = {}
        self._changed: dict[str, None] = {}
        self._bus_up = False
        self._waiting = True
        """For processes that were chosen and have not come back yet."""
        self._unconfirmed: set[str] = set()
        self._deadlines: Deadlines[_Ends | _Chooses | _Restores | _GraceEnds] = Deadlines()

    def deadline(self) -> float | None:
        return self._deadlines.next()

    def live(self) -> Iterator[Live]:
        yield from self._live.values()

    def ended(self, now: Instant) -> Iterator[Ended]:
        self._forget_ended(now)
        yield from self._ended.values()

    def get(self, probe: str) -> Live | Ended | None:
        return self._live.get(probe) or self._ended.get(probe)

    def take_changed(self) -> list[str]:
        changed, self._changed = list(self._changed), {}
        return changed

    def kept(self) -> tuple[ProbeMessage, ...]:
        """For a restart."""
        return (*(each.probe for each in self._live.values()), *self._removed.values())

    # What people do -------------------------------------------------------------------------------------------

    def add(self, spec: ProbeSpec, claims: Claims, now: Instant) -> tuple[Probe, list[Publish]]:
        """Raises `Refused` when there are too many."""
        mine = sum(each.probe.creator == claims.subject for each in self._live.values())
        if mine >= MOST_OF_ONE or len(self._live) >= MOST_LIVE:
            whose, most = ("of yours", MOST_OF_ONE) if mine >= MOST_OF_ONE else ("in all", MOST_LIVE)
            raise Refused(
                Code.RESOURCE_EXHAUSTED,
                Reason.TOO_MANY,
                f"there are {most} live probes {whose}, which is the most; remove one with probe.remove",
            )
        probe = Probe(
            id=self._new_id(),
            spec=spec,
            creator=claims.subject,
            created=now.wall,
            expires=now.wall + spec.ttl,
            within=tuple(str(each) for each in claims.selectors),
            chosen=None if spec.target.canaries is None else (),
        )
        live = self._begin(probe, now)
        self._choose(live)
        live.probe = msgspec.structs.replace(live.probe, revision=1)
        return live.probe, [self._publish(live.probe)] if self._bus_up else []

    def remove(self, probe: str, by: str, now: Instant) -> list[Publish]:
        """Nothing when it is not live. While there is no bus it is said as soon as there is one."""
        live = self._live.get(probe)
        if live is None:
            return []
        removed = ProbeRemoved(id=probe, time=now.wall, expires=live.probe.expires, by=by)
        self._end(live, "removed", now)
        self._bury(removed, now)
        return [self._publish(removed)] if self._bus_up else []

    # From the bus ---------------------------------------------------------------------------------------------

    def restore(self, messages: tuple[ProbeMessage, ...], now: Instant) -> None:
        """What was kept, before the bus is there."""
        for message in messages:
            if message.expires > now.wall:
                self._take(message, now)

    def bus_changed(self, up: bool, now: Instant) -> None:
        self._bus_up = up
        if not up:
            self._deadlines.clear(_Restores())
            self._deadlines.clear(_GraceEnds())
            return
        self._waiting = True
        self._unconfirmed = {*self._live, *self._removed}
        self._deadlines.set(_Restores(), now.steady + RESTORE_AFTER)
        self._deadlines.set(_GraceEnds(), now.steady + GRACE)

    def seen(self, probe: str, message: ProbeMessage | None, now: Instant) -> list[Publish]:
        """What is on its topic now, our own messages too; None: nothing any more."""
        self._unconfirmed.discard(probe)
        live = self._live.get(probe)
        if message is None:
            if live is not None:  # another broker's clock, or somebody at the server
                self._end(live, "expired" if live.probe.expires <= now.wall + 60 else "removed", now)
            return []
        if message.expires <= now.wall:
            return [_clear(probe)] if live is None else []
        if isinstance(message, ProbeRemoved):
            if live is not None:
                self._end(live, "removed", now)
            self._take(message, now)
            return []
        if (removed := self._removed.get(probe)) is not None:
            return [self._publish(removed)]
        if live is None:
            self._take(message, now)
            return []
        if message.revision < live.probe.revision:
            return [self._publish(live.probe)]
        if message != live.probe:
            live.probe = message
            self._change(probe)
            if message.chosen is not None:
                self._choose_soon(probe, now)
        return []

    def process_changed(self, process: Address, now: Instant) -> None:
        """It came, went, has another boot or other labels."""
        known = self._fleet.get(process)
        online = known is not None and known.online
        for live in self._live.values():
            probe = live.probe
            meant = online and known is not None and means(probe, process, known.presence.labels)
            had = process in live.candidates
            if not meant and not had:
                continue
            (live.candidates.add if meant else live.candidates.discard)(process)
            if probe.chosen is not None and meant != had:
                self._choose_soon(probe.id, now)
            if probe.chosen is None or str(process) in probe.chosen:
                self._changed[probe.id] = None

    def status_changed(self, probe: str) -> None:
        if probe in self._live:
            self._changed[probe] = None

    # Time -----------------------------------------------------------------------------------------------------

    def time_passed(self, now: Instant) -> list[Publish]:
        published: list[Publish] = []
        for due in self._deadlines.take_due(now.steady):
            match due:
                case _Ends(probe):
                    published += self._time_is_over(probe, now)
                case _Chooses(probe):
                    published += self._choose_again(probe)
                case _Restores():
                    kept = {message.id: message for message in self.kept()}
                    published += [
                        self._publish(kept[each]) for each in sorted(self._unconfirmed & kept.keys())
                    ]
                    self._unconfirmed.clear()
                case _GraceEnds():
                    self._waiting = False
                    for live in self._live.values():
                        if live.probe.chosen is not None:
                            self._choose_soon(live.probe.id, now)
        return published

    def _time_is_over(self, probe: str, now: Instant) -> list[Publish]:
        live, removed = self._live.get(probe), self._removed.get(probe)
        expires = live.probe.expires if live else removed.expires if removed else now.wall
        if expires > now.wall + 0.01:  # the clock was set
            self._deadlines.set(_Ends(probe), now.steady + expires - now.wall)
            return []
        if live is not None:
            self._end(live, "expired", now)
        if self._removed.pop(probe, None) is not None:
            self.unkept = True
        return [_clear(probe)] if self._bus_up else []

    # ----------------------------------------------------------------------------------------------------------

    def _take(self, message: ProbeMessage, now: Instant) -> None:
        if message.id in self._live or message.id in self._removed:
            return
        if len(self._live) + len(self._removed) >= MOST_TAKEN:
            logger.warning("the bus has too many probes; %s is ignored", message.id)
            return
        if isinstance(message, ProbeRemoved):
            self._bury(message, now)
        else:
            live = self._begin(message, now)
            if message.chosen is not None:
                self._choose_soon(live.probe.id, now)

    def _begin(self, probe: Probe, now: Instant) -> Live:
        candidates = {
            address
            for address, known in self._fleet.matching(Selector.parse(probe.spec.target.selector))
            if known.online and means(probe, address, known.presence.labels)
        }
        live = self._live[probe.id] = Live(probe, candidates)
        self._deadlines.set(_Ends(probe.id), now.steady + probe.expires - now.wall)
        self._change(probe.id)
        return live

    def _bury(self, removed: ProbeRemoved, now: Instant) -> None:
        self._removed[removed.id] = removed
        self._deadlines.set(_Ends(removed.id), now.steady + removed.expires - now.wall)
        self.unkept = True

    def _end(self, live: Live, state: Literal["removed", "expired"], now: Instant) -> None:
        probe = live.probe
        del self._live[probe.id]
        self._deadlines.clear(_Ends(probe.id))
        self._deadlines.clear(_Chooses(probe.id))
        self._ended[probe.id] = Ended(probe, state, now.wall, live.processes)
        self._forget_ended(now)
        self._change(probe.id)
        logger.info("probe %s of %s has ended: %s", probe.id, probe.creator, state)

    def _forget_ended(self, now: Instant) -> None:
        for probe, ended in list(self._ended.items()):
            if len(self._ended) > MOST_ENDED or ended.at <= now.wall - KEEP_ENDED:
                del self._ended[probe]

    def _change(self, probe: str) -> None:
        self._changed[probe] = None
        self.unkept = True

    def _choose_soon(self, probe: str, now: Instant) -> None:
        after = CHOOSE_AFTER if self._leads(probe) else CHOOSE_AFTER + STAND_IN_AFTER
        self._deadlines.begin(_Chooses(probe), now.steady + after)

    def _choose_again(self, probe: str) -> list[Publish]:
        live = self._live.get(probe)
        return [self._publish(live.probe)] if live and self._choose(live) and self._bus_up else []

    def _choose(self, live: Live) -> bool:
        """Whether others are chosen now."""
        probe = live.probe
        if probe.chosen is None:
            return False
        chosen = choose(
            probe.id,
            probe.spec.target.canaries or 0,
            probe.chosen,
            live.candidates,
            lambda process: self._waiting and self._fleet.get(process) is None,
        )
        if set(chosen) == set(probe.chosen):
            return False
        live.probe = msgspec.structs.replace(probe, chosen=chosen, revision=probe.revision + 1)
        self._change(probe.id)
        return True

    def _publish(self, message: ProbeMessage) -> Publish:
        return Publish(topics.of_probe(message.id), codec.encode(message), retain=True)


def _clear(probe: str) -> Publish:
    return Publish(topics.of_probe(probe), b"", retain=True)
