"""Gathers what a report is made of: the metrics of each process that is online, for as long as that takes, and what the history
says. Pure; part of the core.

    asked --all are heard, or `PATIENCE` is over; and the history has answered--> told
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sonde_broker import access, answers
from sonde_broker.calls import Call
from sonde_broker.fleet import Fleet
from sonde_broker.history_desk import HistoryDesk, sight
from sonde_broker.interest import Interest
from sonde_broker.queries import Answer, Summary, SumUp
from sonde_broker.relay_io import Effect, Instant, Send, ViewerId
from sonde_broker.report import Material, build
from sonde_broker.subscribing import filters_of
from sonde_broker.tokens import Claims
from sonde_wire import Address, Code, Failure, MalformedMessage, Reason, Refused, Selector, bus, codec, rpc

PATIENCE = 2.5
"""Seconds: metrics are told each second."""
_DAY = 24 * 3600.0
MOST_REPORTS = 8
"""Under way at a time, of all viewers."""


@dataclass(eq=False)
class _Report:
    viewer: ViewerId
    request: int | str
    selector: Selector
    since: float
    sees: Callable[[Address], bool]
    until: float
    missing: set[Address]
    samples: dict[Address, bytes] = field(default_factory=dict)
    summary: Summary | None = None
    asked: bool = False
    """The history has not answered yet."""


class Reporting:
    def __init__(self, fleet: Fleet, interest: Interest, history: HistoryDesk) -> None:
        self._fleet = fleet
        self._interest = interest
        self._history = history
        self._reports: list[_Report] = []

    def deadline(self) -> float | None:
        return min((each.until for each in self._reports if not each.asked), default=None)

    def begin(
        self, viewer: ViewerId, claims: Claims, params: rpc.MakeReport, call: Call, now: Instant
    ) -> list[Effect]:
        """After the method's scope was judged. Raises `Refused`. `settle` goes on with it."""
        if len(self._reports) >= MOST_REPORTS:
            raise Refused(
                Code.RESOURCE_EXHAUSTED,
                Reason.TOO_MANY,
                "too many reports are being made; try again in a moment",
            )
        selector = Selector.parse(params.selector)
        access.require_overlap(claims, selector)
        sees = access.sight(claims.selectors)
        report = _Report(
            viewer=viewer,
            request=call.id,
            selector=selector,
            since=now.wall - _DAY if params.since is None else params.since,
            sees=sees,
            until=now.steady + PATIENCE,
            missing={
                process for process, known in self._fleet.matching(selector) if known.online and sees(process)
            },
        )
        self._reports.append(report)
        if report.missing:
            filters = filters_of(("metrics",), selector, claims.selectors)
            self._interest.want(report, filters, now.steady)
        if not self._history.there:
            return []
        report.asked = True

        def answered(found: Answer | Failure, _: Instant) -> list[Effect]:
            report.asked = False
            if isinstance(found, Summary):
                report.summary = found
            return []

        return self._history.ask(SumUp(selector, report.since, sight(claims)), answered, now)

    def viewer_left(self, viewer: ViewerId, now: Instant) -> None:
        for report in [each for each in self._reports if each.viewer == viewer]:
            self._end(report, now)

    def metrics(self, process: Address, encoded: bytes) -> None:
        for report in self._reports:
            if process in report.missing:
                report.missing.discard(process)
                report.samples[process] = encoded

    def settle(self, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for report in list(self._reports):
            if report.asked or (report.missing and now.steady < report.until):
                continue
            self._end(report, now)
            effects.append(
                Send(report.viewer, answers.result(report.request, build(self._material(report, now))))
            )
        return effects

    def _end(self, report: _Report, now: Instant) -> None:
        self._reports.remove(report)
        self._interest.want(report, (), now.steady)

    def _material(self, report: _Report, now: Instant) -> Material:
        return Material(
            selector=str(report.selector),
            time=now.wall,
            since=report.since,
            states={
                process: known.presence.state
                for process, known in self._fleet.matching(report.selector)
                if report.sees(process)
            },
            metrics={
                process: sample
                for process, encoded in report.samples.items()
                if (sample := _read(encoded)) is not None
            },
            summary=report.summary,
            store=self._history.status.store,
        )


def _read(encoded: bytes) -> bus.Metrics | None:
    try:
        return codec.decode(encoded, bus.Metrics)
    except MalformedMessage:
        return None
