"""What a process uses and counts: read from outside, reported by its tap, and never a wrong number."""

import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from sonde_agent import link
from sonde_agent.sidecar import Sidecar, metrics
from sonde_agent.sidecar.metrics import Sampler, count_children
from sonde_wire import bus, codec
from tests.agent.sidecar.conftest import Broker, tapped
from tests.support.debuggee import running

BOOT = "a" * 32
OUTSIDE = {
    "cpu_percent",
    "memory_rss",
    "threads",
    "open_fds",
    "context_switches_voluntary",
    "context_switches_involuntary",
    "children",
}
INSIDE = {"gc_collections", "gc_collected", "gc_uncollectable", "event_loop_lag", "operations"}
CHARGE = {"name": "charge-card", "total": {"ended": 3}, "last_minute": {}}


def sampler(pid: int | None = None) -> Sampler:
    return Sampler("prod/shop/1", BOOT, pid)


def sampled(report: dict[str, Any] | None = None, age: float = 0.0, pid: int | None = None) -> bus.Metrics:
    """One sample, at time 100."""
    told = None if report is None else (100.0 - age, link.Report(metrics=report))
    sample = sampler(pid).sample(told, 100.0)
    assert sample is not None
    return sample


def absent(sample: bus.Metrics) -> set[str]:
    return {name for name in (OUTSIDE | INSIDE) if getattr(sample, name) in (None, ())}


def test_a_process_of_ours_is_read_from_outside() -> None:
    ours = sampler(os.getpid())
    first = ours.sample(None, 100.0)
    second = ours.sample(None, 101.0)
    assert first is not None and second is not None
    assert set(first.unavailable) == INSIDE | {"operations_dropped", "cpu_percent"}
    assert absent(second) == INSIDE
    assert second.threads is not None and second.threads >= 1


def test_without_a_pid_there_is_the_taps_part_and_a_reason_for_the_rest() -> None:
    sample = sampled({"gc_collections": 4, "event_loop_lag": 0.25, "operations": [CHARGE]})
    assert (sample.gc_collections, sample.event_loop_lag) == (4, 0.25)
    assert [each.total.ended for each in sample.operations] == [3]
    assert set(sample.unavailable) == OUTSIDE


@pytest.mark.parametrize(
    ("error", "reason"), [(psutil.NoSuchProcess(1), "hidepid"), (psutil.AccessDenied(1), "same user")]
)
def test_a_process_that_is_hidden_costs_only_what_is_read_from_outside(
    monkeypatch: pytest.MonkeyPatch, error: psutil.Error, reason: str
) -> None:
    def refuse(pid: int) -> psutil.Process:
        raise error

    monkeypatch.setattr(psutil, "Process", refuse)
    sample = sampled({"gc_collections": 4}, pid=1)
    assert sample.gc_collections == 4
    assert set(sample.unavailable) == OUTSIDE
    assert all(reason in each for each in sample.unavailable.values())


def test_one_thing_that_may_not_be_read_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: psutil.Process) -> int:
        raise psutil.AccessDenied(1)

    monkeypatch.setattr(psutil.Process, "num_fds", refuse)
    sample = sampled({}, pid=os.getpid())
    assert sample.open_fds is None
    assert "same user" in sample.unavailable["open_fds"]
    assert sample.memory_rss is not None


async def test_a_process_that_waits_for_its_parent_is_not_measured() -> None:
    async with running("/bin/sh", "-c", "echo $$; read line", env={}) as program:
        pid = int(await program.says(""))
        ours = sampler(pid)
        assert ours.sample(None, 100.0) is not None
        await program.hears("")
        await program.ended()
        sample = ours.sample(None, 101.0)
    assert sample is None or set(sample.unavailable) >= OUTSIDE


def test_before_the_first_report_and_after_a_long_silence_there_is_a_reason() -> None:
    assert "not reported yet" in sampled(None).unavailable["gc_collections"]
    silent = sampled({"gc_collections": 4, "operations": [CHARGE]}, age=12.0)
    assert (silent.gc_collections, silent.operations) == (None, ())
    assert "silent for 12 s" in silent.unavailable["operations"]
    assert sampled({"gc_collections": 4}, age=4.0).gc_collections == 4


@pytest.mark.parametrize("wrong", ["4", -1, 2**70, True, 1.5, None, [4]])
def test_a_malformed_count_is_unavailable_and_costs_no_other(wrong: object) -> None:
    sample = sampled({"gc_collections": wrong, "gc_collected": 7, "no such field": 1})
    assert (sample.gc_collections, sample.gc_collected) == (None, 7)
    assert "malformed" in sample.unavailable["gc_collections"]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        [1],
        [{"name": "x"}],
        [{**CHARGE, "total": {"ended": "3"}}],
        [{**CHARGE, "error_types": {"KeyError": "often"}}],
        [{**CHARGE, "total": {"duration": dict.fromkeys(bus.Duration.__struct_fields__, float("inf"))}}],
    ],
)
def test_malformed_operations_are_unavailable_and_what_is_sent_can_be_read(wrong: object) -> None:
    sample = sampled({"gc_collected": 7, "operations": wrong})
    assert (sample.gc_collected, sample.operations) == (7, ())
    assert "malformed" in sample.unavailable["operations"]
    assert codec.decode(codec.encode(sample), bus.Metrics) == sample


def test_of_too_many_operations_the_busiest_are_told() -> None:
    many = [{**CHARGE, "name": f"{number:0>110}", "total": {"ended": number}} for number in range(2000)]
    sample = sampled({"operations": many})
    assert 100 < len(sample.operations) < 2000
    assert sample.operations[-1].total.ended == 1999
    assert f"{len(sample.operations)} busiest of 2000" in sample.unavailable["operations"]
    assert len(codec.encode(sample)) < metrics.MOST_OPERATION_BYTES + 4096


def test_the_highest_of_each_is_remembered_and_what_was_never_read_is_no_peak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = iter([3, 9, 4])
    monkeypatch.setattr(psutil.Process, "num_threads", lambda _: next(threads))
    ours = sampler(os.getpid())
    lags = (0.25, 0.5, None)
    samples = [
        ours.sample(
            (100.0 + second, link.Report(metrics={} if lag is None else {"event_loop_lag": lag})),
            100.0 + second,
        )
        for second, lag in enumerate(lags)
    ]
    peaks = [each.peaks for each in samples if each]
    assert [each and each.threads for each in peaks] == [3, 9, 9]
    assert [each and each.event_loop_lag for each in peaks] == [0.25, 0.5, 0.5]
    assert peaks[0] is not None and peaks[0].cpu_percent is None
    assert peaks[2] is not None and peaks[2].cpu_percent is not None
    assert sampled().peaks is None


def test_the_last_sample_has_what_was_read_last_and_the_newest_report_however_old() -> None:
    ours = sampler(os.getpid())
    assert ours.last(None) is None
    before = ours.sample((100.0, link.Report(metrics={"gc_collections": 4})), 100.0)
    last = ours.last((50.0, link.Report(metrics={"operations": [CHARGE]})))
    assert before is not None and last is not None
    assert last.memory_rss == before.memory_rss and last.peaks == before.peaks
    assert [each.name for each in last.operations] == ["charge-card"]
    assert last.gc_collections is None
    silent = ours.last(None)
    assert silent is not None and "not reported" in silent.unavailable["operations"]


async def test_children_are_counted_over_all_threads() -> None:
    before = count_children(os.getpid())
    async with running("/bin/sh", "-c", "echo here; read line", env={}) as program:
        await program.says("here")
        assert count_children(os.getpid()) == before + 1


def test_where_the_kernel_lists_no_children_all_processes_are_looked_through_now_and_then(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "7" / "task" / "7").mkdir(parents=True)
    with pytest.raises(FileNotFoundError):
        count_children(7, tmp_path)

    def unlisted(pid: int) -> int:
        raise FileNotFoundError

    scans: list[psutil.Process] = []

    def scan(process: psutil.Process) -> list[psutil.Process]:
        scans.append(process)
        return scans[:]

    monkeypatch.setattr(metrics, "count_children", unlisted)
    monkeypatch.setattr(psutil.Process, "children", scan)
    ours = sampler(os.getpid())
    told = [ours.sample(None, 100.0 + second) for second in range(6)]
    assert [each and each.children for each in told] == [1, 1, 1, 1, 1, 2]


async def test_what_a_program_measures_arrives_beside_what_it_uses(
    sidecar: Sidecar, broker: Broker, tmp_path: Path
) -> None:
    source = """
        import asyncio
        import sys
        import sonde_agent
        sonde_agent.start("shop")

        @sonde_agent.operation("charge-card")
        async def charge(amount):
            if amount < 0:
                raise ValueError(amount)

        async def main():
            with sonde_agent.operation("day"):
                await asyncio.gather(*map(charge, (1, 2, 3, -1)), return_exceptions=True)
                await asyncio.to_thread(sys.stdin.readline)

        asyncio.run(main())
        """
    async with tapped(sidecar, tmp_path, source) as (_, program):

        def look() -> bus.Metrics | None:
            newest = broker.metrics[-1] if broker.metrics else None
            complete = newest and newest.cpu_percent is not None and len(newest.operations) == 2
            return newest if complete and newest and newest.event_loop_lag is not None else None

        sample = await broker.until(look)
        operations = {each.name: each for each in sample.operations}
        charged = operations["charge-card"]
        assert (charged.total.ended, charged.total.errors, charged.total.success_rate) == (4, 1, 0.75)
        assert charged.last_minute == charged.total
        assert charged.error_types == {"ValueError": 1}
        assert charged.total.duration is not None
        assert charged.total.duration.least <= charged.total.duration.p99 <= charged.total.duration.most
        assert (operations["day"].active, operations["day"].total.ended) == (1, 0)
        assert sample.memory_rss is not None and sample.gc_collections is not None
        assert sample.unavailable == {}
        await program.hears("")
        assert await program.ended() == 0


async def test_a_process_that_is_killed_leaves_its_last_figures(
    sidecar: Sidecar, broker: Broker, tmp_path: Path
) -> None:
    source = """
        import sys
        import sonde_agent
        sonde_agent.start("shop")
        with sonde_agent.operation("charge-card"):
            pass
        sys.stdin.readline()
        """
    async with tapped(sidecar, tmp_path, source) as (_, program):
        await broker.until(lambda: (broker.metrics and broker.metrics[-1].operations) or None)
        program.process.kill()
        ended = await broker.event(bus.ProcessEnded)
    assert ended.exit.signal == "SIGKILL"
    assert ended.metrics is not None and ended.metrics.peaks is not None
    assert ended.metrics.peaks.memory_rss is not None and ended.metrics.memory_rss is not None
    assert [each.total.ended for each in ended.metrics.operations] == [1]


# The document -----------------------------------------------------------------------------------------------


def tables() -> list[list[list[str]]]:
    """The cells of each table in the document, without its head."""
    found: list[list[list[str]]] = [[]]
    for line in (Path(__file__).parents[3] / "docs" / "metrics.md").read_text().splitlines():
        if line.startswith("|"):
            found[-1].append([each.strip() for each in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [each[2:] for each in found if each]


def test_the_document_has_a_name_for_every_field_of_the_wire() -> None:
    _, figures, operations = tables()
    head = {"process", "cause", "boot", "time", "unavailable", "operations", "peaks"}
    named = {row[0].strip("`") for row in figures}
    assert named == set(bus.Metrics.__struct_fields__) - head
    assert all(row[1].strip("`").split(".")[0] in {"process", "cpython", "sonde"} for row in figures)
    of_operations = {each.strip("` ") for row in operations for each in row[0].split(",")}
    counts = {f"total.{each}" for each in bus.Counts.__struct_fields__}
    rest = set(bus.OperationMetrics.__struct_fields__) - {"name", "total", "last_minute"}
    assert of_operations == counts | rest
