"""debugpy in real programs: on when asked, and off when off."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sonde_agent import link
from tests.agent.tap.fakes import Debugging, FakeSidecar, Line, Program, eventually, running
from tests.agent.worker import ANSWERS, WORKS, ask, goes_on

MONITORING = sys.version_info >= (3, 12)
WORKER = (
    WORKS
    + """
    import gc
    import subprocess
    import time
    import sonde_agent
    sonde_agent.start()

    def fork():
        pid = os.fork()
        if pid == 0:
            os._exit(work(21))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""
    + ANSWERS
)


@contextmanager
def worker(sidecar: FakeSidecar, directory: Path) -> Iterator[tuple[Program, Line]]:
    with running(directory, WORKER, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        yield program, line


def test_a_breakpoint_stops_one_thread_and_the_others_run(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with worker(sidecar, tmp_path) as (program, line):
        debugging = Debugging(line).open()
        assert debugging.version.startswith("1.8.")
        debugging.stop_at(program.path, program.line_of("stop here"))
        stopped = debugging.event("stopped")
        assert debugging.where(stopped) == ("work", program.line_of("stop here"))
        assert ask(program, "1 + 1") == "2"
        assert line.value("stacks")["threads"]
        debugging.go_on(stopped)
        debugging.event("stopped")


def test_nothing_listens_and_no_process_is_started(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with worker(sidecar, tmp_path) as (program, line):
        Debugging(line).open()
        assert program.listening_sockets() == 0
        assert program.children() == []
        assert program.end()[0] == 0


def test_the_program_prints_and_inherits_nothing_of_it(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with worker(sidecar, tmp_path) as (program, line):
        debugging = Debugging(line).open()
        assert ask(program, "[name for name in os.environ if name.startswith('PYDEVD')]") == "[]"
        assert ask(program, "[each.name for each in threading.enumerate()]") == "['MainThread', 'worker']"
        debugging.close()
        assert program.end() == (0, "", "")


def test_off_is_off(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with worker(sidecar, tmp_path) as (program, line):
        line.value("stacks")
        tasks, descriptors = program.tasks(), program.descriptors()
        hook, settrace = ask(program, "sys.breakpointhook"), ask(program, "sys.settrace")
        debugging = Debugging(line).open()
        debugging.stop_at(program.path, program.line_of("stop here"))
        debugging.event("stopped")
        assert ask(program, "tracing() is not None") == "True"
        debugging.close()
        assert ask(program, "tracing()") == "None"
        assert ask(program, "sys.breakpointhook") == hook
        assert ask(program, "sys.settrace") == settrace
        assert goes_on(program)
        eventually(
            lambda: (program.tasks(), program.descriptors()) == (tasks, descriptors), "all of it to be gone"
        )
        assert program.listening_sockets() == 0


def test_ten_sessions_in_a_row_leave_nothing_behind(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with worker(sidecar, tmp_path) as (program, line):
        line.value("stacks")
        tasks, descriptors = program.tasks(), program.descriptors()
        for _ in range(10):
            debugging = Debugging(line).open()
            debugging.stop_at(program.path, program.line_of("stop here"))
            # each time the true place, and not one that is left over from the session before
            assert debugging.where(debugging.event("stopped")) == ("work", program.line_of("stop here"))
            debugging.close()
        assert ask(program, "tracing()") == "None"
        assert goes_on(program)
        kept = "[type(each).__name__ for each in gc.get_objects()].count('ReaderThread')"
        assert (
            int(ask(program, f"gc.collect() and {kept}")) <= 3
        )  # frames that were traced last keep theirs, not one each
        eventually(
            lambda: (program.tasks(), program.descriptors()) == (tasks, descriptors), "all of it to be gone"
        )


@pytest.mark.skipif(not MONITORING, reason="3.11 traces functions, not code")
def test_code_that_had_a_breakpoint_costs_nothing_afterwards(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with worker(sidecar, tmp_path) as (program, line):
        debugging = Debugging(line).open()
        debugging.stop_at(program.path, program.line_of("stop here"))
        debugging.event("stopped")
        debugging.close()
        events = "sys.monitoring.get_local_events(sys.monitoring.DEBUGGER_ID, work.__code__)"
        assert (
            ask(program, f"sys.monitoring.use_tool_id(sys.monitoring.DEBUGGER_ID, 'test') or {events}") == "0"
        )


@pytest.mark.skipif(not MONITORING, reason="3.11 traces functions, not code")
def test_code_that_is_in_no_function_just_now_costs_nothing_afterwards_either(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    source = """
        import sys
        import sonde_agent
        sonde_agent.start()

        def make(number):
            def made():
                doubled = number * 2
                return doubled  # inner
            return made

        inner = next(each for each in make.__code__.co_consts if hasattr(each, "co_name"))
        outer = sys._getframe().f_code
        number = 0
        while not number:
            make(21)()
            number = int(sys.stdin.readline())  # loop
        sys.monitoring.use_tool_id(sys.monitoring.DEBUGGER_ID, "test")
        print([sys.monitoring.get_local_events(sys.monitoring.DEBUGGER_ID, each) for each in (inner, outer)])
        """
    with running(tmp_path, source, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        debugging = Debugging(line).open()
        debugging.stop_at(program.path, program.line_of("inner"), program.line_of("loop"))
        program.tell("0")
        stopped = debugging.event("stopped")
        while debugging.where(stopped)[1] != program.line_of("inner"):
            debugging.go_on(stopped)
            stopped = debugging.event("stopped")
        debugging.go_on(stopped)
        debugging.event("stopped")
        debugging.close()
        program.tell("1")
        assert program.hear() == "[0, 0]"


def test_off_takes_less_time_than_pydevd_would_wait_for_itself(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with worker(sidecar, tmp_path) as (program, line):
        took = []
        for _ in range(3):
            debugging = Debugging(line).open()
            debugging.stop_at(program.path, program.line_of("stop here"))
            debugging.event("stopped")
            before = time.monotonic()
            debugging.close()
            took.append(time.monotonic() - before)
            assert ask(program, "tracing()") == "None"
        assert min(took) < 0.4  # 0.5 s when its reader waits for its writer and the other way round
        assert goes_on(program)


def test_a_sidecar_that_dies_lets_the_stopped_thread_run(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with worker(sidecar, tmp_path) as (program, line):
        debugging = Debugging(line).open()
        debugging.stop_at(program.path, program.line_of("stop here"))
        debugging.event("stopped")
        assert debugging.socket is not None
        debugging.socket.close()
        sidecar.vanish()
        assert goes_on(program)
        eventually(lambda: ask(program, "tracing()") == "None", "the debugger to be off")
        sidecar.listen()
        line, _ = sidecar.welcome()
        Debugging(line).open()


def test_a_debugger_whose_socket_stays_open_is_ended_all_the_same(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    with worker(sidecar, tmp_path) as (program, line):
        debugging = Debugging(line).open()
        debugging.stop_at(program.path, program.line_of("stop here"))
        debugging.event("stopped")
        line.value("debugger.disconnect")
        assert ask(program, "tracing()") == "None"
        assert goes_on(program)


def test_a_forked_child_runs_through_its_parents_breakpoints(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with worker(sidecar, tmp_path) as (program, line):
        debugging = Debugging(line).open()
        debugging.stop_at(program.path, program.line_of("stop here"))
        debugging.event("stopped")
        assert ask(program, "fork()") == "42"
        # and the parent's session goes on
        assert debugging.ask("threads")["threads"]
        assert ask(program, "subprocess.run([sys.executable, '-c', 'exit(7)']).returncode") == "7"


def test_a_coroutine_that_was_waiting_is_stopped_too(sidecar: FakeSidecar, tmp_path: Path) -> None:
    source = """
        import asyncio
        import sys
        import sonde_agent
        sonde_agent.start()

        async def waits(gate):
            await gate.wait()
            return "done"  # stop here

        async def main():
            gate = asyncio.Event()
            task = asyncio.create_task(waits(gate))
            while not task.done():
                await asyncio.sleep(0.005)
                if not gate.is_set() and await asyncio.to_thread(sys.stdin.readline):
                    gate.set()
            print(task.result(), flush=True)

        asyncio.run(main())
        """
    with running(tmp_path, source, sidecar.environment) as program:
        line, _ = sidecar.welcome()

        def is_waiting() -> bool:
            frames = [frame for thread in line.value("stacks")["threads"] for frame in thread["frames"]]
            return any(frame["function"] == "_worker" for frame in frames)

        eventually(is_waiting, "the program to wait in its thread for input")
        debugging = Debugging(line).open()
        debugging.stop_at(program.path, program.line_of("stop here"))
        program.tell()
        stopped = debugging.event("stopped")
        assert debugging.where(stopped) == ("waits", program.line_of("stop here"))
        debugging.go_on(stopped)
        assert program.hear() == "done"


def test_a_connection_needs_both_tokens_and_the_loopback(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with worker(sidecar, tmp_path) as (_, line):
        tokens = {"server_token": "a", "client_token": "b"}
        for arguments in (
            {"host": "192.0.2.1", "port": 80, **tokens},
            {"host": "localhost", "port": 80, **tokens},
            {"host": "127.0.0.1", "port": "80", **tokens},
            {"host": "127.0.0.1", "port": 80, "server_token": "a"},
            {},
        ):
            fault = line.call("debugger.connect", **arguments)
            assert isinstance(fault, link.Fault)
            assert (fault.code, fault.reason) == ("invalid_argument", "invalid_params")


def test_a_sidecar_that_does_not_accept_is_a_fault_without_a_sound(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    with worker(sidecar, tmp_path) as (program, line):
        nobody = Debugging(line)
        nobody.go_away()
        host, port = nobody.address
        fault = line.call("debugger.connect", host=host, port=port, server_token="a", client_token="b")
        assert isinstance(fault, link.Fault)
        assert (fault.code, fault.reason) == ("unavailable", "debugger_unavailable")
        Debugging(line).open().close()
        assert program.end() == (0, "", "")


@pytest.mark.parametrize(
    ("version", "complaint"),
    [
        ("1.7.0", "debugpy 1.7.0 is installed"),
        ("1.9.0", "debugpy 1.9.0 is installed"),
        ("1.8.22", "lacks debugpy.server"),
        (None, "pip install sonde"),
    ],
)
def test_a_debugpy_that_is_not_as_expected_is_refused_with_the_reason(
    sidecar: FakeSidecar, tmp_path: Path, version: str | None, complaint: str
) -> None:
    package = tmp_path / "other" / "debugpy"
    package.mkdir(parents=True)
    fake = f"__version__ = {version!r}" if version else "raise ModuleNotFoundError('no debugpy')"
    (package / "__init__.py").write_text(fake)
    environment = {**sidecar.environment, "PYTHONPATH": os.fspath(package.parent)}
    with running(tmp_path, WORKER, environment) as program:
        line, _ = sidecar.welcome()
        fault = line.call("debugger.connect", host="127.0.0.1", port=1, server_token="a", client_token="b")
        assert isinstance(fault, link.Fault)
        assert (fault.code, fault.reason) == ("unavailable", "debugger_unavailable")
        assert complaint in fault.message
        assert goes_on(program)


def test_somebody_elses_debugger_is_not_pushed_out(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with worker(sidecar, tmp_path) as (program, line):
        if MONITORING:
            ask(program, "sys.monitoring.use_tool_id(sys.monitoring.DEBUGGER_ID, 'theirs')")
        else:
            ask(program, "threading.settrace(lambda *_: None)")
        fault = line.call("debugger.connect", host="127.0.0.1", port=1, server_token="a", client_token="b")
        assert isinstance(fault, link.Fault)
        assert (fault.code, fault.reason) == ("failed_precondition", "debugger_unavailable")
        if MONITORING:
            assert ask(program, "tracing()") == "theirs"


def test_a_program_that_ends_while_it_is_debugged_ends(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with worker(sidecar, tmp_path) as (program, line):
        debugging = Debugging(line).open()
        debugging.stop_at(program.path, program.line_of("stop here"))
        debugging.event("stopped")
        code, _, errors = program.end()
        assert (code, errors) == (0, "")
