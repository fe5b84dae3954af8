"""The probes in a table, and one of them process by process."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sonde_viewer import screen
from sonde_viewer.probes import targets
from sonde_viewer.untrusted import one_line
from sonde_wire import rpc
from sonde_wire.probes import (
    Counter,
    Gauge,
    Histogram,
    Log,
    Measured,
    ProbeSpec,
    ProbeStatus,
    Snapshot,
    Timer,
    Watch,
    hits_per_second,
    most_hits,
    title,
)

STYLES = {
    "pending": "yellow",
    "active": "green",
    "hit": "green",
    "throttled": "yellow",
    "suspended": "bold yellow",
    "expired": "dim",
    "error": "bold red",
    "unheard": "dim",
}
_MOST_NAMES = 3


def listed(infos: Iterable[rpc.ProbeInfo], now: float) -> Table:
    head = ("ID", "NAME", "WHAT", "ON", "STATE", "INSTALLED", "HITS", "LEFT", "BY", "NOTES")
    table = screen.table(*head, right=("INSTALLED", "HITS", "LEFT"))
    for info in sorted(infos, key=lambda each: each.probe.created):
        probe, totals = info.probe, info.totals
        live = info.state == "live"
        table.add_row(
            probe.id,
            screen.cell(probe.spec.name),
            screen.cell(f"{title(probe.spec)}{_expressions(probe.spec)}"),
            screen.cell(targets.shown(probe.spec.target)),
            screen.cell(info.state, "green" if live else "dim"),
            f"{totals.installed}/{totals.processes}",
            str(totals.hits),
            screen.span(probe.expires - now) if live else "-",
            screen.cell(probe.creator),
            screen.cell(notes(totals), "bold red" if totals.error else "yellow"),
        )
    return table


def notes(totals: rpc.ProbeTotals) -> str:
    """What is not as one would wish, such as `3 pending, 1 error`."""
    counts = (
        ("pending", totals.pending),
        ("throttled", totals.throttled),
        ("suspended", totals.suspended),
        ("expired", totals.expired),
        ("error", totals.error),
        ("not heard of", totals.unheard),
    )
    return ", ".join(f"{count} {what}" for what, count in counts if count)


def _expressions(spec: ProbeSpec) -> str:
    match spec.kind:
        case Snapshot(expressions=expressions) if expressions:
            said = ", ".join(expressions)
        case Log(template=template):
            said = template
        case Counter(expression=str(text)) | Gauge(expression=text) | Histogram(expression=text):
            said = text
        case Watch(expression=text):
            said = text
        case Timer(until=int(line)):
            return f" until line {line}"
        case _:
            said = ""
    condition = f" if {spec.condition}" if spec.condition else ""
    return f"  {said}{condition}".rstrip()


def show(console: Console, detail: rpc.ProbeDetail, now: float) -> None:
    info = detail.info
    probe, spec = info.probe, info.probe.spec
    name = f" {spec.name}" if spec.name else ""
    _say(console, f"probe {probe.id}{name}: {title(spec)}{_expressions(spec)}", "bold")
    _say(console, f"on {targets.shown(spec.target)}, by {probe.creator}; {_life(info, now)}")
    _say(console, _limits(spec))
    _say(console, installed(detail))
    console.print()
    if detail.processes:
        console.print(_processes(detail.processes, spec, now))
    for line, style in reasons(detail.processes):
        _say(console, line, style)
    if any(each.status and each.status.engine == "rewriting" for each in detail.processes):
        _say(
            console,
            "before Python 3.12 a probe is placed by rewriting the code of its function; docs/probes.md has the cost",
            "dim",
        )


def _life(info: rpc.ProbeInfo, now: float) -> str:
    if info.state == "live":
        return f"expires in {screen.span(info.probe.expires - now)}"
    return info.state


def _limits(spec: ProbeSpec) -> str:
    hits, rate = most_hits(spec), hits_per_second(spec)
    limits = [f"at most {_hits(hits)}" if hits else "", f"{_hits(rate)} a second" if rate else ""]
    said = " and ".join(each for each in limits if each)
    sampled = f"{spec.sample * 100:g} % of the hits count" if spec.sample < 1 else ""
    words = [f"in each process {said}" if said else "no limit of hits", sampled]
    words += ["in Python"] if spec.python else []
    words += ["values by the program's own __repr__"] if spec.calls_user_code else []
    return "; ".join(each for each in words if each)


def _hits(number: float) -> str:
    return "1 hit" if number == 1 else f"{number:g} hits"


def installed(detail: rpc.ProbeDetail) -> str:
    """`installed 37/40; 3 pending`."""
    totals = detail.info.totals
    if not totals.processes:
        return "no process that it means is online; one that starts gets it"
    said = notes(totals)
    return f"installed {totals.installed}/{totals.processes}{f'; {said}' if said else ''}"


def reasons(processes: Iterable[rpc.ProbeInProcess]) -> list[tuple[str, str]]:
    """Why, and what fails: one line for all processes that say the same."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in processes:
        status = each.status
        if status is None:
            groups.setdefault(("unheard", ""), []).append(each.process)
        elif status.message or status.state in {"pending", "error", "suspended"}:
            groups.setdefault((status.state, status.message), []).append(each.process)
        if status is not None and status.failures and status.state != "error":
            what = f"{status.failures} hits failed, the last one: {status.failure}"
            groups.setdefault(("failed", what), []).append(each.process)
    said = {"unheard": "not heard of", "failed": ""}
    lines = []
    for (state, message), names in groups.items():
        what = ": ".join(each for each in (said.get(state, state), message) if each)
        lines.append((f"{_names(names)}: {what}", STYLES.get(state, "red")))
    return lines


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _processes(processes: Sequence[rpc.ProbeInProcess], spec: ProbeSpec, now: float) -> Table:
    measures = isinstance(spec.kind, Counter | Gauge | Histogram | Timer)
    figures = ("COUNT", "TOTAL", "LAST", "LEAST", "P50", "P90", "P99", "MOST") if measures else ()
    right = ("HITS", "LAST HIT", "DROPPED", "CPU%", *figures)
    table = screen.table("PROCESS", "STATE", *right, "AT", right=right)
    for each in sorted(processes, key=lambda each: each.process):
        status = each.status or ProbeStatus(id="", state="pending")
        state = each.status.state if each.status else "unheard"
        table.add_row(
            screen.cell(each.process),
            screen.cell(state, STYLES[state]),
            str(status.hits),
            "-" if status.last_hit is None else f"{screen.span(now - status.last_hit)} ago",
            str(status.dropped),
            f"{status.cpu * 100:.2f}",
            *(measured(status.measured, spec) if measures else ()),
            screen.cell(", ".join(f"{at.path}:{at.line}" for at in status.places)),
        )
    return table


def measured(value: Measured | None, spec: ProbeSpec) -> tuple[str, ...]:
    """Count, total, last, least, p50, p90, p99, most; of a timer as times."""
    if value is None:
        return ("-",) * 8
    figures = (value.total, value.last, value.least, value.p50, value.p90, value.p99, value.most)
    timed = isinstance(spec.kind, Timer)
    return (str(value.count), *(_figure(each, timed=timed) for each in figures))


def _figure(value: float | None, *, timed: bool) -> str:
    if value is None:
        return "-"
    return screen.duration(value) if timed else f"{value:.6g}"


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(one_line(text, 1000), style=style), soft_wrap=True)
