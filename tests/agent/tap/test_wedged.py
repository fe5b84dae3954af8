"""pydevd hangs, is slow, or is not what we know: the process goes on, and the next session comes about."""

from pathlib import Path

import pytest

from sonde_agent import link
from tests.agent.tap.fakes import Debugging, FakeSidecar, Line, eventually, running

HITS = 2000
PROGRAM = """
    import sys
    import threading
    import time
    import sonde_agent
    sonde_agent.start()
    counts = [0, 0, 0, 0]

    def work(number):
        counts[number] += 1
        return number  # stop here

    def worker(number):
        while True:
            work(number)

    def in_pydevd(name):
        for thread in threading._active.values():
            if type(thread).__name__ == name:
                return thread

    def hang(name):
        import pydevd
        lock = threading.Lock()
        lock.acquire()
        if name == "ReaderThread":
            in_pydevd(name).process_net_command_json = lambda *_: lock.acquire()
        else:
            pydevd.get_global_debugger()._main_lock.acquire()

    def slowly(event=threading.Event()):
        import importlib.abc
        class Finder(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                if name == "debugpy":
                    event.wait(30)
        sys.meta_path.insert(0, Finder())
        import sonde_agent.tap.debugger as debugger
        debugger.CONNECT_TIMEOUT = debugger.ENDING_TIMEOUT = 0.2
        return event

    def worker_of(number):
        threading.Thread(target=worker, args=(number,), daemon=True).start()

    def start_workers():
        for number in range(4):
            worker_of(number)

    for line in sys.stdin:
        print(eval(line), flush=True)
    """


def refused(line: Line, complaint: str) -> None:
    fault = line.call("debugger.connect", host="127.0.0.1", port=1, server_token="a", client_token="b")
    assert isinstance(fault, link.Fault)
    assert complaint in fault.message


@pytest.mark.timeout(120)
def test_threads_that_hit_one_breakpoint_at_once_are_never_lost(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, PROGRAM, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        debugging = Debugging(line).open()
        debugging.stop_at(program.path, program.line_of("stop here"))
        program.tell("start_workers()")
        assert program.hear() == "None"
        hits: dict[int, int] = {}
        for _ in range(HITS):
            stopped = debugging.event("stopped")
            hits[stopped["threadId"]] = hits.get(stopped["threadId"], 0) + 1
            debugging.send("continue", threadId=stopped["threadId"], singleThread=True)
        assert len(hits) == 4
        assert min(hits.values()) > HITS // 40
        debugging.close()
        program.tell("list(counts)")
        before = program.hear()

        def all_go_on() -> bool:
            program.tell(f"all(now > then for now, then in zip(counts, {before}))")
            return program.hear() == "True"

        eventually(all_go_on, "all four to go on")


@pytest.mark.parametrize("part", ["ReaderThread", "lock"])
def test_a_pydevd_that_hangs_is_ended_and_followed_by_another(
    sidecar: FakeSidecar, tmp_path: Path, part: str
) -> None:
    with running(tmp_path, PROGRAM, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        debugging = Debugging(line).open()
        debugging.stop_at(program.path, program.line_of("stop here"))
        program.tell("worker_of(0)")
        program.hear()
        debugging.event("stopped")
        program.tell(f"hang({part!r})")
        program.hear()
        debugging.send("threads")
        line.value("debugger.disconnect")
        program.tell("counts[0]")
        before = int(program.hear())

        def goes_on() -> bool:
            program.tell("counts[0]")
            return int(program.hear()) > before

        eventually(goes_on, "the worker to go on")
        debugging = Debugging(line).open()
        debugging.stop_at(program.path, program.line_of("stop here"))
        debugging.go_on(debugging.event("stopped"))
        debugging.event("stopped")
        debugging.close()


def test_a_start_that_takes_too_long_can_be_tried_again(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, PROGRAM, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        program.tell("slowly().is_set()")
        assert program.hear() == "False"
        refused(line, "try again")
        refused(line, "still starting")
        program.tell("slowly().set()")
        program.hear()
        program.tell("setattr(sys.modules['sonde_agent.tap.debugger'], 'CONNECT_TIMEOUT', 15)")
        program.hear()

        def can_connect() -> bool:
            fault = line.call(
                "debugger.connect", host="127.0.0.1", port=1, server_token="a", client_token="b"
            )
            assert isinstance(fault, link.Fault)
            return "cannot be reached" in fault.message

        eventually(can_connect, "the first attempt to have ended")
        Debugging(line).open().close()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("_pydevd_bundle.pydevd_comm", "InternalThreadCommand"),
        ("_pydevd_bundle.pydevd_comm", "internal_get_completions"),
        ("_pydevd_bundle.pydevd_vars", "_EvalAwaitInNewEventLoop"),
        ("pydevd", "threadingEnumerate"),
        ("_pydevd_bundle.pydevd_suspended_frames", "_AbstractVariable"),
    ],
)
def test_a_debugpy_that_lacks_a_name_is_refused_before_anything_is_changed(
    sidecar: FakeSidecar, tmp_path: Path, module: str, name: str
) -> None:
    source = PROGRAM.replace(
        "sonde_agent.start()",
        "import debugpy.server, importlib\n"
        f"    delattr(importlib.import_module({module!r}), {name!r})\n"
        "    hook = sys.breakpointhook\n"
        "    sonde_agent.start()",
    )
    with running(tmp_path, source, {**sidecar.environment, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}) as program:
        line, _ = sidecar.welcome()
        refused(line, f"lacks {module}.{name}")
        program.tell("sys.breakpointhook is hook, threading.gettrace()")
        assert program.hear() == "(True, None)"
