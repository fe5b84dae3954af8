"""The vocabulary of the end-to-end tests is itself tested."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.debuggee import Program, interpreters, running


def test_a_tag_names_the_one_line_that_carries_it(tmp_path: Path) -> None:
    program = Program.write(tmp_path, "a = 1\nb = 2  # stop here\n")
    assert program.line("stop here") == 2


@pytest.mark.parametrize("source", ["a = 1\n", "a = 1  # stop here\nb = 2  # stop here\n"])
def test_a_tag_that_is_not_there_once_fails_the_test(tmp_path: Path, source: str) -> None:
    with pytest.raises(AssertionError):
        Program.write(tmp_path, source).line("stop here")


def test_interpreters_are_those_that_the_runner_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONDE_TEST_PYTHONS", os.pathsep.join(("3.12=/x/python", "3.13=/y/python")))
    assert interpreters() == {"3.12": "/x/python", "3.13": "/y/python"}
    monkeypatch.delenv("SONDE_TEST_PYTHONS")
    assert list(interpreters().values()) == [sys.executable]


async def test_a_program_is_waited_for_by_what_it_says_and_ended_with_the_block(tmp_path: Path) -> None:
    program = Program.write(tmp_path, "import sys\nprint('one', flush=True)\nsys.stdin.read()\n")
    async with running(sys.executable, str(program.path), env=dict(os.environ)) as started:
        assert await started.says("one") == "one"
        assert started.process.returncode is None
    assert started.process.returncode is not None
