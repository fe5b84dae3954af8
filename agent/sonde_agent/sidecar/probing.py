"""The face around `probes`: gives the tap its probes, takes what they bring, and has the report ready for the bus.

What the tap says is checked here, field by field: it comes out of a stranger's process. A hit that is not what it
should be, or is too large, is dropped and logged; the others go on.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, assert_never

import msgspec

from sonde_agent.sidecar.errors import TapFault, TapLost
from sonde_agent.sidecar.probes import Drop, Effect, Probes, Put, Said, Tell
from sonde_agent.sidecar.taps import TapLine
from sonde_wire import Address, Code, MalformedMessage, bus, codec
from sonde_wire.probes import Probe, ProbeMessage, ProbeReport, ProbeStatus

logger = logging.getLogger(__name__)

PUT_WITHIN = 5.0
LARGEST_EVENT = 256 * 1024
MOST_STATUSES = 256
_LONGEST_SENTENCE = 1000
_LOOK_AGAIN = 60.0
"""Seconds after which the clock is read again at the latest: somebody may set it."""
_COMPLAIN_EVERY = 100

_KINDS: Mapping[str, type[bus.Event]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (bus.SnapshotTaken, bus.ProbeLogged, bus.WatchChanged, bus.ProbeChanged)
}
_BASE = frozenset(bus.Event.__struct_fields__)
_WRONG = (
    msgspec.ValidationError,
    MalformedMessage,
    ValueError,
    OverflowError,
    TypeError,
    RecursionError,
)
_T = TypeVar("_T", ProbeStatus, Said)


class Probing:
    """`tell` puts an event into the journal, `changed` has the report published. `take` gives it the tap's line as it is
    now; one task, `probes`, which tells the tap one thing after the other, from `begin` to `end`."""

    def __init__(
        self,
        address: Address,
        boot: str,
        labels: Mapping[str, str],
        tell: Callable[[type[bus.Event], float, dict[str, Any]], None],
        changed: Callable[[], None],
    ) -> None:
        self._address = address
        self._boot = boot
        self._tell = tell
        self._changed = changed
        self._core = Probes(address, labels)
        self._line: TapLine | None = None
        self._orders: deque[Put | Drop] = deque()
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self._gone = False
        self._malformed = 0

    def take(self, line: TapLine) -> None:
        self._line = line
        line.listener = self
        self._orders.clear()
        self._perform(self._core.tap_came(time.time()))

    def begin(self, group: asyncio.TaskGroup) -> None:
        self._task = group.create_task(self._tell_tap(), name=f"probes {self._address}")

    def end(self, *, gone: bool) -> None:
        """`gone`: so is the process, and nothing is left to report of it."""
        self._ended, self._gone = True, gone
        if self._task is not None:
            self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._changed()

    # The uplink's ---------------------------------------------------------------------------------------------

    def seen(self, probe: str, message: ProbeMessage | None) -> None:
        self._perform(self._core.seen(probe, message, time.time()))

    def report(self) -> bytes:
        """Empty when there is nothing to say."""
        said = self._core.said
        if self._gone or not said.probes:
            return b""
        report = ProbeReport(
            process=str(self._address),
            boot=self._boot,
            time=time.time(),
            probes=said.probes,
            budget=said.budget,
            cpu=said.cpu,
            lost=said.lost,
        )
        return codec.encode(report)

    # The line's -----------------------------------------------------------------------------------------------

    def hits(self, hits: list[dict[str, Any]]) -> None:
        for hit in hits:
            try:
                kind, at, fields = self._read_hit(hit)
            except _WRONG as error:
                self._complain(f"what a probe brought: {error}")
            else:
                self._tell(kind, at, fields)

    def reported(self, line: TapLine, report: dict[str, Any]) -> None:
        if line is self._line:
            self._perform(self._core.reported(self._read_report(report), time.time()))

    def lost(self, line: TapLine) -> None:
        if line is self._line:
            self._orders.clear()
            self._core.tap_lost()

    # ----------------------------------------------------------------------------------------------------------

    def _read_hit(self, hit: dict[str, Any]) -> tuple[type[bus.Event], float, dict[str, Any]]:
        kind = _KINDS.get(str(hit.get("type")))
        if kind is None:
            raise ValueError(f"type {hit.get('type')!r:.40} is not known")
        whole = {
            **hit,
            "process": str(self._address),
            "boot": self._boot,
            "seq": 1,
            "session": None,
            "cause": None,
        }
        event = msgspec.convert(whole, kind)
        if isinstance(event, bus.ProbeChanged):
            event = msgspec.structs.replace(event, status=_bounded(event.status))
        payload = codec.encode(event)
        if len(payload) > LARGEST_EVENT:
            raise ValueError(f"{len(payload)} bytes, more than {LARGEST_EVENT}")
        codec.decode(payload, kind)
        fields = {name: getattr(event, name) for name in kind.__struct_fields__ if name not in _BASE}
        return kind, event.time, fields

    def _read_report(self, report: dict[str, Any]) -> Said:
        statuses: list[ProbeStatus] = []
        listed = report.get("probes")
        for each in listed[:MOST_STATUSES] if isinstance(listed, list) else []:
            try:
                statuses.append(_readable(_bounded(msgspec.convert(each, ProbeStatus))))
            except _WRONG as error:
                self._complain(f"a probe's state: {error}")
        try:
            said = _readable(msgspec.convert({**report, "probes": []}, Said))
        except _WRONG as error:
            self._complain(f"a report of probes: {error}")
            said = Said()
        return msgspec.structs.replace(said, probes=tuple(statuses))

    def _complain(self, what: str) -> None:
        self._malformed += 1
        if self._malformed % _COMPLAIN_EVERY == 1:
            logger.warning("%s: ignored %s (%d so far)", self._address, what, self._malformed)

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Put() | Drop():
                    self._orders.append(effect)
                    self._wake.set()
                case Tell():
                    self._changed()
                case _:
                    assert_never(effect)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._core.deadline
        if deadline is not None and not self._ended:
            wait = min(max(0.0, deadline - time.time()), _LOOK_AGAIN)
            self._timer = asyncio.get_running_loop().call_later(wait, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self._perform(self._core.time_passed(time.time()))

    async def _tell_tap(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._orders:
                await self._order(self._orders.popleft())

    async def _order(self, order: Put | Drop) -> None:
        assert self._line is not None  # noqa: S101 - without a line nothing is ordered
        probe = order.probe.id if isinstance(order, Put) else order.id
        try:
            if isinstance(order, Drop):
                await self._line.call("probes.drop", PUT_WITHIN, id=probe)
                self._core.dropped(probe)
                return
            value = await self._line.call("probes.put", PUT_WITHIN, probe=_for_tap(order.probe, order.left))
            effects = self._core.put(probe, _readable(_bounded(msgspec.convert(value, ProbeStatus))))
        except TapLost:
            return  # it gets them all when it comes back
        except TapFault as error:
            effects = self._failed(order, probe, error)
        except _WRONG as error:
            self._complain(f"an answer: {error}")
            self._core.unanswered(probe, time.time())
            effects = []
        self._perform(effects)

    def _failed(self, order: Put | Drop, probe: str, error: TapFault) -> list[Effect]:
        failure = error.failure
        logger.warning("%s: probe %s: %s", self._address, probe, failure.message)
        if isinstance(order, Drop) or failure.code is Code.DEADLINE_EXCEEDED:
            self._core.unanswered(probe, time.time())
            return []
        again = failure.code is Code.RESOURCE_EXHAUSTED
        return self._core.refused(probe, failure.message[:_LONGEST_SENTENCE], time.time(), again=again)


def _for_tap(probe: Probe, left: float) -> dict[str, Any]:
    return {
        "id": probe.id,
        "spec": msgspec.to_builtins(probe.spec),
        "left": left,
        "revision": probe.revision,
    }


def _readable(message: _T) -> _T:
    """As whoever reads it on the bus will have it. JSON has no infinity: one would spoil the whole report for them."""
    return codec.decode(codec.encode(message), type(message))


def _bounded(status: ProbeStatus) -> ProbeStatus:
    """Its sentences are for people: nobody reads more."""
    return msgspec.structs.replace(
        status,
        message=status.message[:_LONGEST_SENTENCE],
        failure=status.failure[:_LONGEST_SENTENCE],
        title=status.title[:_LONGEST_SENTENCE],
        places=status.places[:100],
    )
