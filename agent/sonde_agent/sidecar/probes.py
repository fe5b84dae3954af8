"""Which probes a process has: what the bus wants, what its tap was given, what the tap says of them. Pure.

    bus: Probe, ProbeRemoved, nothing --seen--> wanted here, or not --Put, Drop--> tap
    tap: put | refused | unanswered, and reported --> statuses --Tell--> bus

A probe is wanted when it means this process, has chosen it if it chooses, and is not over. What is over drops by
itself, whether there is a bus or not. A tap that comes is given everything that is wanted; one that it still has
from an earlier sidecar, and that nobody has told us of, it keeps until it expires. What it has and is not wanted,
it is told to drop. Removed is for good: no older message brings a probe back.

Times are seconds since the epoch, as probes have them, and arguments. `created` and `expires` are of the broker's clock,
`now` of this host's, and nothing tells how far the two are apart. So a probe is never given more than its whole life,
however far behind this clock is; and of one that is long over when it comes, as a clock far ahead makes it, that is said.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from sonde_wire import Address
from sonde_wire.probes import (
    Probe,
    ProbeMessage,
    ProbeRemoved,
    ProbeSpec,
    ProbeStatus,
    hits_per_second,
    means,
    most_hits,
    title,
)

MOST_KNOWN = 5000
"""Probes, removed ones and those for others too; further ones are not taken."""
MOST_LATE = 64
CLOCKS_APART = 60.0
"""Seconds; a probe that is over for longer when it comes is a reason to look at the clocks."""
AGAIN_AFTER = 5.0
"""Seconds until a tap that did not answer, or had too many probes, is told again."""


class Put(Struct, frozen=True):
    """`probe` has the limits that hold; `left` are the seconds until it is over."""

    probe: Probe
    left: float


class Drop(Struct, frozen=True):
    id: str


class Tell(Struct, frozen=True):
    """The report is another now."""


Effect = Put | Drop | Tell


class Said(Struct, frozen=True, kw_only=True):
    """What a tap reports, checked."""

    probes: tuple[ProbeStatus, ...] = ()
    budget: float = 0.01
    cpu: float = 0.0
    lost: int = 0


class _Known(Struct):
    message: ProbeMessage
    wanted: bool


class Probes:
    def __init__(self, process: Address, labels: Mapping[str, str]) -> None:
        self._process = process
        self._labels = labels
        self._known: dict[str, _Known] = {}
        self._tap = False
        self._asked: set[str] = set()
        """Put, and not reported since: the answer to the Put is news then."""
        self._dropping: set[str] = set()
        self._again: dict[str, float] = {}
        self._statuses: dict[str, ProbeStatus] = {}
        self._late: dict[str, ProbeStatus] = {}
        """Of what was over when it came, until the bus has it no more."""
        self._said = Said()

    @property
    def deadline(self) -> float | None:
        """When `time_passed` is to be called."""
        ends = (each.message.expires for each in self._known.values())
        return min((*ends, *self._again.values()), default=None)

    @property
    def said(self) -> Said:
        """For the report: all statuses, and the rest as the tap said it last."""
        probes = (*self._statuses.values(), *self._late.values())
        return msgspec.structs.replace(self._said, probes=probes)

    # From the bus ---------------------------------------------------------------------------------------------

    def seen(self, probe: str, message: ProbeMessage | None, now: float) -> list[Effect]:
        """What is on the probe's topic now; None: nothing any more."""
        told: list[Effect] = [] if self._late.pop(probe, None) is None else [Tell()]
        if message is None or message.expires <= now:
            told += self._came_late(message, now) if isinstance(message, Probe) else []
            return told[:1] or self._over(probe)
        return told + self._seen(probe, message, now)

    def _seen(self, probe: str, message: ProbeMessage, now: float) -> list[Effect]:
        known = self._known.get(probe)
        if known is not None and _is_older(message, known.message):
            return []
        if known is None and len(self._known) >= MOST_KNOWN:
            return []
        wanted = isinstance(message, Probe) and self._wants(message)
        if isinstance(message, Probe):
            message = msgspec.structs.replace(message, chosen=None)  # may be long, and is decided
        self._known[probe] = _Known(message, wanted)
        if not wanted:
            had = probe in self._statuses or (known is not None and known.wanted)
            return self._drop(probe) if had else []
        return [] if known is not None and known.wanted else self._put(probe, now)

    def _came_late(self, probe: Probe, now: float) -> list[Effect]:
        is_late = now - probe.expires > CLOCKS_APART and probe.id not in self._known
        if not is_late or len(self._late) >= MOST_LATE or not self._wants(probe):
            return []
        why = (
            f"its time was over {round(now - probe.expires)} seconds before it came here, by this host's clock; if other "
            "processes have it, this clock is ahead: set it right (NTP)"
        )
        self._late[probe.id] = ProbeStatus(id=probe.id, state="error", message=why, title=title(probe.spec))
        return [Tell()]

    def _wants(self, probe: Probe) -> bool:
        chosen = probe.chosen is None or str(self._process) in probe.chosen
        return chosen and means(probe, self._process, self._labels)

    # From the tap ---------------------------------------------------------------------------------------------

    def tap_came(self, now: float) -> list[Effect]:
        """On a new line: it may have them all, some or none."""
        self._tap = True
        self._dropping.clear()
        return [
            effect for probe, known in self._known.items() if known.wanted for effect in self._put(probe, now)
        ]

    def tap_lost(self) -> None:
        self._tap = False
        self._again.clear()

    def put(self, probe: str, status: ProbeStatus) -> list[Effect]:
        """The tap has it, in this state when it answered."""
        if probe not in self._asked or not self._is_wanted(probe):
            return []
        self._asked.discard(probe)
        self._statuses[probe] = status
        return [Tell()]

    def refused(self, probe: str, why: str, now: float, *, again: bool) -> list[Effect]:
        """The tap cannot have it, for now (`again`) or at all."""
        known = self._known.get(probe)
        if known is None or not known.wanted or not isinstance(known.message, Probe):
            return []
        if again:
            self._again[probe] = now + AGAIN_AFTER
        self._asked.discard(probe)
        named = title(known.message.spec)
        self._statuses[probe] = ProbeStatus(id=probe, state="error", message=why, title=named)
        return [Tell()]

    def dropped(self, probe: str) -> None:
        self._dropping.discard(probe)

    def unanswered(self, probe: str, now: float) -> None:
        """Whatever it was told of the probe."""
        self._dropping.discard(probe)
        if self._tap:
            self._again[probe] = now + AGAIN_AFTER

    def reported(self, said: Said, now: float) -> list[Effect]:
        """All that the tap has. What it refused stays, and what ended there and made room for others."""
        effects: list[Effect] = []
        told: dict[str, ProbeStatus] = {}
        for status in said.probes:
            known = self._known.get(status.id)
            if status.id in self._dropping:
                continue
            if known is not None and not known.wanted:
                effects += self._drop(status.id)
                continue
            self._asked.discard(status.id)
            told[status.id] = status
        for probe, status in self._statuses.items():
            if (
                probe not in told
                and self._is_wanted(probe)
                and (status.state in {"error", "expired"} or probe in self._asked)
            ):
                told[probe] = status
        changed = told != self._statuses or (said.lost, said.cpu) != (self._said.lost, self._said.cpu)
        self._statuses, self._said = told, said
        return [*effects, Tell()] if changed else effects

    # Time -----------------------------------------------------------------------------------------------------

    def time_passed(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for probe in [each for each, known in self._known.items() if known.message.expires <= now]:
            effects += self._over(probe)
        for probe in [each for each, at in self._again.items() if at <= now]:
            del self._again[probe]
            if self._tap:
                effects += self._put(probe, now) if self._is_wanted(probe) else self._drop(probe)
        return effects

    # ----------------------------------------------------------------------------------------------------------

    def _is_wanted(self, probe: str) -> bool:
        return (known := self._known.get(probe)) is not None and known.wanted

    def _put(self, probe: str, now: float) -> list[Effect]:
        message = self._known[probe].message
        if not self._tap or not isinstance(message, Probe):
            return []
        self._asked.add(probe)
        self._again.pop(probe, None)
        whole = msgspec.structs.replace(message, spec=with_limits(message.spec))
        return [Put(whole, min(message.expires - now, message.expires - message.created))]

    def _drop(self, probe: str) -> list[Effect]:
        """Also of one that the tap may never have had: it may be an earlier sidecar's."""
        effects: list[Effect] = []
        if self._tap:
            self._dropping.add(probe)
            effects.append(Drop(probe))
        self._again.pop(probe, None)
        self._asked.discard(probe)
        if self._statuses.pop(probe, None) is not None:
            effects.append(Tell())
        return effects

    def _over(self, probe: str) -> list[Effect]:
        known = self._known.pop(probe, None)
        had = (known is not None and known.wanted) or probe in self._statuses
        self._again.pop(probe, None)
        return self._drop(probe) if had else []


def with_limits(spec: ProbeSpec) -> ProbeSpec:
    """As it holds: what was left to its kind is said."""
    rate = hits_per_second(spec)
    burst = spec.burst if spec.burst is not None or rate is None else max(1, int(rate))
    return msgspec.structs.replace(spec, max_hits=most_hits(spec), rate=rate, burst=burst)


def _is_older(message: ProbeMessage, known: ProbeMessage) -> bool:
    if isinstance(known, ProbeRemoved):
        return True
    return isinstance(message, Probe) and message.revision < known.revision
