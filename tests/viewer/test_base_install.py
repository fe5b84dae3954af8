"""Where only the tap's dependencies are installed: a bare interpreter, no site-packages."""

import subprocess
import sys
from pathlib import Path

import pytest

import sonde_agent
import sonde_viewer

_FOLDERS = [str(Path(package.__path__[0]).parent) for package in (sonde_viewer, sonde_agent)]


def bare(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = (
        f"import sys; sys.path[:0] = {_FOLDERS!r}; from sonde_viewer.__main__ import main; sys.exit(main())"
    )
    return subprocess.run(  # -S: no site-packages, so that nothing but the standard library is there
        [sys.executable, "-S", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(("verb", "extra"), [("ps", "viewer"), ("debug", "viewer"), ("up", "broker")])
def test_a_verb_whose_extra_is_missing_says_what_to_install(verb: str, extra: str) -> None:
    done = bare(verb, "x")
    assert done.returncode == 2
    assert f"pip install 'sonde[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("verb", "extra"), [("broker", "broker"), ("token", "broker"), ("sidecar", "agent")])
def test_a_program_whose_extra_is_missing_says_what_to_install(verb: str, extra: str) -> None:
    done = bare(verb)
    assert done.returncode == 2
    assert f"pip install 'sonde[{extra}]'" in done.stderr


def test_help_and_version_need_nothing() -> None:
    done = bare("--help")
    assert done.returncode == 0
    assert "sonde demo" in done.stdout
    assert bare("--version").returncode == 0
