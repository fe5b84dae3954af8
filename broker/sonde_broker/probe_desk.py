"""Performs what viewers ask of probes, and tells those who subscribed what becomes of them. Pure; part of the core.

Who subscribed to `probes` is told of a change at once, and then of the same probe at most each `EVERY` seconds, less
often where very many processes have it. Each is told what its own token lets it see.
"""

import logging
from collections.abc import Callable

from msgspec import Raw, Struct

from sonde_broker import access, answers
from sonde_broker.calls import Call
from sonde_broker.commands import bus_lost
from sonde_broker.deadlines import Deadlines
from sonde_broker.fleet import Fleet
from sonde_broker.history_desk import HistoryDesk
from sonde_broker.probe_rules import check
from sonde_broker.probe_states import States, shown, without_values
from sonde_broker.probes import Ended, Live, Probes
from sonde_broker.relay_io import Effect, EventsSeen, Instant, KeepProbes, Send, ViewerId
from sonde_broker.results import Result, Results
from sonde_broker.subscriptions import Group, Subscriptions
from sonde_broker.tokens import Claims
from sonde_wire import Address, Code, Failure, Reason, Refused, Scope, Selector, bus, codec, rpc
from sonde_wire.probes import ProbeMessage, ProbeReport, ProbeSpec, concerns, scope_for, title

logger = logging.getLogger(__name__)

EVERY = 0.25
_PER_PROCESS = 1e-4
"""Seconds between two tellings for each process: counting is in proportion to them."""
KEEP_EVERY = 0.25
MOST_COUNTED = 1000
"""Probes, and tokens' selectors for each, of which the totals are remembered."""
_FRAME_BYTES = 64 * 1024


class _Tells(Struct, frozen=True):
    probe: str


class _Keeps(Struct, frozen=True):
    pass


class ProbeDesk:
    """`flush` sends what groups have collected, now or at the end of their windows. Every method that returns effects
    is to be followed by `settle`, once, which adds what subscribers are told."""

    def __init__(
        self,
        fleet: Fleet,
        subscriptions: Subscriptions,
        new_id: Callable[[], str],
        flush: Callable[[list[Group], Instant], list[Effect]],
        *,
        history: HistoryDesk,
        leads: Callable[[str], bool],
    ) -> None:
        self._subscriptions = subscriptions
        self._flush = flush
        self._history = history
        self._probes = Probes(fleet, new_id, leads)
        self._states = States(fleet)
        self._results = Results()
        self._told: dict[str, float] = {}
        self._totals: dict[str, dict[tuple[Selector, ...], rpc.ProbeTotals]] = {}
        """Of each probe since it has last changed, by the selectors of a token."""
        self._selectors: tuple[Selector, ...] | None = None
        """Of all live probes, since one has last changed."""
        self._bus_up = False
        self._kept = float("-inf")
        self._deadlines: Deadlines[_Tells | _Keeps] = Deadlines()

    def __len__(self) -> int:
        return sum(1 for _ in self._probes.live())

    def selectors(self) -> tuple[Selector, ...]:
        """Of all live probes."""
        if self._selectors is None:
            live = self._probes.live()
            self._selectors = tuple({Selector.parse(each.probe.spec.target.selector) for each in live})
        return self._selectors

    def deadline(self) -> float | None:
        due = (self._deadlines.next(), self._probes.deadline())
        return min((each for each in due if each is not None), default=None)

    # What viewers ask -----------------------------------------------------------------------------------------

    def perform(self, viewer: ViewerId, claims: Claims, call: Call, now: Instant) -> list[Effect]:
        """After the method's scope was judged. Raises `Refused`."""
        effects: list[Effect] = []
        match call.params:
            case rpc.AddProbe(probe=spec):
                info, published = self._add(claims, spec, now)
                effects, result = published, codec.raw(info)
            case rpc.ListProbes(selector=text, ended=ended):
                result = codec.raw(self._list(claims, Selector.parse(text), ended, now))
            case rpc.ProbeResultsCall(probe=probe, limit=limit):
                self._require(claims, probe)
                events, more = self._results.of_probe(probe, limit, access.sight(claims.selectors))
                if self._history.there:
                    return self._history.find_results(viewer, claims, probe, limit, events, call, now)
                result = codec.raw(rpc.ProbeResults(events=events, more=more))
            case rpc.OfSnapshot(snapshot=snapshot):
                kept = self._results.snapshot(snapshot)
                if kept is not None and access.sees(claims, kept.process):
                    result = Raw(kept.event)
                elif self._history.there:
                    missing = _unknown_snapshot(snapshot)
                    return self._history.find_snapshot(viewer, claims, snapshot, missing, call, now)
                else:
                    raise Refused.from_failure(_unknown_snapshot(snapshot))
            case rpc.OfProbe(probe=probe) if call.method == "probe.show":
                result = codec.raw(self._show(claims, probe))
            case rpc.OfProbe(probe=probe):
                effects, result = self._remove(claims, probe, now), codec.raw(bus.Done())
            case _:
                raise AssertionError(f"no way to perform {call.method}")
        return [*effects, Send(viewer, answers.result(call.id, result))]

    def _add(self, claims: Claims, spec: ProbeSpec, now: Instant) -> tuple[rpc.ProbeInfo, list[Effect]]:
        access.require_scope(claims, scope_for(spec), "a probe with `python` or `calls_user_code`")
        access.require_overlap(claims, Selector.parse(spec.target.selector))
        check(spec)
        if not self._bus_up:
            raise bus_lost()
        probe, published = self._probes.add(spec, claims, now)
        logger.info(
            "%s (token %s) adds probe %s: %s on %s, for %.0f s",
            *(claims.subject, claims.token_id, probe.id, title(spec), spec.target.selector, spec.ttl),
        )
        return self._info(self._require(claims, probe.id), claims.selectors), [*published]

    def _remove(self, claims: Claims, probe: str, now: Instant) -> list[Effect]:
        entry = self._probes.get(probe)
        access.require_removal(claims, entry.probe if entry else None, probe)
        logger.info("%s (token %s) removes probe %s", claims.subject, claims.token_id, probe)
        return [*self._probes.remove(probe, claims.subject, now)]

    def _list(self, claims: Claims, selector: Selector, ended: bool, now: Instant) -> rpc.ProbeList:
        entries: list[Live | Ended] = [*self._probes.live()]
        if ended:
            entries += self._probes.ended(now)
        infos = (
            self._info(each, claims.selectors)
            for each in entries
            if concerns(each.probe, (selector,)) and concerns(each.probe, claims.selectors)
        )
        return rpc.ProbeList(probes=tuple(infos))

    def _show(self, claims: Claims, probe: str) -> rpc.ProbeDetail:
        entry = self._require(claims, probe)
        sees = access.sight(claims.selectors)
        values = Scope.INSPECT in claims.scopes
        found = sorted(self._states.in_processes(entry, sees), key=lambda each: each[0])
        processes = (
            rpc.ProbeInProcess(
                process=str(process), status=status if values or status is None else without_values(status)
            )
            for process, status in found
        )
        return rpc.ProbeDetail(info=self._info(entry, claims.selectors), processes=tuple(processes))

    def _require(self, claims: Claims, probe: str) -> Live | Ended:
        entry = self._probes.get(probe)
        if entry is None or not concerns(entry.probe, claims.selectors):
            raise access.unknown_probe(probe)
        return entry

    def _info(self, entry: Live | Ended, selectors: tuple[Selector, ...]) -> rpc.ProbeInfo:
        """Counted anew only when something has changed: many ask, and there may be very many processes."""
        sees = access.sight(selectors)
        counted = self._totals.setdefault(entry.probe.id, {})
        if len(self._totals) > MOST_COUNTED or len(counted) > MOST_COUNTED:
            self._totals, counted = {}, {}
        if (totals := counted.get(selectors)) is None:
            totals = counted[selectors] = self._states.totals(entry, sees)
        return rpc.ProbeInfo(
            probe=shown(entry.probe, sees),
            totals=totals,
            state=entry.state if isinstance(entry, Ended) else "live",
        )

    def subscribed(self, viewer: ViewerId, claims: Claims, selector: Selector) -> list[Effect]:
        """All live ones at once, in frames of moderate size."""
        effects: list[Effect] = []
        part: list[bytes] = []
        for live in self._probes.live():
            if concerns(live.probe, (selector,)) and concerns(live.probe, claims.selectors):
                part.append(codec.encode(self._info(live, claims.selectors)))
            if sum(map(len, part)) >= _FRAME_BYTES:
                effects.append(Send(viewer, answers.spliced("probes", part)))
                part = []
        return [*effects, Send(viewer, answers.spliced("probes", part))] if part else effects

    # From the bus ---------------------------------------------------------------------------------------------

    def restore(self, messages: tuple[ProbeMessage, ...], now: Instant) -> None:
        self._probes.restore(messages, now)
        self._probes.unkept = False

    def bus_changed(self, up: bool, now: Instant) -> None:
        self._bus_up = up
        self._probes.bus_changed(up, now)

    def seen(self, probe: str, message: ProbeMessage | None, now: Instant) -> list[Effect]:
        return [*self._probes.seen(probe, message, now)]

    def reported(self, process: Address, report: ProbeReport | None) -> None:
        changed = self._states.forget(process) if report is None else self._states.reported(process, report)
        for probe in changed:
            self._probes.status_changed(probe)

    def process_changed(self, process: Address, now: Instant) -> None:
        self._probes.process_changed(process, now)

    def process_forgotten(self, process: Address, now: Instant) -> bool:
        """Whether it had said anything of probes, which the bus may still retain."""
        had = self._states.knows(process)
        self.reported(process, None)
        self._probes.process_changed(process, now)
        return had

    def keep_results(self, seen: EventsSeen) -> None:
        batch = seen.batch
        for index in seen.brought:
            header = seen.headers[index]
            if header.type == "probe_changed":
                continue
            snapshot = f"{batch.boot[:12]}-{header.seq}" if header.type == "snapshot_taken" else None
            self._results.add(Result(header.probe, seen.process, bytes(batch.events[index]), snapshot))

    def time_passed(self, now: Instant) -> list[Effect]:
        effects: list[Effect] = [*self._probes.time_passed(now)]
        for due in self._deadlines.take_due(now.steady):
            if isinstance(due, _Tells):
                effects += self._tell(due.probe, now)
        return effects

    def kept(self) -> tuple[ProbeMessage, ...]:
        return self._probes.kept()

    # What subscribers are told --------------------------------------------------------------------------------

    def settle(self, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for probe in self._probes.take_changed():
            self._selectors = None
            self._totals.pop(probe, None)
            entry = self._probes.get(probe)
            if isinstance(entry, Ended):
                self._states.keep(entry)
            due = self._told.get(probe, float("-inf")) + self._pause(entry)
            if now.steady >= due:
                effects += self._tell(probe, now)
            else:
                self._deadlines.begin(_Tells(probe), due)
        if self._probes.unkept:
            if now.steady >= self._kept + KEEP_EVERY:
                self._kept, self._probes.unkept = now.steady, False
                effects.append(KeepProbes(self._probes.kept()))
            else:
                self._deadlines.begin(_Keeps(), self._kept + KEEP_EVERY)
        return effects

    def _pause(self, entry: Live | Ended | None) -> float:
        return max(EVERY, len(entry.processes) * _PER_PROCESS) if entry is not None else EVERY

    def _tell(self, probe: str, now: Instant) -> list[Effect]:
        self._deadlines.clear(_Tells(probe))
        entry = self._probes.get(probe)
        if isinstance(entry, Live):
            self._told[probe] = now.steady
        else:
            self._told.pop(probe, None)
        if entry is None:
            return []
        groups = self._subscriptions.about_probe(entry.probe)
        made: dict[tuple[Selector, ...], bytes] = {}
        for group in groups:
            allowed = group.key.allowed
            if allowed not in made:
                made[allowed] = codec.encode(self._info(entry, allowed))
            group.collect_probe(probe, made[allowed])
        return self._flush(groups, now)


def _unknown_snapshot(snapshot: str) -> Failure:
    return Failure(
        code=Code.NOT_FOUND,
        reason=Reason.UNKNOWN_SNAPSHOT,
        message=f"there is no snapshot {snapshot} here, or none that your token lets you see; a history keeps more than "
        "the newest (--history)",
    )
