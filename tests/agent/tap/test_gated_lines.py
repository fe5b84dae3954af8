"""Breakpoints behave as debugpy's own do, and cost nothing where they are not: each story is told twice, with the gate
and as debugpy makes them by itself."""

import colorsys
import json
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.agent.tap.fakes import Debugging, FakeSidecar, Line, Program, eventually, fake_sidecar, running

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="3.11 traces functions, and each of their lines: nothing is gated"
)
SOURCE = """
    import asyncio
    import colorsys
    import json
    import sys
    import threading
    from collections import Counter
    import sonde_agent
    from sonde_agent.tap import gated_lines

    gated_lines.APPLIED = {applied}
    heard = Counter()
    weigh = gated_lines.GatedLines._weigh

    def weigh_and_count(self, era, code, line, frame):
        heard[line] += 1
        return weigh(self, era, code, line, frame)

    gated_lines.GatedLines._weigh = weigh_and_count
    sonde_agent.start()
    seen = []
    going = True

    def loop(count):
        total = 0
        for i in range(count):  # head
            total += i  # in loop
            total -= 1  # after
            if total < -(10**9):
                total = 0  # never
        return total  # loop over

    def callee(number):
        if number < 0:
            return 0  # not this

        doubled = number * 2  # callee
        return doubled  # leaving

    def caller(count):
        total = 0
        for i in range(count):
            total += callee(i)  # call
            total += 1  # after call
        return total

    def one_line(count):
        kept = 1
        found = [kept + i for i in range(count)]  # comprehension
        return len(found)  # after comprehension

    def one_line_twice(count):
        one_line(count)
        one_line(count)  # second
        return True

    def numbers(count):
        for i in range(count):
            before = i
            yield before
            after = i  # after yield

    async def waits(count):
        for i in range(count):
            await asyncio.sleep(0)
            done = i  # awaited

    def raises(count):
        for i in range(count):
            try:
                raise ValueError(i)  # raise
            except ValueError:
                seen.append(i)

    def at_once(count):
        barrier = threading.Barrier(count)
        def meet(number):
            barrier.wait()
            callee(number)
        threads = [threading.Thread(target=meet, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return count

    def spin():
        turns = 0
        while going:
            turns += 1  # spin
            seen[:] = [turns]  # spun

    def begin():
        global going, spinning
        going = True
        seen.clear()
        spinning = threading.Thread(target=spin, daemon=True)
        spinning.start()
        return spinning.name

    def finish():
        global going
        going = False
        spinning.join()

    def events(function):
        return sys.monitoring.get_local_events(sys.monitoring.DEBUGGER_ID, function.__code__)

    def own():
        return sys.modules["_pydevd_sys_monitoring.pydevd_sys_monitoring"].restart_events.__globals__

    for line in sys.stdin:
        print(eval(line), flush=True)
    """


class Told:
    """A program under debugging, and a client that asks and hears."""

    def __init__(self, program: Program, line: Line) -> None:
        self.program = program
        self._line = line
        self.debugging = Debugging(line).open()

    def at(self, tag: str) -> int:
        return self.program.line_of(tag)

    def stop_at(self, *tags: str, **how: str) -> list[int]:
        """The numbers that the breakpoints got. All others are taken away."""
        points = [{"line": self.at(tag), **how} for tag in tags]
        return [point["id"] for point in self.points(self.program.path, points)]

    def points(self, path: str, points: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answer = self.debugging.ask("setBreakpoints", source={"path": path}, breakpoints=points)
        told: list[dict[str, Any]] = answer["breakpoints"]
        return told

    def stopped(self) -> tuple[dict[str, Any], int]:
        """The event and the line."""
        event = self.debugging.event("stopped")
        return event, self.debugging.where(event)[1]

    def stops(self, call: str, value: str) -> list[str]:
        """What a variable is at each stop of a call, until the call returns."""
        self.program.tell(call)
        found: list[str] = []
        while True:
            self.debugging.ask("threads")  # what was said before is heard after it
            if not any(message.get("event") == "stopped" for message in self.debugging.events):
                if self.returned():
                    return found
                continue
            event, _ = self.stopped()
            frame = self.debugging.ask("stackTrace", threadId=event["threadId"])["stackFrames"][0]["id"]
            found.append(
                self.debugging.ask("evaluate", expression=value, frameId=frame, context="watch")["result"]
            )
            self.debugging.go_on(event)

    def step(self, how: str, event: dict[str, Any]) -> tuple[dict[str, Any], int]:
        self.debugging.ask(how, threadId=event["threadId"])
        return self.stopped()

    def returned(self) -> bool:
        stdout = self.program.process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], 0)[0]:
            return False
        self.program.hear()
        return True

    def ask(self, expression: str) -> str:
        self.program.tell(expression)
        return self.program.hear()

    def turns(self) -> int:
        return int(self.ask("seen[0] if seen else 0"))

    def goes_on(self) -> None:
        before = self.turns()
        eventually(lambda: self.turns() > before, "the loop to go on")

    def heard(self) -> dict[int, int]:
        """How often the gate heard of each line."""
        return {int(line): times for line, times in json.loads(self.ask("json.dumps(heard)")).items()}

    def close(self) -> None:
        self.debugging.close()

    def again(self) -> None:
        self.debugging = Debugging(self._line).open()


@contextmanager
def told(sidecar: FakeSidecar, directory: Path, *, applied: bool) -> Iterator[Told]:
    with running(directory, SOURCE.format(applied=applied), sidecar.environment) as program:
        line, _ = sidecar.welcome()
        yield Told(program, line)


@pytest.fixture(scope="module", params=[True, False], ids=["gated", "plain"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with (
        fake_sidecar() as sidecar,
        told(sidecar, tmp_path_factory.mktemp("gated"), applied=request.param) as it,
    ):
        yield it


@pytest.fixture
def it(shared: Told) -> Iterator[Told]:
    yield shared
    shared.stop_at()
    shared.debugging.ask("setExceptionBreakpoints", filters=[])


def test_a_breakpoint_stops_each_time_and_says_which_it_is(it: Told) -> None:
    first, second = it.stop_at("in loop", "loop over")
    it.program.tell("loop(2)")
    for point, tag in ((first, "in loop"), (first, "in loop"), (second, "loop over")):
        event, line = it.stopped()
        assert (event["reason"], event["hitBreakpointIds"], line) == ("breakpoint", [point], it.at(tag))
        it.debugging.go_on(event)
    assert it.program.hear() == "-1"


def test_a_step_over_goes_on_to_the_next_line_and_round_the_loop(it: Told) -> None:
    it.stop_at("in loop", condition="i == 50")
    it.program.tell("loop(52)")
    event, line = it.stopped()
    lines = []
    for _ in range(5):
        event, line = it.step("next", event)
        lines.append(line)
    after = it.at("after")
    assert lines == [after, after + 1, it.at("head"), it.at("in loop"), after]
    it.debugging.go_on(event)
    it.program.hear()


def test_steps_into_and_out_of_a_function_that_ran_many_times(it: Told) -> None:
    it.stop_at("call", "not this", condition="i == 30")
    it.program.tell("caller(32)")
    event, _ = it.stopped()
    event, line = it.step("stepIn", event)
    assert line == it.at("not this") - 1
    event, line = it.step("next", event)
    assert line == it.at("callee")
    event, line = it.step("stepOut", event)
    assert line in {it.at("call"), it.at("after call")}
    event, line = it.step("next", event)
    assert line in {it.at("after call"), it.at("after call") - 2}
    it.debugging.go_on(event)
    it.program.hear()


def test_a_breakpoint_in_the_line_that_is_stepped_onto_is_hit(it: Told) -> None:
    _, second = it.stop_at("in loop", "after")
    it.program.tell("loop(1)")
    event, _ = it.stopped()
    event, line = it.step("next", event)
    assert (event["reason"], event["hitBreakpointIds"], line) == ("breakpoint", [second], it.at("after"))
    it.debugging.go_on(event)
    it.program.hear()


@pytest.mark.parametrize(
    ("hits", "stops"),
    [
        ("3", ["2"]),
        ("== 3", ["2"]),
        (">= 4", ["3", "4", "5"]),
        (">5", ["5"]),
        ("<3", ["0", "1"]),
        ("% 2", ["1", "3", "5"]),
        ("%0", []),
        ("@HIT@ in (2, 4)", ["1", "3"]),
        ("== 03", []),
        ("nonsense", []),
    ],
)
def test_hits_are_counted_and_compared(it: Told, hits: str, stops: list[str]) -> None:
    it.stop_at("in loop", hitCondition=hits)
    assert it.stops("loop(6)", "i") == stops


def test_a_condition_sees_the_frame_and_a_hit_condition_goes_before_it(it: Told) -> None:
    it.stop_at("in loop", condition="  total > 4 and count == 6")
    assert it.stops("loop(6)", "i") == ["5"]
    it.ask("seen.clear()")
    it.stop_at("in loop", condition="seen.append(i)", hitCondition="% 3")
    assert it.stops("loop(6)", "i") == ["2", "5"]
    assert it.ask("seen") == "[0, 1, 3, 4]"  # each time, and only where the count did not decide


def test_a_log_message_is_written_and_does_not_stop(it: Told) -> None:
    it.stop_at("in loop", logMessage="i is {i}")
    it.ask("loop(3)")
    written = [it.debugging.event("output")["output"] for _ in range(3)]
    assert written == ["i is 0\n", "i is 1\n", "i is 2\n"]
    it.stop_at("in loop", logMessage="i is {i}", condition="i == 1")
    it.ask("loop(3)")
    assert it.debugging.event("output")["output"] == "i is 1\n"
    it.debugging.ask("threads")
    assert not [message for message in it.debugging.events if message.get("event") == "output"]


def test_a_broken_condition_does_not_stop_and_is_said_once(it: Told) -> None:
    for condition, complaint in (("1 +", "SyntaxError"), ("1 / 0", "ZeroDivisionError")):
        it.stop_at("in loop", condition=condition)
        assert it.stops("loop(4)", "i") == []
        output = it.debugging.event("output")["output"]
        assert complaint in output
        assert condition in output
        it.debugging.ask("threads")
        assert not [message for message in it.debugging.events if message.get("event") == "output"]
    it.stop_at("in loop", condition="no_such_name")
    assert it.stops("loop(4)", "i") == []


def test_two_threads_stop_at_one_line_at_the_same_time(it: Told) -> None:
    it.stop_at("callee", condition="number >= 0")
    it.program.tell("at_once(2)")
    (one, first), (other, second) = it.stopped(), it.stopped()
    assert first == second == it.at("callee")
    assert one["threadId"] != other["threadId"]
    one, line = it.step("next", one)  # and the other goes on
    assert line == it.at("leaving")
    it.debugging.go_on(one)
    assert it.program.hear() == "2"


def test_generators_and_coroutines_stop_after_they_waited(it: Told) -> None:
    it.stop_at("after yield", "awaited", condition="i != 1")
    assert it.stops("list(numbers(3))", "i") == ["0", "2"]
    assert it.stops("asyncio.run(waits(3))", "i") == ["0", "2"]


def test_a_step_over_a_yield_stops_where_the_generator_is_read(it: Told) -> None:
    it.stop_at("after yield", condition="i == 2")
    it.program.tell("sum(numbers(4))")
    event, _ = it.stopped()
    event, line = it.step("next", event)
    assert line == it.at("after yield") - 3
    it.debugging.go_on(event)
    assert it.program.hear() == "6"


def test_a_loop_within_a_line_stops_at_each_turn_and_again_in_the_next_call(it: Told) -> None:
    it.stop_at("comprehension")
    once = it.stops("one_line(2)", "kept")
    assert once
    assert it.stops("one_line_twice(2)", "kept") == once * 2
    it.stop_at("comprehension", "second", hitCondition="1")
    assert it.stops("one_line_twice(3)", "count") == ["3", "3"]


def test_breakpoints_come_and_go_while_a_loop_runs(it: Told) -> None:
    it.ask("begin()")
    for tag in ("spin", "spun", "spin"):
        it.stop_at(tag)
        event, line = it.stopped()
        assert line == it.at(tag)
        it.stop_at()
        it.debugging.go_on(event)
        it.goes_on()
    it.ask("finish()")


def test_a_pause_stops_a_loop_beside_a_breakpoint_that_is_not_reached(it: Told) -> None:
    name = it.ask("begin()")
    it.stop_at("spin", condition="turns < 0")
    threads = it.debugging.ask("threads")["threads"]
    thread = next(each["id"] for each in threads if each["name"] == name)
    for _ in range(3):
        it.goes_on()  # else pydevd finds it standing still, and says nothing
        it.debugging.ask("pause", threadId=thread)
        event, _ = it.stopped()
        assert (event["reason"], event["threadId"]) == ("pause", thread)
        event, line = it.step("next", event)
        assert it.at("spin") - 1 <= line <= it.at("spun")
        it.debugging.go_on(event)
    it.ask("finish()")


def test_a_jump_to_another_line(it: Told) -> None:
    it.stop_at("after", condition="i == 1")
    it.program.tell("loop(2)")
    event, _ = it.stopped()
    place = {"source": {"path": it.program.path}, "line": it.at("in loop")}
    target = it.debugging.ask("gotoTargets", **place)["targets"][0]["id"]
    it.debugging.ask("goto", threadId=event["threadId"], targetId=target)
    event, line = it.stopped()
    assert (event["reason"], line) == ("goto", it.at("in loop"))
    event, line = it.step("next", event)
    assert line == it.at("after")
    it.stop_at()
    it.debugging.go_on(event)
    assert it.program.hear() == "0"


def test_exceptions_stop_beside_a_breakpoint(it: Told) -> None:
    it.ask("seen.clear()")
    it.stop_at("raise", condition="i == 1")
    it.debugging.ask("setExceptionBreakpoints", filters=["raised"])
    it.program.tell("raises(2)")
    reasons = []
    for _ in range(3):
        event, line = it.stopped()
        assert line == it.at("raise")
        reasons.append(event["reason"])
        it.debugging.go_on(event)
    assert reasons == ["exception", "breakpoint", "exception"]
    it.program.hear()
    assert it.ask("seen") == "[0, 1]"


def test_a_function_breakpoint_beside_one_in_a_line(it: Told) -> None:
    it.stop_at("leaving", condition="number == 1")
    it.ask("callee(0) + callee(0)")
    it.debugging.ask("setFunctionBreakpoints", breakpoints=[{"name": "callee"}])
    assert len(it.stops("callee(0) + callee(2)", "number")) == 2
    it.debugging.ask("setFunctionBreakpoints", breakpoints=[])
    assert it.stops("callee(0) + callee(1)", "number") == ["1"]


def test_code_that_is_filtered_out_neither_stops_nor_decides(it: Told) -> None:
    path = colorsys.__file__
    line = next(
        number
        for number, text in enumerate(Path(path).read_text().splitlines(), 1)
        if text.strip().startswith("maxc = max(r, g, b)")
    )
    call = "[colorsys.rgb_to_hls(1, 1, number) for number in range(3)] and len(seen)"
    note = "__import__('__main__').seen.append(b)"
    it.ask("seen.clear()")
    it.debugging.ask("attach", justMyCode=True, subProcess=False, stopAllThreadsOnSuspend=False)
    it.points(path, [{"line": line, "condition": note}])
    assert it.ask(call) == "0"
    it.debugging.ask("attach", justMyCode=False, subProcess=False, stopAllThreadsOnSuspend=False)
    it.points(path, [{"line": line, "condition": note}])
    assert it.ask(call) == "3"
    it.points(path, [])


def test_a_line_without_code_moves_to_one_that_has_some(it: Told) -> None:
    (point,) = it.points(it.program.path, [{"line": it.at("callee") - 1}])
    assert point["verified"]
    it.program.tell("callee(-1), callee(1)")
    event, line = it.stopped()
    assert line == point["line"] != it.at("callee") - 1
    it.debugging.go_on(event)
    it.program.hear()


def test_lines_without_a_breakpoint_are_heard_of_no_more(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with told(sidecar, tmp_path, applied=True) as it:
        it.stop_at("never", "not this", "in loop", condition="i < 0")
        it.ask("heard.clear() or loop(1000)")
        it.ask("caller(1000)")
        heard = it.heard()
        assert heard.pop(it.at("in loop")) == 1000
        assert heard
        assert all(times <= 2 for times in heard.values()), heard
        # so it is again after somebody has stopped and stepped
        it.stop_at("after", condition="i == 3")
        it.program.tell("loop(5)")
        event, _ = it.stopped()
        event, _ = it.step("next", event)
        it.debugging.go_on(event)
        it.program.hear()
        it.stop_at("never")
        it.ask("heard.clear() or loop(1000)")
        assert all(times <= 2 for times in it.heard().values())


def test_off_is_off_and_the_next_connection_is_gated_again(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with told(sidecar, tmp_path, applied=True) as it:
        for _ in range(2):
            it.stop_at("never", "in loop", condition="i == 3")
            it.program.tell("loop(1000)")
            event, line = it.stopped()
            assert line == it.at("in loop")
            it.debugging.go_on(event)
            it.program.hear()
            assert it.ask("events(loop) != 0 and own()['monitor'] is not sys.monitoring") == "True"
            it.close()
            assert it.ask("own()['monitor'] is sys.monitoring and own()['sys'] is sys") == "True"
            assert it.ask("sys.monitoring.use_tool_id(0, 'test') or events(loop)") == "0"
            assert it.ask("sys.monitoring.free_tool_id(0) or heard.clear() or loop(10)") == "35"
            assert it.ask("len(heard)") == "0"
            it.again()
