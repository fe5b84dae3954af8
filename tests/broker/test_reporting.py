"""A report on a part of the fleet: who is asked, who is waited for, and what comes out."""

import msgspec
import pytest

from sonde_broker.queries import EndedProcess, Summary, SumUp
from sonde_broker.relay_io import AskStore, Effect, Listen, StoreAnswered, StoreChanged, Unlisten
from sonde_broker.report import Material, build
from sonde_broker.reporting import MOST_REPORTS, PATIENCE
from sonde_wire import Address, Code, Failure, Reason, bus, history
from tests.broker.messages import BOOT, CART, CHECKOUT, presence
from tests.broker.stage import Stage, answer, error
from tests.broker.tokens import claims

KILLED = bus.Exit(reason="signalled", message="killed", signal="SIGKILL")


def operation(name: str, ended: int, errors: int, most: float, **more: int) -> bus.OperationMetrics:
    return bus.OperationMetrics(
        name=name,
        total=bus.Counts(
            ended=ended,
            errors=errors,
            duration=bus.Duration(average=most / 2, least=0.1, most=most, p50=most / 2, p90=most, p99=most),
            **more,
        ),
        last_minute=bus.Counts(),
        error_types={"KeyError": errors} if errors else {},
    )


def sample(process: str, *operations: bus.OperationMetrics, memory: int = 1) -> bus.Metrics:
    return bus.Metrics(
        process=process, boot=BOOT, time=1000.0, operations=operations, peaks=bus.Peaks(memory_rss=memory)
    )


def summary(**more: object) -> Summary:
    fields = {"events": {}, "sessions": 0, "open_sessions": 0, "session_time": 0.0, "ended": ()} | more
    return Summary(**fields)  # type: ignore[arg-type] # as the test says


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    for process in (CHECKOUT, CART):
        stage.presence(presence(process))
    stage.join("ada")
    return stage


def report(effects: list[Effect]) -> history.FleetReport:
    return msgspec.convert(answer(effects), history.FleetReport)


# who is asked


def test_the_processes_are_listened_to_until_each_has_told_its_metrics(stage: Stage) -> None:
    effects = stage.call("ada", "fleet.report", selector="shop/*/*")
    [listen] = [each for each in effects if isinstance(each, Listen)]
    assert listen.filters == ("sonde/v1/process/+/shop/+/+/metrics",)
    assert stage.metrics(sample(CHECKOUT, operation("buy", 4, 1, 2.0))) == []
    made = report(stage.metrics(sample(CART)))
    assert (made.online, made.unheard, made.history) == (2, (), "none")
    assert [each.name for each in made.operations] == ["buy"]
    assert [each for each in stage.after(20) if isinstance(each, Unlisten)] == [Unlisten(listen.filters)]


def test_who_tells_nothing_is_not_waited_for_for_ever_and_is_named(stage: Stage) -> None:
    stage.call("ada", "fleet.report")
    stage.metrics(sample(CHECKOUT))
    made = report(stage.after(PATIENCE + 0.1))
    assert made.unheard == (CART,)


def test_the_history_is_waited_for_and_may_fail(stage: Stage) -> None:
    stage.tell(StoreChanged("up", "store"))
    for answered in (
        summary(events={"dap.stopped": 3}, sessions=2, open_sessions=1, session_time=60.0),
        Failure(code=Code.INTERNAL, reason=Reason.HISTORY_FAILED, message="it failed"),
    ):
        effects = stage.call("ada", "fleet.report", since=900.0)
        [asked] = [each for each in effects if isinstance(each, AskStore)]
        assert isinstance(asked.query, SumUp)
        assert asked.query.since == 900.0
        stage.metrics(sample(CHECKOUT))
        assert stage.metrics(sample(CART)) == []
        made = report(stage.tell(StoreAnswered(asked.number, answered)))
        assert made.history == "up"
        assert made.sessions == (2 if isinstance(answered, Summary) else 0)


def test_only_what_the_token_allows_is_in_it(stage: Stage) -> None:
    stage.join("eve", claims("eve", processes=("shop/cart/*",)))
    effects = stage.call("eve", "fleet.report")
    [listen] = [each for each in effects if isinstance(each, Listen)]
    assert listen.filters == ("sonde/v1/process/+/shop/cart/+/metrics",)
    stage.metrics(sample(CHECKOUT, operation("secret", 1, 0, 1.0)))
    made = report(stage.metrics(sample(CART)))
    assert (made.online, made.operations) == (1, ())
    assert error(stage.call("eve", "fleet.report", selector="prod/*/*")) == (
        "permission_denied",
        "outside_selector",
    )


def test_a_part_of_the_fleet_without_processes_is_reported_at_once(stage: Stage) -> None:
    assert report(stage.call("ada", "fleet.report", selector="prod/*/*")).online == 0


def test_reports_under_way_are_bounded(stage: Stage) -> None:
    for number in range(MOST_REPORTS):
        stage.call("ada", "fleet.report", id=number)
    assert error(stage.call("ada", "fleet.report")) == ("resource_exhausted", "too_many")
    stage.after(PATIENCE + 0.1)
    stage.call("ada", "fleet.report")
    stage.metrics(sample(CHECKOUT))
    assert report(stage.metrics(sample(CART)))


# what comes out


def material(*samples: bus.Metrics, store: Summary | None = None, **states: str) -> Material:
    return Material(
        selector="*/*/*",
        time=1000.0,
        since=900.0,
        states={Address.parse(each.process): "online" for each in samples}
        | {Address.parse(name.replace("_", "/")): state for name, state in states.items()},
        metrics={Address.parse(each.process): each for each in samples},
        summary=store,
        store="up" if store else "none",
    )


def test_operations_of_a_service_are_taken_together_and_the_slowest_comes_first() -> None:
    made = build(
        material(
            sample("shop/web/one", operation("buy", 8, 2, 4.0), operation("look", 10, 0, 9.0)),
            sample("shop/web/two", operation("buy", 2, 0, 6.0, cancelled=1)),
            sample("shop/cart/one", operation("buy", 1, 0, 0.5)),
        )
    )
    assert [(each.service, each.name, each.processes) for each in made.operations] == [
        ("web", "look", 1),
        ("web", "buy", 2),
        ("cart", "buy", 1),
    ]
    buy = made.operations[1].total
    assert (buy.ended, buy.errors, buy.cancelled) == (10, 2, 1)
    assert buy.error_rate == pytest.approx(2 / 9)
    assert buy.success_rate == pytest.approx(7 / 9)
    assert buy.duration is not None
    assert (buy.duration.most, buy.duration.least) == (6.0, 0.1)
    assert buy.duration.average == pytest.approx((2.0 * 8 + 3.0 * 2) / 10)
    assert made.error_rate == pytest.approx(2 / 20)
    assert made.errors == {"KeyError": 2}


def test_processes_that_have_ended_are_in_it_by_what_they_told_last() -> None:
    ended = EndedProcess(
        Address.parse("shop/web/gone"), KILLED, sample("shop/web/gone", operation("buy", 3, 3, 1.0))
    )
    made = build(material(store=summary(ended=(ended,), events={"snapshot_taken": 4}), shop_web_lost="lost"))
    assert (made.online, made.ended, made.lost, made.snapshots) == (0, 1, 1, 4)
    assert made.errors == {"KeyError": 3, "exit by SIGKILL": 1}
    assert made.operations[0].total.ended == 3


def test_a_process_that_came_back_counts_by_what_it_tells_now() -> None:
    name = "shop/web/one"
    ended = EndedProcess(Address.parse(name), KILLED, sample(name, operation("buy", 3, 3, 1.0)))
    made = build(material(sample(name, operation("buy", 1, 0, 1.0)), store=summary(ended=(ended,))))
    assert made.operations[0].total.ended == 1
    assert made.errors == {"exit by SIGKILL": 1}


def test_an_end_as_it_should_be_is_no_error() -> None:
    good = bus.Exit(reason="exited", message="done", code=0)
    bad = bus.Exit(reason="exited", message="failed", code=3)
    ended = tuple(
        EndedProcess(Address.parse(f"shop/web/{n}"), each, None) for n, each in enumerate((good, bad))
    )
    assert build(material(store=summary(ended=ended))).errors == {"exit code 3": 1}


def test_the_processes_that_used_most_come_first() -> None:
    made = build(material(*(sample(f"shop/web/p{number}", memory=number) for number in range(30))))
    assert [each.peaks.memory_rss for each in made.peaks] == list(range(29, 9, -1))
