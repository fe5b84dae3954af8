"""The tap as a guest in real programs: it costs nothing, is not in the way, and goes without a trace."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import sonde_agent
from sonde_agent import link
from tests.agent.tap.fakes import FakeSidecar, clean_environment, eventually, running

OBEDIENT = """
    import sys
    import threading
    import sonde_agent
    sonde_agent.start("obedient")
    for line in sys.stdin:
        print(eval(line), flush=True)
    """


def modules_after(statement: str) -> set[str]:
    """What an interpreter has imported after the statement, over a bare one."""
    script = f"import sys, json; before = set(sys.modules); {statement}; print(json.dumps(sorted(set(sys.modules) - before)))"
    output = subprocess.check_output([sys.executable, "-c", script], env=clean_environment(), timeout=30)
    return set(json.loads(output))


def test_importing_the_agent_imports_nothing_else() -> None:
    assert modules_after("import sonde_agent") == {"sonde_agent"}


def test_a_start_imports_only_the_standard_library() -> None:
    roots = {name.partition(".")[0] for name in modules_after("import sonde_agent.tap.guest")}
    assert roots - set(sys.stdlib_module_names) == {"sonde_agent"}
    assert not roots & {"asyncio", "logging", "random", "urllib", "subprocess", "ssl"}


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("sonde_agent.start(service='Bad Name!')", "cannot be the service"),
        ("sonde_agent.start(sidecar='nowhere')", "not a sidecar's address"),
        ("sonde_agent.start(labels={'Bad Key': 'x'})", "name of a label"),
    ],
)
def test_a_wrong_name_is_an_error_and_nothing_is_started(
    tmp_path: Path, statement: str, complaint: str
) -> None:
    source = f"""
        import threading
        import sonde_agent
        try:
            {statement}
        except ValueError as error:
            print(error, threading.active_count(), sonde_agent.is_running(), sonde_agent.status().state)
        """
    with running(tmp_path, source) as program:
        code, output, errors = program.end()
    assert (code, errors) == (0, "")
    assert complaint in output
    assert output.endswith(" 1 False off\n")


def test_the_sidecar_learns_who_the_process_is(sidecar: FakeSidecar, tmp_path: Path) -> None:
    environment = {**sidecar.environment, "SONDE_NAMESPACE": "staging", "SONDE_LABELS": "version=1.2"}
    with running(tmp_path, OBEDIENT, environment, arguments=("--fast",)) as program:
        _, hello = sidecar.welcome()
        assert (hello.namespace, hello.service, hello.instance) == ("staging", "obedient", "")
        assert (hello.pid, hello.main, hello.directory) == (program.pid, program.path, str(tmp_path))
        assert hello.argv[1:] == [program.path, "--fast"]
        assert hello.labels == {"version": "1.2"}
        assert hello.token == sidecar.token_file.read_text()
        assert hello.agent_version == sonde_agent.VERSION


def test_the_process_knows_its_name_and_hides_the_taps_thread(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, OBEDIENT, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        line.value("sources")  # the welcome has been read
        program.tell("sonde_agent.status(), sonde_agent.is_running()")
        assert program.hear() == "(Status(state='serving', reason='', process='default/obedient/1'), True)"
        stacks = line.value("stacks")
        assert [thread["name"] for thread in stacks["threads"]] == ["MainThread"]
        assert program.tasks() == 2


def test_a_second_start_does_nothing(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, OBEDIENT, sidecar.environment) as program:
        sidecar.welcome()
        program.tell("sonde_agent.start('other')")
        assert program.hear() == "None"
        assert sidecar.nobody_comes(within=0.1)
        assert program.tasks() == 2


def test_when_the_sidecar_goes_the_tap_comes_back_to_the_next(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, OBEDIENT, sidecar.environment) as program:
        _, first = sidecar.welcome()
        sidecar.vanish()
        program.tell("1 + 1")
        assert program.hear() == "2"
        sidecar.listen()
        line, second = sidecar.welcome()
        assert second.boot == first.boot
        assert line.value("sources")["files"]


def test_a_refused_tap_ends_for_good(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, OBEDIENT, sidecar.environment) as program:
        line, _ = sidecar.accept()
        line.send(link.Refusal(reason="bad_token", message="wrong token"))
        assert line.receive() is None
        eventually(lambda: program.tasks() == 1, "the tap's thread to end")
        program.tell("sonde_agent.status(), sonde_agent.is_running()")
        assert program.hear() == "(Status(state='refused', reason='wrong token', process=''), False)"
        assert sidecar.nobody_comes(within=0.3)
        assert program.end() == (0, "", "sonde: wrong token\n")


def test_a_stopped_tap_leaves_nothing_and_can_start_again(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, OBEDIENT, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        line.value("stacks")
        program.tell("sonde_agent.stop(), sonde_agent.is_running()")
        assert program.hear() == "(None, False)"
        assert line.receive() is None
        eventually(lambda: (program.tasks(), program.descriptors()) == (1, 3), "thread and files to be gone")
        program.tell("sonde_agent.start('again')")
        _, hello = sidecar.welcome()
        assert hello.service == "again"


def test_malformed_lines_lose_the_line_and_nothing_else(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, OBEDIENT, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        line.socket.sendall(b"this is no message\n")
        assert line.receive() is None
        line, _ = sidecar.welcome()
        assert isinstance(line.call("no.such.thing"), link.Fault)
        assert program.end()[0] == 0


@pytest.mark.parametrize(
    ("last", "code", "known", "message"),
    [
        ("pass", 0, None, ""),
        ("raise SystemExit(3)", 3, None, ""),
        ("{}['x']", 1, 1, "unhandled KeyError"),
    ],
)
def test_the_last_word_says_what_can_be_known(
    sidecar: FakeSidecar, tmp_path: Path, last: str, code: int, known: int | None, message: str
) -> None:
    source = f"""
        import sys
        import sonde_agent
        sonde_agent.start()
        sys.stdin.readline()
        {last}
        """
    with running(tmp_path, source, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        line.value("stacks")
        program.tell()
        assert line.receive() == link.Ending(code=known, message=message)
        assert line.receive() is None
        assert program.end()[0] == code


def test_a_sidecar_that_does_not_read_does_not_keep_the_program(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, OBEDIENT, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        for number in range(50):
            line.send(link.Call(id=number, operation="sources"))
        eventually(lambda: bool(line.socket.recv(1)), "the first answer")
        assert program.end()[0] == 0


def test_a_forked_child_has_nothing_of_its_parent(sidecar: FakeSidecar, tmp_path: Path) -> None:
    source = """
        import os
        import sys
        import warnings
        warnings.simplefilter("ignore")  # about forking with threads, from 3.12 on
        import sonde_agent
        sonde_agent.start()
        sys.stdin.readline()
        before = len(os.listdir("/proc/self/fd"))
        if os.fork() == 0:
            threads, descriptors = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
            print(threads, before - descriptors, sonde_agent.status().state, flush=True)
            os._exit(0)
        os.wait()
        print(sonde_agent.status().state, flush=True)
        sys.stdin.readline()
        """
    with running(tmp_path, source, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        line.value("stacks")
        program.tell()
        # the line and the two ends of the wake-up are closed, and it has a wake-up and a thread of its own
        assert program.hear() == "2 1 waiting"
        assert program.hear() == "serving"
        assert line.value("stacks")


def test_a_tap_without_a_sidecar_starts_one_that_is_nobodys_child(tmp_path: Path) -> None:
    with running(
        tmp_path, OBEDIENT, {"SONDE_SITE": str(tmp_path / "none"), "TMPDIR": str(tmp_path)}
    ) as program:

        def state() -> bool:
            program.tell("sonde_agent.status().state")
            return program.hear() == "serving"

        eventually(state, "a sidecar of its own")
        assert program.children() == []
        (socket,) = tmp_path.glob("sonde-*/sidecar.sock")
        code, _, errors = program.end()
        assert (code, errors) == (0, "")
        eventually(lambda: not socket.exists(), "the sidecar to follow the program")


def test_a_sidecar_that_cannot_start_is_told_and_not_tried_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "msgspec.py").write_text("raise ModuleNotFoundError(name='msgspec')")
    environment = {"PYTHONPATH": str(broken), "SONDE_VERBOSE": "1"}
    with running(tmp_path, OBEDIENT, environment) as program:

        def reason() -> str:
            program.tell("sonde_agent.status().state + ' ' + sonde_agent.status().reason")
            said = program.hear()
            return said if said.startswith("stopped") else ""

        assert "pip install 'sonde[agent]'" in eventually(reason, "the tap to give up")
        code, _, errors = program.end()
        assert code == 0
        assert errors.startswith("sonde: ")
        assert errors.count("\n") == 1


def test_the_version_is_that_of_the_distribution() -> None:
    pyproject = Path(sonde_agent.__file__).parents[2] / "pyproject.toml"
    assert f'version = "{sonde_agent.VERSION}"' in pyproject.read_text()
