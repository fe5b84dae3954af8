"""`sonde run`: the program is what it is without it, only visible."""

import ast
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sonde_agent import link, run
from sonde_agent.tap import children
from sonde_agent.tap.errors import InvalidIdentity
from tests.agent.tap.fakes import PATIENCE, FakeSidecar, clean_environment, fake_sidecar, running

SONDE_RUN = (sys.executable, "-m", "sonde_agent", "run")
LOOK = """
    import os
    import sys
    import traceback
    names = sorted(name for name in os.environ if name.startswith(("SONDE", "PYTHON")))
    print(sys.argv, sys.path, __name__, __file__, __spec__, names, os.environ.get("PYTHONPATH"))
    print([name for name in sys.modules if name.endswith("customize")], [type(f).__name__ for f in sys.meta_path])
    print([path for path in sys.path_importer_cache if "inject" in path])
    sys.stdin.read()
    1 / 0
    """


@pytest.fixture
def sidecar() -> Iterator[FakeSidecar]:
    with fake_sidecar() as sidecar:
        yield sidecar


@pytest.mark.parametrize(
    ("arguments", "options", "program"),
    [
        ("app.py --service x", "", "app.py --service x"),
        ("--service x app.py -v", "--service x", "app.py -v"),
        ("--service=x -m pkg --bus y", "--service=x", "-m pkg --bus y"),
        ("--label a=1 --label b=2 -- --odd.py", "--label a=1 --label b=2", "--odd.py"),
        ("--bus u -mpkg", "--bus u", "-mpkg"),
        ("--help", "--help", ""),
        ("", "", ""),
    ],
)
def test_the_program_begins_where_our_options_end(arguments: str, options: str, program: str) -> None:
    assert run.split(arguments.split()) == (options.split(), program.split())


def test_a_plan_names_the_service_after_the_program() -> None:
    plan = run.make_plan(["--label", "a=1", "srv/check_out.py", "-v"], {})
    assert plan.command == [sys.executable, "srv/check_out.py", "-v"]
    assert plan.start == {"service": "check_out", "labels": {"a": "1"}}


def test_the_environment_is_not_overruled_by_a_guess() -> None:
    plan = run.make_plan(["app.py"], {"SONDE_SERVICE": "named", "SONDE_NAMESPACE": "prod"})
    assert (plan.start, plan.namespace) == ({}, "prod")


@pytest.mark.parametrize("arguments", [["--service", "Bad Name", "app.py"], ["--label", "x", "app.py"]])
def test_a_bad_name_is_refused_before_anything_runs(arguments: list[str]) -> None:
    with pytest.raises(InvalidIdentity):
        run.make_plan(arguments, {})


@pytest.mark.parametrize("arguments", [[], ["--service", "x"], ["--nonsense", "x", "app.py"], ["--service"]])
def test_wrong_usage_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run.make_plan(arguments, {})
    assert left.value.code == 2
    assert "sonde run" in capsys.readouterr().err


def test_an_unset_search_path_does_not_get_an_empty_part() -> None:
    plan = run.make_plan(["app.py"], {})
    assert os.pathsep not in run.injected_environment(plan, {})["PYTHONPATH"]
    assert "SONDE_REDACTION" not in run.injected_environment(plan, {})
    assert run.injected_environment(plan, {"PYTHONPATH": "/x"})["PYTHONPATH"].endswith(f"{os.pathsep}/x")


def test_the_program_hides_what_its_sidecar_is_told_to_hide() -> None:
    plan = run.make_plan(["--redaction", "strict", "--redact-names", "a,b", "app.py"], {})
    environment = run.injected_environment(plan, {"SONDE_REDACTION": "off", "SONDE_SHOW_NAMES": "c"})
    assert (environment["SONDE_REDACTION"], environment["SONDE_REDACT_NAMES"]) == ("strict", "a,b")
    assert environment["SONDE_SHOW_NAMES"] == "c"


@pytest.mark.parametrize("search_path", [{}, {"PYTHONPATH": "/nowhere"}, {"PYTHONPATH": ""}])
def test_the_program_sees_what_it_sees_without_sonde(
    sidecar: FakeSidecar, tmp_path: Path, search_path: dict[str, str]
) -> None:
    with running(tmp_path, LOOK, search_path, arguments=("a", "--b")) as program:
        plain = program.end()
    environment = {**search_path, **sidecar.environment}
    command = (*SONDE_RUN, "--no-children")
    with running(tmp_path, LOOK, environment, command=command, arguments=("a", "--b")) as program:
        sidecar.welcome()
        injected = program.end()
    ours = str(sorted(sidecar.environment))[1:-1]
    assert (injected[0], injected[1].replace(f", {ours}", "").replace(ours, ""), injected[2]) == plain
    assert plain[0] == 1


def test_what_children_need_is_all_that_is_left_in_the_environment(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    source = """
        import os
        import sys
        print(sorted(os.environ.items()))
        print([path for path in sys.path if "inject" in path], flush=True)
        sys.stdin.read()
        """
    inherited = {**sidecar.environment, "PYTHONPATH": "/nowhere"}
    with running(tmp_path, source, inherited, command=SONDE_RUN) as program:
        _, hello = sidecar.welcome()
        seen = dict(ast.literal_eval(program.hear()))
        assert program.hear() == "[]"
        assert seen.pop("PYTHONPATH") == os.pathsep.join([children.INJECT, "/nowhere"])
        assert json.loads(seen.pop(children.INJECTION))["pythonpath"] == "/nowhere"
        parent = children.read({children.VARIABLE: seen.pop(children.VARIABLE)})
        assert parent is not None
        assert (parent.boot, parent.pid, parent.service) == (hello.boot, hello.pid, "program")
        del inherited["PYTHONPATH"]
        assert seen == {**clean_environment(), **inherited}


def test_the_folder_alone_on_the_search_path_is_enough(sidecar: FakeSidecar, tmp_path: Path) -> None:
    """As a pod's template has it, where nobody runs `sonde run`."""
    places = os.pathsep.join([children.INJECT, "/nowhere"])
    source = "import os, sys; print(os.environ['PYTHONPATH'], flush=True); sys.stdin.read()"
    environment = {**sidecar.environment, "PYTHONPATH": places, "SONDE_SERVICE": "shop"}
    for switch, path in (("1", places), ("0", "/nowhere")):
        with running(tmp_path, source, {**environment, "SONDE_CHILDREN": switch}) as program:
            _, hello = sidecar.welcome()
            assert (hello.service, hello.parent_boot) == ("shop", "")
            assert program.end() == (0, f"{path}\n", "")


def test_a_run_inside_a_run_has_the_names_that_it_is_given(sidecar: FakeSidecar, tmp_path: Path) -> None:
    source = f"""
        import subprocess
        import sys
        command = {[*SONDE_RUN, "--service", "inner", "--instance", "two"]!r}
        code = "import os, sys; open('inner.py', 'w').write('import sys; sys.stdin.read()')"
        exec(code)
        sys.exit(subprocess.call([*command, "inner.py"]))
        """
    command = (*SONDE_RUN, "--service", "outer", "--instance", "one")
    with running(tmp_path, source, sidecar.environment, command=command) as program:
        _, outer = sidecar.welcome()
        _, inner = sidecar.welcome()
        assert (inner.service, inner.instance, inner.parent_boot) == ("inner", "two", outer.boot)
        assert program.end() == (0, "", "")


def test_a_module_runs_as_with_python_m(sidecar: FakeSidecar, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text(
        "import sys; print(__package__, sys.argv[1:], sys.path[0]); sys.stdin.read()"
    )
    command = [*SONDE_RUN, "--instance", "one", "-m", "package", "-m"]
    environment = {**clean_environment(), **sidecar.environment}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        _, hello = sidecar.welcome()
        output, _ = process.communicate(timeout=PATIENCE)
    assert (hello.service, hello.instance) == ("package", "one")
    assert output == f"package ['-m'] {tmp_path}\n"


def test_the_programs_own_sitecustomize_is_imported(sidecar: FakeSidecar, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("mark = 'theirs'")
    source = "import sitecustomize\nprint(sitecustomize.mark, sitecustomize.__file__)\nimport sys; sys.stdin.read()"
    environment = {**sidecar.environment, "PYTHONPATH": str(theirs)}
    with running(tmp_path, source, environment, command=SONDE_RUN) as program:
        sidecar.welcome()
        assert program.end() == (0, f"theirs {theirs}/sitecustomize.py\n", "")


def test_a_sitecustomize_that_fails_fails_as_without_sonde(sidecar: FakeSidecar, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("raise RuntimeError('theirs')")
    source = "import sys; print('ran'); sys.stdin.read()"
    with running(tmp_path, source, {"PYTHONPATH": str(theirs)}) as program:
        plain = program.end()
    environment = {**sidecar.environment, "PYTHONPATH": str(theirs)}
    with running(tmp_path, source, environment, command=SONDE_RUN) as program:
        sidecar.welcome()
        # twice: sonde's own interpreter imports it too
        assert program.end() == (*plain[:2], plain[2] * 2)
    assert plain[:2] == (0, "ran\n")


@pytest.mark.parametrize("fault", ["raise SystemExit(9)", "raise KeyboardInterrupt", "import no_such_module"])
def test_the_program_runs_when_the_tap_cannot(tmp_path: Path, fault: str) -> None:
    broken = tmp_path / "broken" / "sonde_agent"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text(fault)
    environment = {
        "PYTHONPATH": os.pathsep.join([str(Path(run.__file__).parent / "inject"), str(broken.parent)]),
        children.INJECTION: '{"pythonpath": null, "packages": {}, "start": {}}',
    }
    with running(tmp_path, "print('ran')", environment) as program:
        assert program.end() == (0, "ran\n", "")


def test_old_pythons_can_read_what_is_injected() -> None:
    text = (Path(run.__file__).parent / "inject" / "sitecustomize.py").read_text()
    compile(text, "sitecustomize.py", "exec", dont_inherit=True)
    ast.parse(text, feature_version=(3, 4))
    assert not re.search(r"\bf[\"']", text)


class Beside:
    """A sidecar as the supervisor knows it."""

    def __init__(self, sidecar: FakeSidecar) -> None:
        self.address = link.SidecarAddress.parse(sidecar.address)
        self.token_file = sidecar.token_file
        self.ends: list[int] = []
        self.drains = 0

    def child_ended(self, pid: int, returncode: int) -> None:
        self.ends.append(returncode)

    async def drained(self, timeout: float) -> bool:  # noqa: ASYNC109 - the sidecar's own face
        self.drains += 1
        return True


async def supervised(source: str, beside: Beside, fault: Exception | None = None) -> int:
    @asynccontextmanager
    async def serve() -> AsyncIterator[Beside]:
        if fault is not None:
            raise fault
        yield beside

    command = [sys.executable, "-c", textwrap.dedent(source)]
    with run._signals_held() as mask:
        return await run.supervise(command, clean_environment(), serve, mask)


@pytest.mark.parametrize(
    ("last", "code", "end"),
    [("exit(0)", 0, 0), ("exit(7)", 7, 7), ("import os; os.kill(os.getpid(), 9)", 137, -9)],
)
async def test_the_supervisor_ends_as_the_program_ends(
    sidecar: FakeSidecar, last: str, code: int, end: int
) -> None:
    beside = Beside(sidecar)
    assert await supervised(last, beside) == code
    assert (beside.ends, beside.drains) == ([end], 1)


async def test_the_program_finds_the_sidecar_of_its_supervisor(sidecar: FakeSidecar) -> None:
    source = f"""
        import os
        assert os.environ["SONDE_SIDECAR"] == {sidecar.address!r}
        assert os.environ["SONDE_SIDECAR_TOKEN_FILE"] == {str(sidecar.token_file)!r}
        """
    assert await supervised(source, Beside(sidecar)) == 0


async def test_without_its_sidecar_the_program_runs_all_the_same(
    sidecar: FakeSidecar, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await supervised("exit(5)", Beside(sidecar), fault=RuntimeError("broken")) == 5
    assert (
        capsys.readouterr().err
        == "sonde: the sidecar failed (RuntimeError); the program runs on without it\n"
    )


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_the_supervisor_goes_on_to_the_program(tmp_path: Path, number: signal.Signals) -> None:
    ignored = [int(each) for each in SIGNALS if signal.getsignal(each) is signal.SIG_IGN]  # as by nohup
    source = f"""
        import signal
        import sys
        import time
        seen = []
        def handler(number, frame):
            seen.append(number)
        for number in {[int(each) for each in SIGNALS]}:
            assert (signal.getsignal(number) is signal.SIG_IGN) == (number in {ignored})
            signal.signal(number, handler)
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
        print("ready", flush=True)
        while not seen:
            signal.pause()
        sys.stdin.readline()  # a second one would have arrived by now
        print(*seen, flush=True)
        sys.exit(9)
        """
    environment = {"SONDE_SITE": str(tmp_path / "none"), "TMPDIR": str(tmp_path)}
    with running(tmp_path, source, environment, command=SONDE_RUN) as program:
        assert program.hear() == "ready"
        program.process.send_signal(number)
        program.tell()
        code, output, errors = program.end()
    assert (code, output) == (9, f"{int(number)}\n")
    assert errors.startswith("sonde: no bus is known")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "code", "leads", "forward"),
    [
        (signal.SIGINT, 0, False, True),
        (signal.SIGINT, -6, False, True),
        (signal.SIGINT, 128, False, False),
        (signal.SIGQUIT, 128, True, False),
        (signal.SIGHUP, 128, False, False),
        (signal.SIGHUP, 128, True, True),
        (signal.SIGTERM, 0, False, True),
    ],
)
def test_what_the_terminal_sends_to_all_is_not_doubled(
    number: signal.Signals, code: int, leads: bool, forward: bool
) -> None:
    assert run.is_to_forward(number, code, leads) is forward


def test_an_interpreter_that_is_not_there_is_told() -> None:
    command = [*SONDE_RUN, "--python", "/no/such/python", "app.py"]
    process = subprocess.run(
        command, capture_output=True, text=True, timeout=30, env=clean_environment(), check=False
    )
    assert (process.returncode, process.stderr) == (2, "sonde: there is no interpreter '/no/such/python'\n")


def test_a_missing_extra_is_told(tmp_path: Path) -> None:
    (tmp_path / "msgspec.py").write_text("raise ModuleNotFoundError(name='msgspec')")
    environment = {**clean_environment(), "PYTHONPATH": str(tmp_path)}
    process = subprocess.run(
        [*SONDE_RUN, "app.py"], capture_output=True, text=True, timeout=30, env=environment, check=False
    )
    assert process.returncode == 2
    assert "pip install 'sonde[agent]'" in process.stderr


def test_another_interpreter_finds_what_the_tap_needs_and_nothing_else(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    """A virtual environment without any packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True, timeout=60)
    python = str(tmp_path / "bare" / "bin" / "python")
    source = """
        import importlib.util
        import sys
        print(sys.prefix, [name for name in ("sonde_wire", "msgspec") if importlib.util.find_spec(name)], flush=True)
        sys.stdin.readline()
        """
    with running(tmp_path, source, sidecar.environment, command=(*SONDE_RUN, "--python", python)) as program:
        line, hello = sidecar.welcome()
        assert hello.executable == python
        assert program.hear() == f"{tmp_path}/bare []"
        fault = line.call("debugger.connect", host="127.0.0.1", port=1, server_token="a", client_token="b")
        assert isinstance(fault, link.Fault)
        assert fault.message == "the sidecar cannot be reached for debugging"  # so debugpy was found


async def test_a_child_is_reaped_once(sidecar: FakeSidecar) -> None:
    with run._signals_held() as mask:
        child = run.Child.start([sys.executable, "-c", "exit(4)"], clean_environment(), mask)
        assert (await child.ended(), await child.ended()) == (4, 4)
        child.send(signal.SIGTERM)
