"""Python programs that a program starts: seen, unless they are helpers, gone at once, or not wanted."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.agent.kinds.family import SONDE_RUN, all_gone, are_children, comes, launched
from tests.agent.tap.fakes import FakeSidecar

STARTS = """
    import subprocess
    import sys
    for line in sys.stdin:
        words, options = eval(line)
        print(subprocess.call(words, **options), flush=True)
    """
CHILD = """
    import sys
    def price(count):
        return count * 3  # stop here
    price(1)
    sys.stdin.readline()
    print("child", price(5), flush=True)
    sys.exit(7)
    """
HELPERS = [
    ("-m", "pip", "--version"),
    ("-c", "import time; time.sleep(0)"),
    ("-I", "-c", "import time; time.sleep(0.5)"),
    ("-E", "-c", "import time; time.sleep(0.5)"),
    ("-S", "-c", "import time; time.sleep(0.5)"),
    ("-m", "sonde_agent.sidecar", "--help"),
]


@pytest.mark.parametrize("how", ["interpreter", "name", "script"])
def test_a_program_that_is_started_is_a_process_of_its_own(
    sidecar: FakeSidecar, tmp_path: Path, how: str
) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(STARTS))
    script = tmp_path / "child.py"
    script.write_text(f"#!{sys.executable}\n{textwrap.dedent(CHILD)}")
    script.chmod(0o755)
    words = {
        "interpreter": [sys.executable, str(script)],
        "name": ["python3", str(script)],
        "script": [str(script)],
    }
    environment = {
        **sidecar.environment,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "SONDE_INSTANCE": "one",
    }
    command = (*SONDE_RUN, "--service", "shop", str(tmp_path / "app.py"))
    with launched(tmp_path, *command, environment=environment, main="child.py") as program:
        first = comes(sidecar)
        assert first.hello.instance == "one"
        program.tell(repr((words[how], {})))
        child = comes(sidecar)
        assert are_children(first, child)
        assert child.hello.instance == f"one-{child.pid}"
        assert child.hello.main == str(script)
        debugging = child.debugged()
        debugging.stop_at(program.path, program.line_of("stop here"))
        program.tell()
        stopped = debugging.event("stopped")
        assert debugging.where(stopped) == ("price", program.line_of("stop here"))
        debugging.go_on(stopped)
        assert program.hear() == "child 15"
        assert program.hear() == "7"
        assert program.end() == (0, "", "")
        all_gone(child)


@pytest.mark.parametrize("words", HELPERS, ids=" ".join)
def test_helpers_are_not_seen(sidecar: FakeSidecar, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(STARTS))
    with launched(tmp_path, *SONDE_RUN, "app.py", environment=sidecar.environment) as program:
        comes(sidecar)
        program.tell(repr(([sys.executable, *words], {"stdout": subprocess.DEVNULL})))
        assert program.hear() == "0"
        assert sidecar.nobody_comes(within=0.1)
        code, _, errors = program.end()
        assert (code, errors) == (0, "")


@pytest.mark.parametrize("how", ["option", "variable"])
def test_children_are_left_alone_when_nobody_wants_them(
    sidecar: FakeSidecar, tmp_path: Path, how: str
) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(STARTS))
    environment = {**sidecar.environment, **({"SONDE_CHILDREN": "0"} if how == "variable" else {})}
    options = ("--no-children",) if how == "option" else ()
    look = "import os, time; time.sleep(0.5); exit(any('INJ' in name or 'PARENT' in name for name in os.environ))"
    with launched(tmp_path, *SONDE_RUN, *options, "app.py", environment=environment) as program:
        comes(sidecar)
        program.tell(repr(([sys.executable, "-c", look], {})))
        assert program.hear() == "0"
        assert sidecar.nobody_comes(within=0.1)
        assert program.end() == (0, "", "")


def test_a_program_that_becomes_another_keeps_its_place(sidecar: FakeSidecar, tmp_path: Path) -> None:
    source = """
        import os
        import sys
        for line in sys.stdin:
            os.execv(sys.executable, [sys.executable, *line.split()])
        """
    (tmp_path / "app.py").write_text(textwrap.dedent(source))
    command = (*SONDE_RUN, "--instance", "one", "app.py")
    with launched(tmp_path, *command, environment=sidecar.environment) as program:
        before = comes(sidecar)
        program.tell("app.py again")
        after = comes(sidecar)
        assert (after.pid, after.hello.instance, after.hello.parent_boot) == (before.pid, "one", "")
        assert after.boot != before.boot
        assert program.end() == (0, "", "")


def test_old_pythons_run_as_they_would(sidecar: FakeSidecar, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(STARTS))
    versions = Path.home() / ".pyenv" / "versions"
    old = [path for path in versions.glob("*/bin/python") if path.parts[-3].startswith(("2.", "3.6", "3.9"))]
    if not old:
        pytest.skip("no old Python is here")
    with launched(tmp_path, *SONDE_RUN, "app.py", environment=sidecar.environment) as program:
        comes(sidecar)
        for python in old:
            code = "import sys; sys.stdout.write('ran\\n')"
            program.tell(repr(([str(python), "-c", code], {})))
            assert [program.hear(), program.hear()] == ["ran", "0"]
        assert program.end() == (0, "", "")


def test_another_environment_finds_what_the_tap_needs(sidecar: FakeSidecar, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True, timeout=60)
    python = str(tmp_path / "bare" / "bin" / "python")
    (tmp_path / "app.py").write_text(textwrap.dedent(STARTS))
    with launched(tmp_path, *SONDE_RUN, "app.py", environment=sidecar.environment) as program:
        first = comes(sidecar)
        program.tell(repr(([python, "-c", "import sys; sys.stdin.readline()"], {})))
        child = comes(sidecar)
        assert are_children(first, child)
        assert child.hello.executable == python
        assert child.debugged().version
        program.tell()
        assert program.hear() == "0"
        assert program.end() == (0, "", "")
