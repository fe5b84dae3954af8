"""Probes in real processes, told over the link: each kind, and how each state is reached."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sonde_wire import bus
from tests.agent.tap.fakes import FakeSidecar, Program, running
from tests.agent.tap.probes.talk import Talk, at_line, in_function

_SEEN_TO_END = 3 if sys.version_info >= (3, 12) else 2
"""Of three calls of which one raises: before 3.12 its end is not seen."""
SHOP = """
    import sys
    import sonde_agent

    class Order:
        def __init__(self, total):
            self.total = total

    def price(order, n):
        doubled = order.total * 2
        if doubled > 1000:
            raise ValueError("too dear")
        return doubled + n  # sum

    def wait():
        return sys.stdin.readline().strip()

    sonde_agent.start(service="shop")
    print("ready", flush=True)
    while said := wait():
        total = int(said)
        try:
            print(price(Order(total), 1), flush=True)
        except ValueError:
            print("refused", flush=True)
"""


@contextmanager
def shop(sidecar: FakeSidecar, directory: Path) -> Iterator[tuple[Talk, Program]]:
    with running(directory, SHOP, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        assert program.hear() == "ready"
        yield Talk(line), program


@pytest.fixture
def program(sidecar: FakeSidecar, tmp_path: Path) -> Iterator[tuple[Talk, Program]]:
    with shop(sidecar, tmp_path) as both:
        yield both


def sells(program: Program, *totals: int) -> list[str]:
    heard = []
    for total in totals:
        program.tell(str(total))
        heard.append(program.hear())
    return heard


def test_a_snapshot_shows_the_stack_with_variables_and_what_is_asked(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    line = shop.line_of("sum")
    status = talk.put({"type": "snapshot", "expressions": ["order.total + n"]}, at_line("program.py", line))
    assert status.state == "active"
    assert [(each.path, each.line, each.function) for each in status.places] == [(shop.path, line, "price")]
    assert sells(shop, 20) == ["41"]
    taken = talk.snapshot(status.id)
    assert taken.hit == 1
    frame = taken.captured.frames[0]
    assert (frame.path, frame.line, frame.function, frame.module) == (shop.path, line, "price", "__main__")
    assert dict(frame.locals or ())["doubled"].value == "40"
    assert dict(dict(frame.locals or ())["order"].fields or ())["total"].value == "20"
    (asked,) = taken.captured.expressions
    assert asked.node is not None
    assert asked.node.value == "21"
    assert taken.captured.thread.name == "MainThread"
    assert talk.state(status.id, "hit").hits == 1


def test_a_log_is_a_line_of_text_for_each_hit(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    talk.put(
        {"type": "log", "template": "{n} of {order.total:>4}"}, at_line("program.py", shop.line_of("sum"))
    )
    sells(shop, 20, 30)
    assert talk.messages(2) == ["1 of   20", "1 of   30"]


def test_numbers_are_counted_and_told_each_second(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    place = at_line("program.py", shop.line_of("sum"))
    counter = talk.put({"type": "counter"}, place)
    gauge = talk.put({"type": "gauge", "expression": "order.total"}, place)
    histogram = talk.put({"type": "histogram", "expression": "order.total"}, place)
    sells(shop, *range(100, 200))
    told = talk.reported(counter.id, lambda one: one.hits == 100).measured
    assert told is not None
    assert (told.count, told.total) == (100, 100)
    measured = talk.reported(gauge.id, lambda one: one.hits == 100).measured
    assert measured is not None
    assert (measured.last, measured.least, measured.most) == (199, 100, 199)
    sizes = talk.line.call("probes.put", probe={"id": histogram.id, "left": 60.0, "spec": {
        "kind": {"type": "histogram", "expression": "order.total"}, "place": place}})  # fmt: skip
    p50 = sizes.value["measured"]["p50"]  # type: ignore[union-attr]
    assert 142 < p50 < 158


def test_a_timer_takes_the_time_of_each_call(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    whole = talk.put({"type": "timer"}, in_function("price"))
    part = talk.put(
        {"type": "timer", "until": shop.line_of("sum")}, at_line("program.py", shop.line_of("sum") - 3)
    )
    assert sells(shop, 1, 2, 5000) == ["3", "5", "refused"]
    measured = talk.reported(whole.id, lambda one: one.hits == 3).measured
    assert measured is not None
    assert measured.count == _SEEN_TO_END
    assert measured.p99 is not None
    measured = talk.reported(part.id, lambda one: one.hits == 3).measured
    assert measured is not None
    assert measured.count == 2  # one never came to that line


def test_a_watch_tells_a_value_when_it_is_another(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    status = talk.put(
        {"type": "watch", "expression": "order.total"},
        at_line("program.py", shop.line_of("sum")),
        rate=1000,
        burst=100,
    )
    sells(shop, 1, 1, 1, 2, 2)
    first, second = talk.event(bus.WatchChanged), talk.event(bus.WatchChanged)
    assert (first.before, first.now.value) == (None, "1")
    assert (second.before.value, second.now.value, second.hit) == ("1", "2", 2)
    assert first.probe == status.id


@pytest.mark.skipif(sys.version_info < (3, 12), reason="exceptions as they are raised need sys.monitoring")
def test_a_named_exception_is_taken_once_where_it_is_raised(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    status = talk.put({"type": "exception", "types": ["ValueError"]}, rate=1000, burst=100)
    assert sells(shop, 1, 5000, 6000) == ["3", "refused", "refused"]
    first, second = talk.snapshot(status.id), talk.snapshot(status.id)
    assert [first.hit, second.hit] == [1, 2]
    assert first.captured.exception is not None
    assert (first.captured.exception.type, first.captured.exception.message) == ("ValueError", "too dear")
    assert first.captured.frames[0].function == "price"
    assert dict(first.captured.frames[0].locals or ())["doubled"].value == "10000"


def test_what_nobody_catches_is_taken_before_the_program_ends(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    status = talk.put({"type": "exception"})
    shop.tell("not a number")
    taken = talk.snapshot(status.id)
    assert taken.captured.exception is not None
    assert taken.captured.exception.type == "ValueError"
    assert taken.captured.exception.caught is False
    code, _, err = shop.end()
    assert code == 1
    assert "invalid literal" in err  # the hook that was there is called


def test_a_function_s_exit_has_its_variables_as_they_were_then(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    status = talk.put({"type": "snapshot"}, in_function("price", on="exit"))
    sells(shop, 20)
    assert dict(talk.snapshot(status.id).captured.frames[0].locals or ())["doubled"].value == "40"


def test_only_hits_that_meet_the_condition_count(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    place = at_line("program.py", shop.line_of("sum"))
    status = talk.put({"type": "log", "template": "{order.total}"}, place, condition="order.total > 10")
    sells(shop, 5, 20, 6, 30)
    assert talk.messages(2) == ["20", "30"]
    assert talk.reported(status.id, lambda one: one.hits > 1).hits == 2


def test_a_condition_that_fails_is_an_error_that_is_told_once_with_its_count(
    program: tuple[Talk, Program],
) -> None:
    talk, shop = program
    place = at_line("program.py", shop.line_of("sum"))
    status = talk.put({"type": "snapshot"}, place, condition="nobody > 1")
    sells(shop, 1, 2, 3)
    assert "nobody" in talk.state(status.id, "error").message
    told = talk.reported(status.id, lambda one: one.failures == 3)
    assert told.state == "error"
    assert "nobody" in told.failure


def test_python_runs_what_it_says_and_what_it_raises_stays_here(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    place = at_line("program.py", shop.line_of("sum"))
    talk.put({"type": "log", "template": "{max(n, order.total)!r}"}, place, python=True)
    wrong = talk.put({"type": "counter"}, place, python=True, condition="__import__('sys').exit(1)")
    assert sells(shop, 20) == ["41"]
    assert talk.messages(1) == ["20"]
    assert "SystemExit" in talk.state(wrong.id, "error").message


def test_an_expression_that_is_none_is_refused(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    place = at_line("program.py", shop.line_of("sum"))
    fault = talk.refused({"type": "snapshot"}, place, condition="order.total >")
    assert (fault.code, fault.reason) == ("invalid_argument", "invalid_expression")
    assert talk.refused({"type": "log", "template": "{"}, place).reason == "invalid_expression"


def test_after_its_last_hit_it_has_expired(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    status = talk.put(
        {"type": "log", "template": "x"}, at_line("program.py", shop.line_of("sum")), max_hits=2
    )
    sells(shop, 1, 2, 3, 4)
    told = talk.state(status.id, "expired")
    assert (told.hits, told.message) == (2, "it had its 2 hits")


def test_when_its_time_is_over_it_has_expired(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    place = at_line("program.py", shop.line_of("sum"))
    status = talk.put({"type": "log", "template": "x"}, place, left=0.1)
    assert talk.state(status.id, "expired").message == "its time is over"
    sells(shop, 1)
    assert talk.again(status.id, {"type": "log", "template": "x"}, place, left=60.0).state == "active"
    sells(shop, 2)
    assert talk.event(bus.ProbeLogged).hit == 1


def test_hits_over_the_rate_are_dropped_and_seen_again_later(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    status = talk.put({"type": "snapshot"}, at_line("program.py", shop.line_of("sum")), rate=1)
    sells(shop, 1, 2, 3)
    assert "more often than once a second" in talk.state(status.id, "throttled").message
    while talk.snapshots(status.id) < 2:  # the place was given up, and is armed again
        sells(shop, 1)


def test_what_takes_too_much_is_suspended_and_names_its_share(sidecar: FakeSidecar, tmp_path: Path) -> None:
    sidecar.environment["SONDE_PROBE_BUDGET"] = "0.0001"
    with shop(sidecar, tmp_path) as (talk, program):
        status = talk.put({"type": "counter"}, at_line("program.py", program.line_of("sum")))
        sells(program, *range(100))
        told = talk.state(status.id, "suspended")
        assert "of one core over 10 s" in told.message
        assert told.hits < 100


def test_two_files_that_end_alike_are_an_error_that_lists_them(program: tuple[Talk, Program]) -> None:
    talk, _ = program
    status = talk.put({"type": "counter"}, at_line("__init__.py", 1))
    assert status.state == "error"
    assert "is the end of several paths: /" in status.message


def test_a_line_without_code_means_the_next_one(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    line = shop.line_of("sum")
    status = talk.put({"type": "counter"}, at_line(shop.path, line + 1))
    assert [each.line for each in status.places] == [line + 3]


def test_the_same_again_only_has_more_time(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    place = at_line("program.py", shop.line_of("sum"))
    status = talk.put({"type": "counter"}, place)
    sells(shop, 1)
    assert talk.again(status.id, {"type": "counter"}, place).hits == 1


def test_more_probes_than_there_may_be_are_refused(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    place = at_line("program.py", shop.line_of("sum"))
    for _ in range(64):
        talk.put({"type": "counter"}, place)
    assert talk.refused({"type": "counter"}, place).code == "resource_exhausted"
    assert sells(shop, 1) == ["3"]


def test_a_sidecar_that_comes_after_another_is_told_of_all_probes(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    with shop(sidecar, tmp_path) as (talk, program):
        place = at_line("program.py", program.line_of("sum"))
        status = talk.put({"type": "counter"}, place)
        talk.line.close()
        sells(program, 1)
        line, _ = sidecar.welcome()
        assert Talk(line).reported(status.id).hits == 1


def test_what_redaction_hides_is_not_asked_for_by_a_condition(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    place = at_line("program.py", shop.line_of("sum"))
    status = talk.put({"type": "counter"}, place, condition="order.password == 'a'")
    assert status.state == "error"
    assert "redacted" in status.message


def test_of_a_sample_only_a_share_counts(program: tuple[Talk, Program]) -> None:
    talk, shop = program
    status = talk.put({"type": "counter"}, at_line("program.py", shop.line_of("sum")), sample=0.25)
    sells(shop, *range(40))
    assert talk.reported(status.id, lambda one: one.hits >= 10).hits in {10, 11}
