"""What viewers let a stopped program evaluate: it ends when told to, is always answered, and never gets out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sonde_agent import link
from sonde_agent.tap.interruption import GIVE_UP_AFTER, Evaluation, Verdict, judge
from tests.agent.tap.fakes import Debugging, FakeSidecar, Line, Program, eventually, running

STOPPABLE = """
    import sys
    import threading
    import time
    import sonde_agent
    sonde_agent.start()
    outcome = []
    text = "x" * 20_000_000
    begun = []
    rounds = 0

    def begin():
        begun.append(True)
        return begun

    class Slow:
        def __repr__(self):
            endless()

    class Untold(Exception):
        def __str__(self):
            endless()

    def raises(*_):
        try:
            raise Untold
        except Untold:
            return "passed"

    class Leaving:
        def __repr__(self):
            raise SystemExit(4)

    def endless():
        begin()
        while True:
            pass

    def stubborn(times):
        while times:
            try:
                endless()
            except BaseException:
                times -= 1

    def holds():
        raise SystemExit(3)

    def work(number):
        slow = Slow()
        leaving = Leaving()
        return number * 2  # stop here

    def worker():
        global rounds
        try:
            while True:
                outcome.append(work(len(outcome)))
                rounds += 1
                time.sleep(0.002)
        except BaseException as error:
            outcome.append(error)
            raise

    def prints():
        while True:
            print("", end="")

    def start_printing():
        for _ in range(3):
            threading.Thread(target=prints, daemon=True).start()

    threading.Thread(target=worker, daemon=True).start()
    for line in sys.stdin:
        print(eval(line), flush=True)
    """

MAIN = "__import__('__main__')"


class Stopped:
    """A session whose program's worker stands."""

    def __init__(self, program: Program, line: Line, debugging: Debugging) -> None:
        self.program = program
        self.line = line
        self.debugging = debugging
        self.event: dict[str, Any] = {}
        self.frame = 0

    def wait(self) -> None:
        self.event = self.debugging.event("stopped")
        frames = self.debugging.ask("stackTrace", threadId=self.event["threadId"])["stackFrames"]
        self.frame = frames[0]["id"]

    def evaluate(self, expression: str, context: str = "watch", framed: bool = True) -> int:
        where = {"frameId": self.frame} if framed else {}
        return self.debugging.send("evaluate", expression=expression, context=context, **where)

    def answer(self, expression: str, context: str = "watch", framed: bool = True) -> dict[str, Any]:
        return self.debugging.response(self.evaluate(expression, context, framed))

    def value(self, expression: str) -> str:
        answer = self.answer(expression)
        assert answer["success"], answer
        return str(answer["body"]["result"])

    def interrupt(self, seq: int) -> dict[str, Any]:
        """Once it runs; its response."""

        def has_begun() -> bool:
            self.program.tell("bool(begun)")
            return self.program.hear() == "True"

        eventually(has_begun, "it to run")
        assert self.line.value("debugger.interrupt", seq=seq) == {"running": True}
        response = self.debugging.response(seq)
        self.program.tell("begun.clear()")
        self.program.hear()
        return response

    def lives_on(self) -> None:
        """It still stands, evaluates, goes on, and stops again."""
        assert self.value("20 + 1 + number * 0") == "21"
        assert self.value("slow is not None") == "True"
        self.debugging.go_on(self.event)
        self.wait()
        assert self.value("'still ' + 'here'") == "'still here'"
        self.program.tell("[each for each in outcome if isinstance(each, BaseException)]")
        assert self.program.hear() == "[]"


@contextmanager
def stopped(sidecar: FakeSidecar, directory: Path, **limits: float) -> Iterator[Stopped]:
    with running(directory, STOPPABLE, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        debugging = Debugging(line).open(**limits)
        debugging.stop_at(program.path, program.line_of("stop here"))
        stopped = Stopped(program, line, debugging)
        stopped.wait()
        yield stopped


def test_what_is_under_its_limit_and_wanted_is_let_run() -> None:
    evaluation = Evaluation(thread=1, seq=2, since=10.0)
    assert judge(evaluation, 5.0, 14.9) is Verdict.LET_RUN
    assert judge(evaluation, 5.0, 15.0) is Verdict.INTERRUPT


def test_what_does_not_end_is_given_up_once_and_interrupted_all_the_same() -> None:
    evaluation = Evaluation(thread=1, seq=2, since=10.0)
    evaluation.unwanted_since = 11.0
    assert judge(evaluation, 5.0, 11.0) is Verdict.INTERRUPT
    assert judge(evaluation, 5.0, 11.0 + GIVE_UP_AFTER) is Verdict.GIVE_UP
    evaluation.told = True
    assert judge(evaluation, 5.0, 99.0) is Verdict.INTERRUPT


def test_an_endless_evaluation_ends_when_told_to(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with stopped(sidecar, tmp_path) as it:
        for context in ("watch", "hover", "repl", "clipboard"):
            for framed in (True, False):
                seq = it.evaluate(f"[{MAIN}.begin() for _ in iter(int, 1)]", context, framed)
                answer = it.interrupt(seq)
                assert not answer["success"]
                assert "interrupted after" in answer["message"]
                assert it.answer("1 + 1", framed=False)["body"]["result"] == "2"
        it.lives_on()


def test_a_statement_and_an_assignment_end_when_told_to(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with stopped(sidecar, tmp_path) as it:
        of_it = {"frameId": it.frame}
        for command, arguments in (
            ("evaluate", {"expression": "while begin(): pass", "context": "repl"}),
            ("setExpression", {"expression": "number", "value": "endless()"}),
            ("evaluate", {"expression": "stubborn(30)", "context": "watch"}),
            ("evaluate", {"expression": "slow", "context": "watch"}),
        ):
            seq = it.debugging.send(command, **of_it, **arguments)
            answer = it.interrupt(seq)
            assert not answer["success"], answer
            assert "interrupted after" in answer["message"]
        it.lives_on()


def test_values_that_show_themselves_slowly_end_when_told_to(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with stopped(sidecar, tmp_path) as it:
        (scope, _) = it.debugging.ask("scopes", frameId=it.frame)["scopes"]
        seq = it.debugging.send("variables", variablesReference=scope["variablesReference"])
        assert not it.interrupt(seq)["success"]
        seq = it.debugging.send(
            "setVariable", variablesReference=scope["variablesReference"], name="number", value="endless()"
        )
        assert not it.interrupt(seq)["success"]
        it.lives_on()


def test_an_endless_evaluation_ends_at_its_limit_by_itself(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with stopped(sidecar, tmp_path, evaluation_limit=0.3) as it:
        for expression, framed in (("endless()", True), (f"{MAIN}.endless()", False), ("slow", True)):
            assert "interrupted after" in it.answer(expression, framed=framed)["message"]
        it.lives_on()


def test_what_awaits_for_ever_ends_too(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with stopped(sidecar, tmp_path) as it:
        for expression in (
            "await __import__('asyncio').sleep(begin() and 1000)",
            "await __import__('asyncio').sleep(0) or endless()",
        ):
            seq = it.evaluate(expression)
            assert not it.interrupt(seq)["success"]
        it.lives_on()
        assert it.program.end()[2] == ""


def test_one_that_waits_for_its_turn_is_not_run_when_it_comes(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with stopped(sidecar, tmp_path) as it:
        first = it.evaluate("endless()")
        second = it.evaluate("outcome.append(RuntimeError('it ran'))")
        it.debugging.ask("threads")  # both have been read
        assert it.line.value("debugger.interrupt", seq=second) == {"running": False}
        assert not it.interrupt(first)["success"]
        assert it.debugging.response(second)["message"] == "interrupted before it began"
        it.lives_on()


def test_interruptions_that_come_as_an_evaluation_ends_hit_nothing_else(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    with stopped(sidecar, tmp_path) as it:
        for number in range(300):
            context = ("watch", "repl")[number % 2]
            seq = it.evaluate(f"sum(range({number * 40}))", context, framed=number % 3 != 0)
            it.line.value("debugger.interrupt", seq=seq)
            answer = it.debugging.response(seq)
            assert answer["success"] or "interrupted" in answer["message"], answer
        it.lives_on()
        it.program.tell("sys.stdout.write('as ever') and None")
        assert it.program.hear() == "as everNone"


@pytest.mark.parametrize("framed", [True, False])
def test_leaving_the_program_from_an_evaluation_is_an_error_that_is_answered(
    sidecar: FakeSidecar, tmp_path: Path, framed: bool
) -> None:
    with stopped(sidecar, tmp_path) as it:
        for context in ("watch", "hover", "repl"):
            for expression in (
                "__import__('sys').exit(3)",
                "exit()",
                "next(each for each in [0] if (_ for _ in ()).throw(GeneratorExit))",
                "(_ for _ in ()).throw(KeyboardInterrupt)",
            ):
                answer = it.answer(expression, context, framed)
                assert not answer["success"], answer
        answer = it.answer("raise SystemExit(7)", "repl", framed)
        assert (answer["success"], answer["message"]) == (False, "SystemExit: 7")
        it.lives_on()  # its standard input is open, though `exit()` closes it elsewhere


def test_a_value_that_leaves_when_it_is_shown_does_not_take_the_answer_along(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    with stopped(sidecar, tmp_path) as it:
        assert it.answer("leaving")["type"] == "response"
        (scope, _) = it.debugging.ask("scopes", frameId=it.frame)["scopes"]
        it.program.tell("setattr(Slow, '__repr__', object.__repr__)")
        it.program.hear()
        assert it.debugging.ask("variables", variablesReference=scope["variablesReference"])["variables"]
        it.lives_on()


def test_huge_values_are_cut(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with stopped(sidecar, tmp_path) as it:
        cases = [
            ("text", "clipboard", True),
            ("[text] * 100", "clipboard", True),
            ("'x' * 20_000_000", "watch", False),
            ("list(range(2_000_000))", "watch", False),
        ]
        for expression, context, framed in cases:
            answer = it.answer(expression, context, framed)
            assert answer["success"], answer
            assert 100 < len(answer["body"]["result"]) < 1_100_000
        answer = it.answer("(_ for _ in ()).throw(ValueError(text))")
        assert not answer["success"]
        assert "too large" in answer["message"]
        it.lives_on()


def test_what_sits_in_c_is_answered_though_it_cannot_be_ended(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with stopped(sidecar, tmp_path, evaluation_limit=0.1) as it:
        answer = it.answer("time.sleep(3)")
        assert not answer["success"]
        assert "cannot be interrupted" in answer["message"]
        it.program.tell("[begin() for _ in range(3)] and 'the others run'")
        assert it.program.hear() == "the others run"
        it.lives_on()  # once it has returned


def test_the_end_of_the_session_ends_an_evaluation_and_the_thread_runs_on(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    with stopped(sidecar, tmp_path) as it:
        it.evaluate("stubborn(10)")
        it.evaluate(f"{MAIN}.endless()", framed=False)
        it.debugging.ask("threads")
        it.debugging.close()
        it.program.tell("rounds")
        before = int(it.program.hear())

        def goes_on() -> bool:
            it.program.tell("rounds")
            return int(it.program.hear()) > before

        eventually(goes_on, "the worker to go on")
        it.debugging = Debugging(it.line).open()
        it.debugging.stop_at(it.program.path, it.program.line_of("stop here"))
        it.wait()
        it.lives_on()


@pytest.mark.parametrize("condition", ["holds()", "(_ for _ in ()).throw(KeyboardInterrupt)", "endless()"])
def test_a_condition_that_raises_or_does_not_end_just_does_not_hold(
    sidecar: FakeSidecar, tmp_path: Path, condition: str
) -> None:
    with stopped(sidecar, tmp_path, evaluation_limit=0.1) as it:
        point = {"line": it.program.line_of("stop here")}
        it.debugging.ask(
            "setBreakpoints",
            source={"path": it.program.path},
            breakpoints=[{**point, "condition": condition}],
        )
        before = int(it.value("rounds"))
        it.debugging.go_on(it.event)

        def passed() -> bool:
            it.program.tell("rounds")
            return int(it.program.hear()) > before + 3

        eventually(passed, "the worker to run through it")
        said = it.debugging.event("output")["output"]
        assert "a breakpoint's condition failed" in said
        it.debugging.stop_at(it.program.path, it.program.line_of("stop here"))
        it.wait()
        it.lives_on()


def test_a_log_message_that_does_not_end_is_cut_short(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with stopped(sidecar, tmp_path, evaluation_limit=0.1) as it:
        point = {"line": it.program.line_of("stop here"), "logMessage": "{endless()}"}
        it.debugging.ask("setBreakpoints", source={"path": it.program.path}, breakpoints=[point])
        it.debugging.go_on(it.event)
        while "log message failed" not in it.debugging.event("output")["output"]:
            pass
        it.debugging.stop_at(it.program.path, it.program.line_of("stop here"))
        it.wait()
        it.lives_on()


def test_an_exception_whose_text_does_not_come_is_stopped_at_all_the_same(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    with running(tmp_path, STOPPABLE, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        debugging = Debugging(line).open(evaluation_limit=0.1)
        debugging.ask("setExceptionBreakpoints", filters=["raised"])
        program.tell("raises()")
        stopped = debugging.event("stopped")
        assert stopped["reason"] == "exception"
        told = debugging.response(debugging.send("exceptionInfo", threadId=stopped["threadId"]))
        assert not told["success"]
        debugging.go_on(stopped)
        assert program.hear() == "passed"


def test_only_whoever_is_connected_is_held_or_interrupted(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, STOPPABLE, sidecar.environment):
        line, _ = sidecar.welcome()
        for operation, name in (("debugger.hold", "seconds"), ("debugger.interrupt", "seq")):
            fault = line.call(operation, **{name: 5})
            assert isinstance(fault, link.Fault)
            assert (fault.code, fault.reason) == ("failed_precondition", "debugger_unavailable")
        wrong: list[tuple[str, dict[str, Any]]] = [
            ("debugger.hold", {"seconds": 0}),
            ("debugger.hold", {"seconds": 3601}),
            ("debugger.hold", {"seconds": "5"}),
            ("debugger.hold", {}),
            ("debugger.interrupt", {"seq": "5"}),
        ]
        for operation, arguments in wrong:
            fault = line.call(operation, **arguments)
            assert isinstance(fault, link.Fault)
            assert (fault.code, fault.reason) == ("invalid_argument", "invalid_params")


def test_a_program_that_prints_outlives_evaluations_that_take_its_standard_output(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    with stopped(sidecar, tmp_path) as it:
        it.program.tell("start_printing()")
        it.program.hear()
        for number in range(30):
            assert it.answer(str(number), "repl")["body"]["result"] == str(number)
        it.lives_on()
