"""A configuration file reaches programs: by SONDE_CONFIG, and through `sonde run`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sonde_agent import run
from sonde_agent.configuration import InvalidConfiguration
from tests.agent.tap.fakes import FakeSidecar, fake_sidecar, running

SONDE_RUN = (sys.executable, "-m", "sonde_agent", "run")
STARTS = """
    import sys
    import sonde_agent
    try:
        sonde_agent.start(namespace="mine")
    except ValueError as error:
        print(error, flush=True)
    print(sonde_agent.is_running(), "sonde_agent.configuration" in sys.modules, flush=True)
    sys.stdin.read()
    """


@pytest.fixture
def sidecar() -> Iterator[FakeSidecar]:
    with fake_sidecar() as sidecar:
        yield sidecar


def written(directory: Path, text: str) -> Path:
    file = directory / "sonde.toml"
    file.write_text(text)
    file.chmod(0o640)
    return file


def test_a_program_takes_from_the_file_what_it_does_not_say_itself(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    text = f'service = "shop"\nnamespace = "prod"\nsidecar = "{sidecar.address}"\nlabels = {{ a = "1" }}\n'
    environment = {
        "SONDE_CONFIG": str(written(tmp_path, text)),
        "SONDE_SIDECAR_TOKEN_FILE": str(sidecar.token_file),
    }
    with running(tmp_path, STARTS, environment) as program:
        _, hello = sidecar.welcome()
        assert (hello.namespace, hello.service, hello.labels) == ("mine", "shop", {"a": "1"})
        assert program.hear() == "True True"
        program.end()


def test_where_no_file_is_named_nothing_is_imported_for_it(sidecar: FakeSidecar, tmp_path: Path) -> None:
    written(tmp_path, "nonsense")
    with running(tmp_path, STARTS, sidecar.environment) as program:
        sidecar.welcome()
        assert program.hear() == "True False"
        program.end()


def test_a_file_that_cannot_be_used_is_an_error_and_nothing_is_started(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    environment = {**sidecar.environment, "SONDE_CONFIG": str(written(tmp_path, "namspace = 1"))}
    with running(tmp_path, STARTS, environment) as program:
        assert program.hear() == "unknown key 'namspace' in sonde.toml: did you mean 'namespace'?"
        assert program.hear() == "False True"
        program.end()


def test_sonde_run_passes_the_file_on_to_its_program(sidecar: FakeSidecar, tmp_path: Path) -> None:
    text = f'service = "shop"\nsidecar = "{sidecar.address}"\ntoken_file = "{sidecar.token_file}"\n'
    written(tmp_path, text)
    look = "import os, sys; print(os.environ['SONDE_CONFIG'], flush=True); sys.stdin.read()"
    command = (*SONDE_RUN, "--config", "sonde.toml", "--instance", "one")
    with running(tmp_path, look, {"SONDE_TEST_RAISE": "1"}, command=command) as program:
        _, hello = sidecar.welcome()
        assert (hello.service, hello.instance) == ("shop", "one")
        assert program.hear() == str(tmp_path / "sonde.toml")
        program.end()


def test_sonde_run_says_what_is_wrong_in_the_file(tmp_path: Path) -> None:
    written(tmp_path, "lease = 1")
    with running(tmp_path, "", command=(*SONDE_RUN, "--config", "sonde.toml")) as program:
        code, _, said = program.end()
    assert code == 2
    assert said == "sonde: lease in sonde.toml is 1: give seconds, 5 to 3600, such as 15 or 2m\n"


def test_a_plan_is_of_arguments_environment_and_file(tmp_path: Path) -> None:
    file = written(tmp_path, 'service = "shop"\nnamespace = "prod"\ninstance = "one"\nchildren = false\n')
    plan = run.make_plan(
        ["--config", str(file), "--namespace", "dev", "--lease", "90", "app.py"], {"SONDE_INSTANCE": "two"}
    )
    assert plan.start == {"namespace": "dev"}  # the tap finds the others where we did
    assert (plan.namespace, plan.with_children, plan.sidecar) == ("dev", False, None)
    assert plan.options["lease"] == "90"
    with pytest.raises(InvalidConfiguration, match="cannot be read"):
        run.make_plan(["--config", str(tmp_path / "none.toml"), "app.py"], {})
