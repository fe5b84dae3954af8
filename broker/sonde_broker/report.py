"""A report on a part of the fleet, from what its processes tell and what is remembered. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from sonde_broker.queries import EndedProcess, Summary
from sonde_wire import Address, bus, history
from sonde_wire.rpc import StoreState

MOST_PEAKS = 20
MOST_OPERATIONS = 200
MOST_UNHEARD = 1000


class Material(Struct, frozen=True):
    selector: str
    time: float
    since: float
    states: Mapping[Address, str]
    """Of the processes that are known."""
    metrics: Mapping[Address, bus.Metrics]
    """The newest of those that are online."""
    summary: Summary | None
    store: StoreState


def build(material: Material) -> history.FleetReport:
    states = Counter(material.states.values())
    summary = material.summary
    ended = {
        each.process: each
        for each in (summary.ended if summary else ())
        if each.process not in material.metrics
    }
    samples = dict(material.metrics)
    samples |= {process: each.metrics for process, each in ended.items() if each.metrics is not None}
    operations = _operations(samples)
    errors: Counter[str] = Counter()
    for operation in operations:
        errors.update(operation.errors)
    errors.update(_bad_exit(each) for each in (summary.ended if summary else ()) if _bad_exit(each))
    finished = sum(each.total.ended - each.total.cancelled for each in operations)
    failed = sum(each.total.errors for each in operations)
    return history.FleetReport(
        selector=material.selector,
        time=material.time,
        since=material.since,
        online=states["online"],
        ended=max(states["ended"], len({each.process for each in summary.ended}) if summary else 0),
        lost=states["lost"],
        unheard=tuple(
            str(process)
            for process in sorted(material.states)
            if material.states[process] == "online" and process not in material.metrics
        )[:MOST_UNHEARD],
        events=summary.events if summary else {},
        sessions=summary.sessions if summary else 0,
        open_sessions=summary.open_sessions if summary else 0,
        session_time=summary.session_time if summary else 0.0,
        snapshots=summary.events.get("snapshot_taken", 0) if summary else 0,
        operations=tuple(operations[:MOST_OPERATIONS]),
        success_rate=(finished - failed) / finished if finished else None,
        error_rate=failed / finished if finished else None,
        errors=dict(errors.most_common()),
        peaks=_peaks(samples),
        history=material.store,
    )


def _operations(samples: Mapping[Address, bus.Metrics]) -> list[history.OperationReport]:
    """The slowest first."""
    grouped: dict[tuple[str, str], list[bus.OperationMetrics]] = {}
    for process, sample in samples.items():
        for operation in sample.operations:
            grouped.setdefault((process.service, operation.name), []).append(operation)
    reports = [_operation(*key, each) for key, each in grouped.items()]
    return sorted(reports, key=_slowness, reverse=True)


def _slowness(report: history.OperationReport) -> float:
    return report.total.duration.most if report.total.duration else 0.0


def _operation(service: str, name: str, parts: Sequence[bus.OperationMetrics]) -> history.OperationReport:
    totals = [part.total for part in parts]
    ended, errors = sum(each.ended for each in totals), sum(each.errors for each in totals)
    cancelled = sum(each.cancelled for each in totals)
    counted = ended - cancelled
    kinds: Counter[str] = Counter()
    for part in parts:
        kinds.update(part.error_types)
    return history.OperationReport(
        service=service,
        name=name,
        processes=len(parts),
        total=bus.Counts(
            ended=ended,
            errors=errors,
            cancelled=cancelled,
            scope_errors=sum(each.scope_errors for each in totals),
            success_rate=(counted - errors) / counted if counted else None,
            error_rate=errors / counted if counted else None,
            duration=_duration(totals),
        ),
        errors=dict(kinds.most_common()),
    )


def _duration(totals: Sequence[bus.Counts]) -> bus.Duration | None:
    timed = [(each.duration, each.ended) for each in totals if each.duration is not None and each.ended]
    if not timed:
        return None
    durations = [duration for duration, _ in timed]
    return bus.Duration(
        average=sum(duration.average * ended for duration, ended in timed) / sum(ended for _, ended in timed),
        least=min(each.least for each in durations),
        most=max(each.most for each in durations),
        p50=max(each.p50 for each in durations),
        p90=max(each.p90 for each in durations),
        p99=max(each.p99 for each in durations),
    )


def _peaks(samples: Mapping[Address, bus.Metrics]) -> tuple[history.ProcessPeaks, ...]:
    found = [(process, sample.peaks) for process, sample in samples.items() if sample.peaks is not None]
    found.sort(key=lambda each: each[1].memory_rss or 0, reverse=True)
    return tuple(
        history.ProcessPeaks(process=str(process), peaks=peaks) for process, peaks in found[:MOST_PEAKS]
    )


def _bad_exit(ended: EndedProcess) -> str:
    """Empty when it ended as it should, or nobody knows."""
    if ended.exit.signal is not None:
        return f"exit by {ended.exit.signal}"
    return f"exit code {ended.exit.code}" if ended.exit.code else ""
