"""After the last session the process is as it was: no tracing, no events on code, nothing of pydevd kept alive."""

import sys
from pathlib import Path

import pytest

from tests.agent.tap.fakes import Debugging, FakeSidecar, Line, Program, eventually, running

MONITORING = sys.version_info >= (3, 12)
CYCLES = 15
LONG_LIVED = """
    import asyncio
    import gc
    import queue
    import sys
    import threading
    import time
    import types
    import sonde_agent
    sonde_agent.start()
    waiting = queue.Queue()
    all_run = threading.Event()

    def work(number):
        doubled = number * 2
        return doubled  # stop here

    def worker():
        number = 0
        while True:
            number = work(number)
            try:
                raise ValueError(number)
            except ValueError:
                number = 0
            time.sleep(0.002)

    def waits_in_c():
        while True:
            waiting.get()
            number = 1  # woken

    def numbers():
        while True:
            yield work(1)

    async def ticks():
        all_run.set()
        while True:
            await asyncio.sleep(0.002)
            next(made)

    async def waits():
        await asyncio.Event().wait()

    async def main():
        await asyncio.gather(ticks(), waits())

    def ancestors(frame):
        while frame is not None:
            yield frame
            frame = frame.f_back

    def kept():
        gc.collect()
        return sum(type(each).__name__ == "PyDB" for each in gc.get_objects())

    def frames():
        suspended = [getattr(each, name) for each in gc.get_objects() for kind, name in (
            (types.CoroutineType, "cr_frame"), (types.GeneratorType, "gi_frame")) if type(each) is kind]
        found = [frame for top in sys._current_frames().values() for frame in ancestors(top)]
        return [frame for frame in (*found, *suspended) if frame is not None]

    def traced_frames():
        return sorted({frame.f_code.co_name for frame in frames() if frame.f_trace is not None})

    def events():
        monitoring = sys.monitoring
        tool = monitoring.DEBUGGER_ID
        if monitoring.get_tool(tool) is not None:
            return "still used"
        monitoring.use_tool_id(tool, "test")
        local = [each for each in gc.get_objects() if type(each) is types.FunctionType]
        codes = {each.__code__ for each in local} | {frame.f_code for frame in frames()}
        left = [code.co_name for code in codes if monitoring.get_local_events(tool, code)]
        found = (monitoring.get_events(tool), left)
        monitoring.free_tool_id(tool)
        return found

    made = numbers()
    for target in (worker, waits_in_c, lambda: asyncio.run(main())):
        threading.Thread(target=target, daemon=True).start()
    for line in sys.stdin:
        print(eval(line), flush=True)
    """


def ask(program: Program, expression: str) -> str:
    program.tell(expression)
    return program.hear()


def debug(program: Program, line: Line, **filters: list[str]) -> None:
    debugging = Debugging(line).open()
    debugging.stop_at(program.path, program.line_of("stop here"), program.line_of("woken"))
    if filters:
        debugging.ask("setExceptionBreakpoints", **filters)
    debugging.event("stopped")
    debugging.close()


def test_many_sessions_leave_no_debugger_thread_or_file(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, LONG_LIVED, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        line.value("stacks")
        assert ask(program, "all_run.wait()") == "True"
        tasks, descriptors = program.tasks(), program.descriptors()
        for _ in range(CYCLES):
            debug(program, line)
        assert int(ask(program, "kept()")) <= 1
        eventually(
            lambda: (program.tasks(), program.descriptors()) == (tasks, descriptors), "all of it to be gone"
        )


@pytest.mark.skipif(MONITORING, reason="from 3.12 on code is monitored, not traced")
def test_no_frame_and_no_thread_is_traced_afterwards(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, LONG_LIVED, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        debug(program, line)
        assert ask(program, "traced_frames()") == "[]"
        assert ask(program, "sys.gettrace(), threading.gettrace()") == "(None, None)"
        # one that sat in C code takes it off when it comes out, and is not stopped by it
        assert ask(program, "waiting.put(1) or traced_frames()") == "[]"


@pytest.mark.skipif(not MONITORING, reason="before 3.12 threads are traced, not monitored")
@pytest.mark.parametrize("filters", [["raised"], ["uncaught"], ["userUnhandled"], []])
def test_no_event_is_left_on_any_code_whatever_was_asked_for(
    sidecar: FakeSidecar, tmp_path: Path, filters: list[str]
) -> None:
    with running(tmp_path, LONG_LIVED, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        debug(program, line, filters=filters)
        assert ask(program, "events()") == "(0, [])"
