"""A report on a fleet, in a terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sonde_viewer import screen
from sonde_viewer.untrusted import one_line
from sonde_wire.history import FleetReport, OperationReport, ProcessPeaks

_NAMED = 5


def show(console: Console, report: FleetReport, rows: int) -> None:
    """`rows`: of each table at most."""
    title = f"  from {screen.moment(report.since, now=report.time).partition('.')[0]}"
    length = screen.span(report.time - report.since)
    console.print(Text.assemble((one_line(report.selector), "bold"), f"{title} on, the last {length}"))
    console.print(_facts(report))
    for name, table in (
        ("slowest operations, since each process began", _operations(report.operations[:rows])),
        ("errors", _counts("ERROR", report.errors, rows)),
        ("events", _counts("KIND", report.events, rows)),
        ("peaks, since each process began", _peaks(report.peaks[:rows])),
    ):
        if table.row_count:
            console.print()
            console.print(Text(name, "bold"))
            console.print(table)
    for sentence in notes(report):
        console.print()
        console.print(Text(sentence, "yellow"), soft_wrap=True)


def notes(report: FleetReport) -> list[str]:
    """What it does not know."""
    found = []
    if report.unheard:
        shown = ", ".join(one_line(each) for each in report.unheard[:_NAMED])
        more = len(report.unheard) - _NAMED
        found.append(
            f"not heard in time, and not in operations and peaks: {shown}{f' and {more} more' if more > 0 else ''}"
        )
    if report.history == "none":
        found.append(
            "there is no history, so events, sessions and processes that have ended are not known; start the broker "
            "with `sonde broker --history FILE` to have one"
        )
    elif report.history == "degraded":
        found.append(
            "the history does not work at present, so that some may be missing; the broker's log says why"
        )
    return found


def _facts(report: FleetReport) -> Table:
    ended = sum(each.total.ended for each in report.operations)
    facts = {"processes": f"{report.online} online, {report.ended} ended, {report.lost} lost"}
    if report.history != "none":
        open_ = f" ({report.open_sessions} open)" if report.open_sessions else ""
        facts["sessions"] = f"{report.sessions}{open_}, {screen.span(report.session_time)} in all"
        facts["snapshots"] = str(report.snapshots)
    facts["operations"] = f"{ended} ended" if ended else "none ended"
    if report.success_rate is not None and report.error_rate is not None:
        facts["operations"] += f": {percent(report.success_rate)} well, {percent(report.error_rate)} in error"
    made = screen.table("", "")
    made.show_header = False
    for name, fact in facts.items():
        made.add_row(screen.cell(name, "dim"), screen.cell(fact))
    return made


def percent(share: float) -> str:
    """Neither all nor nothing unless it is."""
    shown = f"{share * 100:.1f}"
    if shown == "100.0" and share < 1:
        shown = "> 99.9"
    if shown == "0.0" and share > 0:
        shown = "< 0.1"
    return f"{shown} %"


def _operations(operations: Sequence[OperationReport]) -> Table:
    right = ("PROCESSES", "ENDED", "ERRORS", "AVERAGE", "P50", "P90", "P99", "MOST")
    table = screen.table("SERVICE", "OPERATION", *right, "BY CLASS", right=right)
    for each in operations:
        took = each.total.duration
        times = (took.average, took.p50, took.p90, took.p99, took.most) if took else ()
        table.add_row(
            screen.cell(each.service),
            screen.cell(each.name),
            str(each.processes),
            str(each.total.ended),
            "-" if each.total.error_rate is None else percent(each.total.error_rate),
            *(map(screen.duration, times) if times else ("-",) * 5),
            screen.cell(", ".join(f"{number} {kind}" for kind, number in each.errors.items())),
        )
    return table


def _counts(name: str, counts: dict[str, int], rows: int) -> Table:
    table = screen.table("COUNT", name, right=("COUNT",))
    for kind, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:rows]:
        table.add_row(str(count), screen.cell(kind))
    return table


def _peaks(peaks: Iterable[ProcessPeaks]) -> Table:
    right = ("MEMORY", "CPU", "THREADS", "OPEN FILES", "LOOP'S LAG")
    table = screen.table("PROCESS", *right, right=right)
    for each in peaks:
        most = each.peaks
        table.add_row(
            screen.cell(each.process),
            "-" if most.memory_rss is None else screen.size(most.memory_rss),
            "-" if most.cpu_percent is None else f"{most.cpu_percent:.0f} %",
            "-" if most.threads is None else str(most.threads),
            "-" if most.open_fds is None else str(most.open_fds),
            "-" if most.event_loop_lag is None else screen.duration(most.event_loop_lag),
        )
    return table
