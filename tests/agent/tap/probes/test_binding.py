"""Probes find the code that is meant, whenever it comes and however it runs, and leave nothing behind."""

import sys
import textwrap
from pathlib import Path

import pytest

from sonde_wire import bus
from tests.agent.tap.fakes import Debugging, FakeSidecar, Program, running
from tests.agent.tap.probes.talk import Talk, at_line, in_function

SERVED = """
import sys
import sonde_agent
sonde_agent.start(service="bound")

def wait():
    return sys.stdin.readline().strip()

def off():
    "What the probes of this process are placed by now."
    if sys.version_info < (3, 12):
        return []
    tools = [sys.monitoring.get_tool(number) for number in range(6)]
    return [tool for tool in tools if tool and tool.startswith("sonde")]

"""
"""What every program here begins with."""


monitored = pytest.mark.skipif(sys.version_info < (3, 12), reason="what runs already cannot be reached")


class Site:
    def __init__(self, talk: Talk, program: Program) -> None:
        self.talk = talk
        self.program = program

    def line(self, tag: str) -> dict[str, object]:
        return at_line("program.py", self.program.line_of(tag))

    def says(self, line: str = "") -> str:
        self.program.tell(line)
        return self.program.hear()


@pytest.fixture
def served(sidecar: FakeSidecar, tmp_path: Path, request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    """The program that the test's docstring is."""
    source = SERVED + textwrap.dedent(request.function.__doc__)
    with running(tmp_path, source, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        assert program.hear() == "ready"
        yield Site(Talk(line), program)


@monitored
def test_a_generator_that_waits_already_is_hit_when_it_goes_on(served: Site) -> None:
    """
    def numbers():
        for number in range(10):
            yield number
            passed = number  # passed

    waiting = numbers()
    next(waiting)
    print("ready", flush=True)
    wait()
    print(next(waiting), flush=True)
    wait()
    """
    served.talk.put({"type": "log", "template": "passed {number}"}, served.line("passed"))
    assert served.says() == "1"
    assert served.talk.messages(1) == ["passed 0"]


@monitored
def test_tasks_are_told_apart_by_a_timer_and_named_in_a_snapshot(served: Site) -> None:
    """
    import asyncio

    async def serve(number, turn):
        await turn.wait()
        return number  # served

    async def main():
        turn = asyncio.Event()
        tasks = [asyncio.create_task(serve(each, turn), name=f"request {each}") for each in range(3)]
        await asyncio.sleep(0)
        print("ready", flush=True)
        await asyncio.to_thread(wait)
        turn.set()
        print(sum(await asyncio.gather(*tasks)), flush=True)
        print(sum(await asyncio.gather(*(serve(each, turn) for each in range(4)))), flush=True)
        await asyncio.to_thread(wait)

    asyncio.run(main())
    """
    seen = served.talk.put({"type": "snapshot"}, served.line("served"), rate=100, burst=10)
    timed = served.talk.put({"type": "timer"}, in_function("serve"))
    assert served.says() == "3"
    task = served.talk.snapshot(seen.id).captured.task
    assert task is not None
    assert task.name == "request 0"
    assert task.coroutine == "serve"
    measured = served.talk.reported(timed.id, lambda one: one.hits == 4).measured
    assert measured is not None
    assert measured.count == 4  # those that had begun before it came have no beginning


def test_each_call_of_a_recursion_is_a_hit_and_a_time_of_its_own(served: Site) -> None:
    """
    def depth(left):
        if left:
            depth(left - 1)
        return left  # returns

    print("ready", flush=True)
    wait()
    depth(3)
    print("done", flush=True)
    wait()
    """
    served.talk.put({"type": "log", "template": "{left}"}, served.line("returns"))
    timed = served.talk.put({"type": "timer"}, in_function("depth"))
    served.says()
    assert served.talk.messages(4) == ["0", "1", "2", "3"]
    measured = served.talk.reported(timed.id, lambda one: one.hits == 4).measured
    assert measured is not None
    assert measured.count == 4


def test_every_thread_is_seen_under_its_name(served: Site) -> None:
    """
    import threading

    def work(number):
        return number  # work

    print("ready", flush=True)
    wait()
    for each in range(4):
        thread = threading.Thread(target=work, args=(each,), name=f"worker {each}")
        thread.start()
        thread.join()
    print("done", flush=True)
    wait()
    """
    served.talk.put({"type": "log", "template": "{number}"}, served.line("work"))
    served.says()
    seen = [served.talk.event(bus.ProbeLogged).thread for _ in range(4)]
    assert seen == ["worker 0", "worker 1", "worker 2", "worker 3"]


@monitored
def test_a_module_that_comes_later_is_bound_before_its_first_line_and_again_when_it_is_reloaded(
    served: Site,
) -> None:
    """
    import importlib, pathlib
    sys.dont_write_bytecode = True
    module = pathlib.Path(__file__).with_name("later.py")
    module.write_text("first = 1\\ndef late(n):\\n    return n + first\\n")
    print("ready", flush=True)
    wait()
    import later
    print(later.late(1), flush=True)
    wait()
    module.write_text("first = 20\\ndef late(n):\\n    return n + first\\n\\n")
    importlib.reload(later)
    print(later.late(1), flush=True)
    wait()
    """
    talk = served.talk
    first = talk.put({"type": "log", "template": "loading"}, at_line("later.py", 1))
    second = talk.put({"type": "log", "template": "late {n}"}, in_function("late", module="later"))
    assert (first.state, second.state) == ("pending", "pending")
    assert first.message == "no file that is or ends in later.py is loaded yet"
    assert second.message == "the module later is not imported yet"
    assert served.says() == "2"
    assert talk.messages(2) == ["loading", "late 1"]
    assert served.says() == "21"
    assert talk.messages(2) == ["loading", "late 1"]


@monitored
def test_code_that_is_executed_is_found_by_its_file_name(served: Site) -> None:
    """
    print("ready", flush=True)
    while (said := wait()):
        exec(compile(f"def made():\\n    return {said}\\nprint(made(), flush=True)", "rules/made.py", "exec"), {"__name__": "made"})
    """
    status = served.talk.put({"type": "log", "template": "made"}, at_line("made.py", 2))
    assert status.state == "pending"
    assert [served.says("7"), served.says("8")] == ["7", "8"]
    assert served.talk.messages(2) == ["made", "made"]


def test_a_function_is_found_behind_its_decorators_and_in_its_class(served: Site) -> None:
    """
    import functools

    def loud(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)
        return wrapper

    def quiet(function):
        return lambda *args: function(*args)

    class Base:
        def kept(self):
            return "kept"

    class Order(Base):
        @loud
        @quiet
        def total(self):
            return 1

        @staticmethod
        def made():
            return Order()

        @property
        def price(self):
            return 2

    print("ready", flush=True)
    wait()
    order = Order.made()
    print(order.total(), order.price, order.kept(), flush=True)
    wait()
    """
    talk = served.talk
    for name in ("total", "made", "price", "kept"):
        status = talk.put({"type": "log", "template": name}, in_function(f"Order.{name}"))
        assert [each.function.rpartition(".")[2] for each in status.places] == [name]
    assert served.says() == "1 2 kept"
    assert talk.messages(4) == ["made", "total", "price", "kept"]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="seen before it runs")
def test_without_monitoring_a_module_that_comes_later_is_found_soon(served: Site) -> None:
    """
    import pathlib
    sys.dont_write_bytecode = True
    pathlib.Path(__file__).with_name("later.py").write_text("def late(n):\\n    return n\\n")

    def waits():
        return wait()  # waits

    print("ready", flush=True)
    waits()
    import later
    while waits():
        print(later.late(1), flush=True)
    """
    talk = served.talk
    status = talk.put({"type": "log", "template": "late {n}"}, at_line("later.py", 2))
    assert status.state == "pending"
    note = talk.put({"type": "counter"}, served.line("waits")).message
    assert note.startswith("calls of waits that run already go on without it")
    served.program.tell()
    talk.state(status.id, "active")
    assert served.says("go") == "1"
    assert talk.messages(1) == ["late 1"]


def test_after_the_last_probe_the_process_is_as_before(served: Site) -> None:
    """
    def work(number):
        doubled = number * 2  # work
        return doubled

    code = work.__code__

    def events():
        if sys.version_info < (3, 12):
            return work.__code__ is code
        return all(
            not sys.monitoring.get_tool(number) or not sys.monitoring.get_local_events(number, code)
            for number in range(6)
        )

    hooks = sys.excepthook
    print("ready", flush=True)
    while wait():
        print(work(1), off(), events(), sys.excepthook is hooks, flush=True)
    """
    talk = served.talk
    one = talk.put({"type": "counter"}, served.line("work"))
    other = talk.put({"type": "timer"}, in_function("work"))
    third = talk.put({"type": "exception"})
    assert "False" in served.says("look")
    talk.drop(one.id)
    talk.drop(other.id)
    talk.drop(third.id)
    assert served.says("look") == "2 [] True True"


def test_a_forked_child_has_none_and_the_parent_keeps_its_own(served: Site) -> None:
    """
    import os, warnings
    warnings.simplefilter("ignore")

    def work(number):
        return number  # work

    print("ready", flush=True)
    wait()
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        work(1)
        os.write(write, repr(off()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    print(os.read(read, 100).decode(), work(2), flush=True)
    wait()
    """
    served.talk.put({"type": "log", "template": "{number}"}, served.line("work"))
    assert served.says() == "[] 2"
    assert served.talk.messages(1) == ["2"]


def test_a_line_may_be_a_probe_s_and_a_breakpoint_s(served: Site) -> None:
    """
    def work(number):
        before = number
        return before + 1  # work

    print("ready", flush=True)
    while (said := wait()):
        print(work(int(said)), flush=True)
    """
    talk = served.talk
    debugging = Debugging(talk.line).open()
    talk.put({"type": "log", "template": "{number}"}, served.line("work"))
    debugging.stop_at(served.program.path, served.program.line_of("work"))
    for number in (1, 2):
        served.program.tell(str(number))
        stopped = debugging.event("stopped")
        assert debugging.where(stopped) == ("work", served.program.line_of("work"))
        debugging.go_on(stopped)
        assert served.program.hear() == str(number + 1)
    debugging.close()
    assert served.says("3") == "4"
    assert talk.messages(3) == ["1", "2", "3"]


@pytest.mark.parametrize("beside", ["profiler", "tracer"])
def test_a_profiler_and_a_tracer_see_what_they_would_see_without_probes(served: Site, beside: str) -> None:
    """
    import cProfile, pstats

    def work(number):
        before = number
        return before + 1  # work

    def profiled(number):
        profile = cProfile.Profile()
        result = profile.runcall(work, number)
        (calls,) = [each[0] for key, each in pstats.Stats(profile).stats.items() if key[2] == "work"]
        return result, calls

    def traced(number):
        lines = []
        def trace(frame, event, _):
            if frame.f_code is work.__code__ and event == "line":
                lines.append(frame.f_lineno)
            return trace
        sys.settrace(trace)
        try:
            result = work(number)
        finally:
            sys.settrace(None)
        return result, len(lines)

    print("ready", flush=True)
    how = {"profiler": profiled, "tracer": traced}
    while (said := wait()):
        print(*how[said](1), flush=True)
    """
    alone = served.says(beside)
    status = served.talk.put({"type": "log", "template": "{number}"}, served.line("work"))
    assert served.says(beside) == alone == {"profiler": "2 1", "tracer": "2 2"}[beside]
    assert served.talk.messages(1) == ["1"]
    served.talk.drop(status.id)
    assert served.says(beside) == alone


def test_signal_handlers_and_finalizers_are_seen_like_any_code(served: Site) -> None:
    """
    import os, signal

    def handle(*_):
        handled = True  # handled

    class Gone:
        def __del__(self):
            gone = True  # gone

    signal.signal(signal.SIGUSR1, handle)
    print("ready", flush=True)
    wait()
    os.kill(os.getpid(), signal.SIGUSR1)
    Gone()
    print("done", flush=True)
    wait()
    """
    served.talk.put({"type": "log", "template": "handled"}, served.line("handled"))
    served.talk.put({"type": "log", "template": "gone"}, served.line("gone"))
    served.says()
    assert served.talk.messages(2) == ["handled", "gone"]


def test_nothing_of_the_program_s_is_run(served: Site) -> None:
    """
    class Sly:
        __slots__ = ("kept",)
        touched = 0
        def touch(self, *_):
            type(self).touched += 1
            raise RuntimeError("touched")
        __repr__ = __str__ = __eq__ = __hash__ = __len__ = __bool__ = __iter__ = __getattr__ = __format__ = touch
        __class__ = property(touch)

    def work(sly):
        return "done"  # work

    print("ready", flush=True)
    while wait():
        print(work(Sly()), Sly.touched, flush=True)
    """
    place = served.line("work")
    served.talk.put({"type": "snapshot", "expressions": ["sly", "sly.kept"]}, place)
    served.talk.put({"type": "log", "template": "{sly} {sly:>3}"}, place)
    served.talk.put({"type": "watch", "expression": "sly"}, place)
    served.talk.put({"type": "gauge", "expression": "sly"}, place)
    served.talk.put({"type": "counter"}, place, condition="sly")
    assert served.says("go") == "done 0"
    served.talk.snapshot()


def test_what_a_thread_or_a_task_does_not_catch_is_taken_too(served: Site) -> None:
    """
    import asyncio, gc, threading

    def work(number):
        raise KeyError(number)

    async def serve(number):
        raise LookupError(number)

    async def main():
        task = asyncio.create_task(serve(2))
        await asyncio.sleep(0)
        del task
        gc.collect()

    print("ready", flush=True)
    wait()
    thread = threading.Thread(target=work, args=(1,))
    thread.start()
    thread.join()
    asyncio.run(main())
    print("done", flush=True)
    wait()
    """
    status = served.talk.put({"type": "exception"}, rate=100, burst=10)
    assert served.says() == "done"
    taken = [served.talk.snapshot(status.id).captured for _ in range(2)]
    assert [each.exception.type for each in taken if each.exception] == ["KeyError", "LookupError"]
    assert [each.frames[0].function for each in taken] == ["work", "serve"]


@monitored
def test_an_exception_is_one_however_many_frames_it_passes(served: Site) -> None:
    """
    class Refused(Exception):
        pass

    class Late(Refused):
        pass

    def deep(left):
        if not left:
            raise Late("too late")
        deep(left - 1)

    print("ready", flush=True)
    while wait():
        try:
            deep(5)
        except Refused:
            print("caught", flush=True)
    """
    status = served.talk.put({"type": "exception", "types": ["__main__.Refused"]}, rate=100, burst=10)
    other = served.talk.put({"type": "exception", "types": ["Late"]}, in_function("deep"), rate=100, burst=10)
    assert served.says("go") == "caught"
    assert served.talk.reported(status.id, lambda one: one.hits > 0).hits == 1
    assert served.talk.reported(other.id, lambda one: one.hits > 0).hits == 1
    served.talk.drop(status.id, other.id)
    assert served.says("go") == "caught"


def test_every_coming_to_a_line_is_a_hit_however_the_program_gets_there(served: Site) -> None:
    """
    from contextlib import suppress

    def ways(number):
        for each in range(3):  # for
            number += each  # body
        while number > 3:  # while
            number -= 3
        def inner(more):
            return more + number  # inner
        try:
            with suppress(KeyError):
                raise KeyError(number)  # raise
            raise ValueError(inner(1))
        except ValueError:
            number = inner(2)  # except
        finally:
            number = number + 1  # finally
        return [
            each  # item
            for each in (number, 2)
        ]

    print("ready", flush=True)
    while wait():
        print(ways(1), flush=True)
    """
    expected = {"for": 4, "body": 3, "while": 2, "inner": 2, "raise": 1, "except": 1, "finally": 1}
    numbers = {tag: served.talk.put({"type": "counter"}, served.line(tag)).id for tag in expected}
    assert served.says("go") == "[4, 2]"
    seen = {
        tag: served.talk.reported(number, lambda one: one.hits > 0).hits for tag, number in numbers.items()
    }
    assert seen == expected
    served.talk.drop(*numbers.values())
    assert served.says("go") == "[4, 2]"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="has sys.monitoring")
def test_without_monitoring_and_the_library_a_probe_is_an_error_that_says_what_to_do(served: Site) -> None:
    """
    sys.modules["bytecode"] = None

    def work():
        return 1  # work

    print("ready", flush=True)
    while wait():
        print(work(), flush=True)
    """
    status = served.talk.put({"type": "counter"}, served.line("work"))
    assert status.state == "error"
    assert "pip install 'bytecode" in status.message
    assert served.says("go") == "1"
