"""What the program measures of its own work: counts, durations, errors and cancellations, at a bounded cost."""

import asyncio
import concurrent.futures
import inspect
import json
import math
import signal
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Generator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_agent import operation
from sonde_agent.tap import operations
from sonde_agent.tap.histogram import BUCKETS, Histogram, bucket_of, quantiles
from sonde_agent.tap.tally import KEPT_TYPES, OTHER, SLOT, Tally
from tests.agent.tap.fakes import FakeSidecar, running

SECOND = 1_000_000_000
DURATIONS = st.integers(100, 10 * 24 * 3600 * SECOND)


@pytest.fixture
def name() -> str:
    """Of an operation that no other test measures."""
    return f"test {uuid.uuid4()}"


def told(name: str) -> dict[str, Any]:
    read = operations.read()
    assert read is not None
    (found,) = [each for each in read["operations"] if each["name"] == name]
    return dict(found)


def total(name: str) -> dict[str, Any]:
    """Without the durations, which differ each time."""
    counts = dict(told(name)["total"])
    counts.pop("duration", None)
    return counts


# Durations --------------------------------------------------------------------------------------------------


@given(st.lists(DURATIONS, min_size=1, max_size=200), st.floats(0, 1))
def test_a_percentile_is_within_five_percent_of_the_true_one(durations: list[int], share: float) -> None:
    histogram = Histogram()
    for each in durations:
        histogram.counts[bucket_of(each)] += 1
    true = sorted(durations)[max(1, math.ceil(share * len(durations))) - 1]
    (estimate,) = quantiles(histogram.counts, [share])
    assert estimate == pytest.approx(true, rel=0.05)


@given(st.integers(0, 2**80), st.integers(0, 2**80))
def test_a_longer_duration_is_never_in_an_earlier_bucket(one: int, other: int) -> None:
    shorter, longer = sorted((bucket_of(one), bucket_of(other)))
    assert 0 <= shorter <= longer < BUCKETS
    assert (bucket_of(min(one, other)), bucket_of(max(one, other))) == (shorter, longer)


@given(st.lists(DURATIONS), st.lists(DURATIONS))
def test_what_was_added_trimmed_can_be_taken_away_again(kept: list[int], gone: list[int]) -> None:
    histogram, other = Histogram(short=True), Histogram(short=True)
    for each in kept:
        histogram.counts[bucket_of(each)] += 1
    before = histogram.counts.tolist()
    for each in gone:
        other.counts[bucket_of(each)] += 1
    histogram.add(*other.trimmed())
    assert sum(histogram.counts) == len(kept) + len(gone)
    histogram.take_away(*other.trimmed())
    assert histogram.counts.tolist() == before


# Counts -----------------------------------------------------------------------------------------------------


def ended(tally: Tally, at: float, taken: float = 0.5, outcome: Any = None) -> None:
    tally.begun += 1
    tally.end(int((at - taken) * SECOND), int(at * SECOND), outcome)


def test_rates_are_of_those_that_were_not_cancelled() -> None:
    tally = Tally("x")
    ended(tally, 1)
    ended(tally, 2, outcome=("KeyError", False, False))
    ended(tally, 3, outcome=(None, True, False))
    ended(tally, 4, outcome=(None, False, True))
    tally.begun += 1
    read = tally.read(5 * SECOND)
    assert read["active"] == 1
    counts = read["total"]
    assert (counts["ended"], counts["errors"], counts["cancelled"], counts["scope_errors"]) == (4, 1, 1, 1)
    assert (counts["success_rate"], counts["error_rate"]) == (pytest.approx(2 / 3, abs=1e-6), 0.333333)
    assert read["error_types"] == {"KeyError": 1}


def test_without_an_end_there_is_no_rate_and_no_duration() -> None:
    tally = Tally("x")
    tally.begun += 1
    assert tally.read(SECOND) == {"name": "x", "active": 1, "total": {}, "last_minute": {}}


def test_the_last_minute_forgets_and_the_total_does_not() -> None:
    tally = Tally("x")
    ended(tally, 1, taken=0.25)
    ended(tally, 50, taken=2.0)
    assert tally.read(59 * SECOND)["last_minute"]["ended"] == 2
    after = tally.read(61 * SECOND)
    assert after["last_minute"]["ended"] == 1
    assert after["last_minute"]["duration"]["least"] == 2.0
    assert after["total"]["ended"] == 2
    assert after["total"]["duration"] == {
        "average": 1.125,
        "least": 0.25,
        "most": 2.0,
        "p50": pytest.approx(0.25, rel=0.05),
        "p90": pytest.approx(2.0, rel=0.05),
        "p99": pytest.approx(2.0, rel=0.05),
    }
    assert tally.read(200 * SECOND)["last_minute"] == {}


@given(st.lists(st.tuples(st.integers(0, 200 * SECOND), DURATIONS), min_size=1, max_size=60))
def test_the_last_minute_is_what_ended_in_the_last_twelve_slots(told: list[tuple[int, int]]) -> None:
    tally, now = Tally("x"), 200 * SECOND
    for at, taken in sorted(told):
        tally.begun += 1
        tally.end(at - taken, at, None)
    recent = [taken for at, taken in told if at // SLOT > now // SLOT - 12]
    read = tally.read(now)
    assert read["total"]["ended"] == len(told)
    assert read["last_minute"].get("ended", 0) == len(recent)
    if recent:
        duration = read["last_minute"]["duration"]
        assert duration["least"] == pytest.approx(min(recent) / SECOND, abs=1e-9)
        assert duration["most"] == pytest.approx(max(recent) / SECOND, abs=1e-9)
        middle = sorted(recent)[math.ceil(len(recent) / 2) - 1] / SECOND
        assert duration["p50"] == pytest.approx(middle, rel=0.05, abs=1e-9)


def test_the_rarest_errors_are_counted_together() -> None:
    tally = Tally("x")
    for kind in range(KEPT_TYPES + 5):
        for _ in range(2 if kind == 7 else 1):
            ended(tally, 1, outcome=(f"Error{kind}", False, False))
    types = tally.read(SECOND)["error_types"]
    assert next(iter(types)) == "Error7"
    assert len(types) == 11
    assert sum(types.values()) == KEPT_TYPES + 6
    assert types[OTHER] == KEPT_TYPES + 6 - 11


# Blocks and functions ---------------------------------------------------------------------------------------


def test_a_block_is_counted_while_it_runs_and_when_it_ended(name: str) -> None:
    with operation(name):
        assert told(name)["active"] == 1
    assert told(name)["active"] == 0
    assert total(name) == {"ended": 1, "success_rate": 1.0, "error_rate": 0.0}


def test_an_error_goes_on_and_is_counted_by_its_class(name: str) -> None:
    class Declined(Exception):
        pass

    for error in (KeyError("x"), Declined()):
        with pytest.raises(type(error)), operation(name):
            raise error
    kind = f"{__name__}.test_an_error_goes_on_and_is_counted_by_its_class.<locals>.Declined"
    assert told(name)["error_types"] == {"KeyError": 1, kind: 1}
    assert total(name)["error_rate"] == 1.0


def test_one_object_can_be_entered_again_and_by_many_threads(name: str) -> None:
    shared = operation(name)
    all_in = threading.Barrier(5, timeout=20)

    def work() -> None:
        with shared, shared:
            all_in.wait()
            all_in.wait()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    all_in.wait()
    assert told(name)["active"] == 8
    all_in.wait()
    for thread in threads:
        thread.join()
    assert told(name)["active"] == 0
    assert total(name)["ended"] == 8


def test_an_object_that_is_left_by_another_thread_is_counted(name: str) -> None:
    shared = operation(name)
    shared.__enter__()
    thread = threading.Thread(target=lambda: shared.__exit__(None, None, None))
    thread.start()
    thread.join()
    shared.__exit__(None, None, None)  # once too often: nothing happens
    assert (told(name)["active"], total(name)["ended"]) == (0, 1)


def test_no_count_is_lost_between_threads(name: str) -> None:
    def work() -> None:
        for _ in range(3000):
            with operation(name):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (told(name)["active"], total(name)["ended"]) == (0, 12000)


async def test_tasks_that_share_an_object_are_told_apart(name: str) -> None:
    shared, first_is_in, second_is_out = operation(name), asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with shared:
            first_is_in.set()
            await second_is_out.wait()
            raise KeyError

    async def second() -> None:
        await first_is_in.wait()
        async with shared:
            pass
        assert told(name)["total"]["success_rate"] == 1.0
        second_is_out.set()

    await asyncio.gather(first(), second(), return_exceptions=True)
    assert total(name) == {"ended": 2, "errors": 1, "success_rate": 0.5, "error_rate": 0.5}


def test_a_function_is_measured_by_call(name: str) -> None:
    @operation(name)
    def double(number: int) -> int:
        """Twice."""
        return number if number > 10 else double(number * 2)

    assert (double(3), double.__name__, double.__doc__) == (12, "double", "Twice.")
    assert total(name)["ended"] == 3


async def test_a_coroutine_function_is_measured_until_it_ended(name: str) -> None:
    go = asyncio.Event()

    @operation(name)
    async def fetch(what: str) -> str:
        await go.wait()
        return what

    assert inspect.iscoroutinefunction(fetch)
    task = asyncio.create_task(fetch("x"))
    await asyncio.sleep(0)
    assert told(name)["active"] == 1
    go.set()
    assert await task == "x"
    assert total(name)["ended"] == 1


def test_a_generator_is_measured_over_its_iteration(name: str) -> None:
    @operation(name)
    def lines() -> Generator[int, int, None]:
        got = yield 1
        yield from (got, 3)

    numbers = lines()
    assert next(numbers) == 1
    assert told(name)["active"] == 1
    assert numbers.send(2) == 2
    assert list(numbers) == [3]
    next(early := lines())
    early.close()
    assert total(name) == {"ended": 2, "cancelled": 1, "success_rate": 1.0, "error_rate": 0.0}


async def test_an_asynchronous_generator_passes_on_what_its_consumer_does(name: str) -> None:
    did: list[object] = []

    @operation(name)
    async def stream() -> AsyncIterator[object]:
        try:
            try:
                did.append((yield 1))
            except KeyError as error:
                yield error
            yield 3
        finally:
            did.append("closed")

    assert inspect.isasyncgenfunction(stream)
    assert [each async for each in stream()] == [1, 3]
    thrown = KeyError()
    failing: Any = stream()
    assert [await anext(failing), await failing.athrow(thrown), await anext(failing)] == [1, thrown, 3]
    await failing.aclose()
    sent: Any = stream()
    assert [await anext(sent), await sent.asend("hello")] == [1, 3]
    with pytest.raises(ZeroDivisionError):
        await sent.athrow(ZeroDivisionError)
    assert did == [None, "closed", "closed", "hello", "closed"]
    assert total(name) == {
        "ended": 3,
        "errors": 1,
        "cancelled": 1,
        "success_rate": 0.5,
        "error_rate": 0.5,
    }


@pytest.mark.parametrize("wrong", [dict, classmethod(print), 3])
def test_what_is_no_function_is_refused_with_what_to_do(name: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"decorate its methods|next to the function"):
        operation(name)(wrong)


@pytest.mark.parametrize(
    ("wrong", "error"), [("", ValueError), ("x" * 121, ValueError), ("a\nb", ValueError), (print, TypeError)]
)
def test_a_name_that_cannot_be_one_is_refused(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="operation"):
        operation(wrong)


# Cancellations ----------------------------------------------------------------------------------------------


async def cancelled_while(work: Any) -> None:
    """Cancels the work at its first await, and waits for its end."""
    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError, KeyError):
        await task


async def test_a_cancelled_operation_is_no_error(name: str) -> None:
    async def work() -> None:
        async with operation(name):
            await asyncio.Event().wait()

    await cancelled_while(work)
    assert total(name) == {"ended": 1, "cancelled": 1}


async def test_a_swallowed_cancellation_is_a_scope_error(name: str) -> None:
    async def work() -> None:
        with operation(name), suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    await cancelled_while(work)
    assert total(name) == {"ended": 1, "scope_errors": 1, "success_rate": 1.0, "error_rate": 0.0}


async def test_a_cancellation_that_became_another_error_is_both(name: str) -> None:
    async def work() -> None:
        with operation(name):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise KeyError from None

    await cancelled_while(work)
    assert total(name) == {
        "ended": 1,
        "errors": 1,
        "scope_errors": 1,
        "success_rate": 0.0,
        "error_rate": 1.0,
    }


async def test_a_timeout_inside_is_no_scope_error_and_one_around_is_a_cancellation(name: str) -> None:
    with operation(name), suppress(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
    assert total(name) == {"ended": 1, "success_rate": 1.0, "error_rate": 0.0}
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            with operation(name):
                await asyncio.Event().wait()
    assert total(name)["cancelled"] == 1
    assert "scope_errors" not in total(name)


async def test_a_group_that_cancels_its_own_task_leaves_no_scope_error(name: str) -> None:
    async def fail() -> None:
        raise KeyError

    with operation(name), suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await asyncio.Event().wait()
    assert total(name) == {"ended": 1, "success_rate": 1.0, "error_rate": 0.0}


async def test_a_cancellation_that_is_yet_to_arrive_was_not_swallowed(name: str) -> None:
    async def work() -> None:
        with operation(name):
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.Event().wait()

    with suppress(asyncio.CancelledError):
        await asyncio.create_task(work())
    assert total(name) == {"ended": 1, "success_rate": 1.0, "error_rate": 0.0}


async def test_a_cancellation_from_before_is_not_held_against_it(name: str) -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with operation(name):  # cleaning up
                await asyncio.sleep(0)
            raise

    await cancelled_while(work)
    assert total(name) == {"ended": 1, "success_rate": 1.0, "error_rate": 0.0}


class Cancelled(BaseException):
    """As trio has it."""


@pytest.mark.parametrize(
    "error",
    [
        concurrent.futures.CancelledError(),
        Cancelled(),
        GeneratorExit(),
        BaseExceptionGroup("x", [asyncio.CancelledError(), BaseExceptionGroup("y", [Cancelled()])]),
    ],
)
def test_cancellations_of_others_are_known(
    monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
) -> None:
    trio = ModuleType("trio")
    trio.Cancelled = Cancelled  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - it is made here
    monkeypatch.setitem(sys.modules, "trio", trio)
    with suppress(BaseException), operation(name):
        raise error
    assert total(name) == {"ended": 1, "cancelled": 1}


def test_a_group_with_an_error_in_it_is_an_error(name: str) -> None:
    with suppress(BaseException), operation(name):
        raise BaseExceptionGroup("x", [asyncio.CancelledError(), KeyError()])
    assert told(name)["error_types"] == {"BaseExceptionGroup": 1}


# Bounds and odd places --------------------------------------------------------------------------------------


def test_a_signal_handler_and_a_finalizer_may_measure_at_any_point(name: str) -> None:
    class Finalized:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            with operation(name):
                pass

    def handle(*_: object) -> None:
        with operation(name):
            Finalized()

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(5000):
            with operation(name):
                pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert total(name)["ended"] > 5000


def test_while_a_thread_stands_in_the_midst_of_counting_operations_go_on_and_some_are_dropped(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "MOST_NOTES", operations.COUNT_ABOVE)
    before = operations.read()
    assert before is not None
    operations._claims["count"] = "a thread in the debugger"
    try:
        for _ in range(operations.COUNT_ABOVE):
            with operation(name):
                pass
        assert operations.read() is None
    finally:
        operations._claims.clear()
    after = operations.read()
    assert after is not None
    dropped = after["operations_dropped"] - before["operations_dropped"]
    assert dropped > 0
    assert (told(name)["active"], total(name)["ended"] + dropped) == (0, operations.COUNT_ABOVE)


def answer_of(directory: Path, source: str, environment: dict[str, str] | None = None) -> Any:
    """What a program prints, as JSON; it must end well and complain of nothing."""
    with running(directory, source, environment) as program:
        code, output, errors = program.end()
    assert (code, errors) == (0, "")
    return json.loads(output)


def test_names_beyond_the_bound_are_dropped_and_counted(tmp_path: Path) -> None:
    source = """
        import json
        from sonde_agent import operation
        from sonde_agent.tap import operations
        @operation("the last name of all")
        def late(): pass
        for number in range(operations.MOST_NAMES + 5):
            with operation(f"name {number}"):
                late()
        read = operations.read()
        print(json.dumps([len(read["operations"]), read["operations_dropped"]]))
        """
    assert answer_of(tmp_path, source) == [200, 6]


def test_a_forked_child_starts_at_zero_and_counts_nothing_that_began_in_its_parent(tmp_path: Path) -> None:
    source = """
        import json, os
        from sonde_agent import operation
        from sonde_agent.tap import operations
        kept = operation("x")
        with kept: pass
        kept.__enter__()
        if os.fork() == 0:
            empty = operations.read()
            kept.__exit__(None, None, None)
            with kept: pass
            print(json.dumps([empty, [(each["active"], each["total"]["ended"]) for each in operations.read()["operations"]]]), flush=True)
            os._exit(0)
        os.wait()
        """
    assert answer_of(tmp_path, source) == [{"operations": [], "operations_dropped": 0}, [[0, 1]]]


def test_to_measure_imports_little_and_not_asyncio(tmp_path: Path) -> None:
    source = """
        import json, sys
        import sonde_agent
        with sonde_agent.operation("x"): pass
        print(json.dumps(sorted(name.partition(".")[0] for name in sys.modules)))
        """
    roots = set(answer_of(tmp_path, source))
    assert roots - set(sys.stdlib_module_names) <= {
        "__main__",
        "sonde_agent",
        "_distutils_hack",
        "sitecustomize",
    }
    assert not roots & {"asyncio", "inspect", "logging", "dataclasses"}


# What the tap says of it ------------------------------------------------------------------------------------


def test_the_tap_reports_at_once_and_each_second(sidecar: FakeSidecar, tmp_path: Path) -> None:
    source = """
        import asyncio, gc, sys
        import sonde_agent
        sonde_agent.start()

        async def main():
            with sonde_agent.operation("charge-card"):
                pass
            gc.collect()
            await asyncio.to_thread(sys.stdin.readline)

        asyncio.run(main())
        """
    with running(tmp_path, source, sidecar.environment) as program:
        line, _ = sidecar.welcome()

        def newest() -> dict[str, Any]:
            line.value("sources")
            return line.reports[-1].metrics if line.reports else {}

        assert newest()["gc_collections"] >= 0
        while not ({"operations", "event_loop_lag"} <= newest().keys()):
            pass
        told = newest()
        (counted,) = told["operations"]
        assert (counted["name"], counted["total"]["ended"]) == ("charge-card", 1)
        assert 0 <= told["event_loop_lag"] < 10
        assert told["gc_collections"] >= 1
        program.tell()
        assert program.end()[0] == 0
