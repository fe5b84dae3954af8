"""Where a setting comes from, and what is told when it cannot be used."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from sonde_agent import configuration
from sonde_agent.configuration import InvalidConfiguration, choose, unknown_variables, with_file
from sonde_agent.sidecar.settings import CHECKS, SidecarSettings, from_choice

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def given(*words: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    configuration.add_options(parser, "sidecar")
    return vars(parser.parse_args(words))


def chosen(*words: str, **environment: str) -> dict[str, Any]:
    return choose("sidecar", given(*words), environment, CHECKS)


def written(directory: Path, name: str, text: str) -> str:
    file = directory / name
    file.write_text(text)
    file.chmod(0o640)
    return str(file)


def refused(*words: str, **environment: str) -> str:
    with pytest.raises(InvalidConfiguration) as told:
        chosen(*words, **environment)
    assert isinstance(told.value, ValueError)
    return str(told.value)


def test_arguments_win_over_the_environment_that_over_the_file_and_that_over_defaults(tmp_path: Path) -> None:
    file = written(tmp_path, "sonde.toml", "lease = 10\nlongest_stop = '5m'\nevaluation_limit = 3")
    found = chosen("--config", file, "--lease", "30", SONDE_LEASE="20", SONDE_LONGEST_STOP="120")
    assert (found["lease"], found["longest_stop"], found["evaluation_limit"]) == (30.0, 120.0, 3.0)
    assert found["max_processes"] == 256
    assert chosen(SONDE_CONFIG=file)["lease"] == 10.0
    other = written(tmp_path, "other.json", '{"lease": 12.5}')
    assert chosen("--config", other, SONDE_CONFIG=file)["lease"] == 12.5
    assert chosen(SONDE_LEASE="")["lease"] == 60.0


def test_labels_are_joined_key_by_key(tmp_path: Path) -> None:
    file = written(tmp_path, "sonde.toml", "[labels]\na = 'file'\nb = 'file'\nc = 'file'")
    found = chosen("--config", file, "--label", "a=first", "--label", "a=last", SONDE_LABELS="a=env, b=env")
    assert found["labels"] == {"a": "last", "b": "env", "c": "file"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sonde.toml", 'namespace = "prod"\nlease = 90\n[labels]\nversion = "1.4"\n'),
        ("sonde.json", '{"namespace": "prod", "lease": "90s", "labels": {"version": "1.4"}}'),
        ("sonde.yaml", "namespace: prod\nlease: 90\nlabels:\n  version: '1.4'\n"),
        ("sonde.yml", "{namespace: prod, lease: 1.5m, labels: {version: '1.4'}}"),
    ],
)
def test_a_file_may_be_toml_yaml_or_json(tmp_path: Path, name: str, text: str) -> None:
    if ".y" in name:
        pytest.importorskip("yaml", reason="PyYAML is not installed")
    found = chosen("--config", written(tmp_path, name, text))
    assert (found["namespace"], found["lease"], found["labels"]) == ("prod", 90.0, {"version": "1.4"})


def test_without_pyyaml_a_yaml_file_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    told = refused("--config", written(tmp_path, "sonde.yaml", "lease: 90"))
    assert told == "sonde.yaml is YAML, and PyYAML is not installed here: use TOML, or pip install pyyaml"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("namspace = 'x'", "unknown key 'namspace' in sonde.toml: did you mean 'namespace'?"),
        ("token-file = 'x'", "unknown key 'token-file' in sonde.toml: did you mean 'token_file'?"),
        ("SONDE_BUS = 'x'", "unknown key 'SONDE_BUS' in sonde.toml: did you mean 'bus'?"),
        ("lease = 'soon'", "lease in sonde.toml is 'soon': give seconds, 5 to 3600, such as 15 or 2m"),
        ("lease = true", "lease in sonde.toml is True: give seconds, 5 to 3600, such as 15 or 2m"),
        ("lease = 4", "lease in sonde.toml is 4: give seconds, 5 to 3600, such as 15 or 2m"),
        ("lease = nan", "lease in sonde.toml is nan: give seconds, 5 to 3600, such as 15 or 2m"),
        ("namespace = 1", "namespace in sonde.toml is 1: give lower-case letters"),
        ("namespace = 'Prod'", "namespace in sonde.toml is 'Prod': give lower-case letters"),
        ("max_processes = 2.5", "max_processes in sonde.toml is 2.5: give a whole number, 1 to 4096"),
        ("labels = 'a=b'", "labels in sonde.toml is 'a=b': give KEY=VALUE pairs"),
        ("[labels]\na = 1", "labels in sonde.toml: a is 1: give text, in quotes"),
        ("[labels]\na = 'b,c'", "labels in sonde.toml: a has a comma or an equals sign"),
        ("socket_mode = 0o660", 'socket_mode in sonde.toml is 432: give one of "0600"'),
        ("log_format = 'xml'", "log_format in sonde.toml is 'xml': give one of text, json"),
        ("bus = ['mqtt://u:secret@h']", "bus in sonde.toml cannot be used: give a URL such as"),
        ("bus = 'http://u:secret@h'", "bus in sonde.toml cannot be used: unknown scheme 'http'"),
        ("listen = 'tcp:0.0.0.0:1'", "listen in sonde.toml cannot be used: cannot listen on 'tcp:0.0.0.0:1'"),
        ("lease = ", "sonde.toml is not valid TOML:"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_by_file_key_and_what_is_allowed(
    tmp_path: Path, text: str, told: str
) -> None:
    said = refused("--config", written(tmp_path, "sonde.toml", text))
    assert said.startswith(told)
    assert "secret" not in said


def test_the_same_key_twice_is_refused(tmp_path: Path) -> None:
    assert "'lease' is there twice" in refused(
        "--config", written(tmp_path, "sonde.json", '{"lease": 10, "lease": 20}')
    )
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    assert "'lease' is there twice" in refused(
        "--config", written(tmp_path, "a.yaml", "lease: 10\nlease: 20")
    )


def test_a_broken_yaml_file_is_told_by_line_and_without_a_piece_of_it(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    told = refused("--config", written(tmp_path, "a.yaml", "lease: 10\nbus: [mqtt://u:secret@h"))
    assert "not valid YAML" in told and "at line" in told and "secret" not in told


def test_a_file_that_cannot_be_trusted_or_read_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "sonde.toml", "lease = 10")
    Path(file).chmod(0o666)
    assert "can be changed by everybody: chmod o-w" in refused("--config", file)
    fifo = tmp_path / "fifo.toml"
    os.mkfifo(fifo)
    assert "is not a file" in refused("--config", str(fifo))
    assert "No such file" in refused("--config", str(tmp_path / "missing.toml"))
    assert "must end with .toml" in refused("--config", written(tmp_path, "sonde.ini", ""))
    assert "has no keys" in refused("--config", written(tmp_path, "sonde.json", "[]"))
    assert "give an absolute path" in refused(SONDE_CONFIG="sonde.toml")


def test_a_file_in_the_working_directory_is_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "sonde.toml", "nonsense")
    monkeypatch.chdir(tmp_path)
    assert chosen()["lease"] == 60.0


def test_wrong_variables_and_options_are_told_by_their_names() -> None:
    assert refused(SONDE_LEASE="1").startswith("SONDE_LEASE is '1': give seconds, 5 to 3600")
    assert refused("--lease", "x", SONDE_LEASE="1").startswith("--lease is 'x': give seconds")
    assert refused("--label", "x").startswith("--label is 'x': give KEY=VALUE")
    assert "secret" not in refused(SONDE_BUS="mqtt://u:secret@h:x")
    assert chosen("--lease", "90", SONDE_LEASE="1")["lease"] == 90.0


def test_a_misspelt_variable_is_found_and_what_others_set_is_not() -> None:
    others = (
        "SONDE_SERVICE_HOST",
        "SONDE_SERVICE_PORT_HTTP",
        "SONDE_PORT_80_TCP_ADDR",
        "SONDE_COLOUR",
        "PATH",
    )
    ours = ("SONDE_BUS", "SONDE_URL", "SONDE_TEST_PYTHONS")
    assert unknown_variables([*others, *ours, "SONDE_NAMSPACE"]) == [
        "SONDE_NAMSPACE is not a variable of Sonde: did you mean SONDE_NAMESPACE?"
    ]


def test_for_the_tap_a_file_is_an_environment_that_the_real_one_wins_over(tmp_path: Path) -> None:
    assert with_file({"SONDE_SERVICE": "x"}) == {"SONDE_SERVICE": "x"}
    text = 'service = "shop"\nnamespace = "prod"\nsidecar = "unix:/run/s"\n[labels]\na = "1"\nb = "1"\n'
    environment = {"SONDE_CONFIG": written(tmp_path, "sonde.toml", text), "SONDE_SERVICE": "mine"}
    together = with_file({**environment, "SONDE_LABELS": "b=2", "SONDE_NAMESPACE": ""})
    assert together["SONDE_SERVICE"] == "mine"
    assert together["SONDE_NAMESPACE"] == "prod"
    assert together["SONDE_SIDECAR"] == "unix:/run/s"
    assert together["SONDE_LABELS"] == "a=1,b=1,b=2"


def test_a_sidecar_that_a_tap_starts_is_where_the_tap_says(tmp_path: Path) -> None:
    found = chosen(
        SONDE_LISTEN=f"unix:{tmp_path}/s", SONDE_SIDECAR_TOKEN_FILE=f"{tmp_path}/t", SONDE_LEASE="90"
    )
    settings = from_choice(found, 1, str(tmp_path))
    assert (settings.listen, settings.token_file, settings.lease) == (None, None, 90.0)


def test_a_sidecar_alone_has_the_defaults_of_the_table() -> None:
    assert from_choice(chosen()) == SidecarSettings()


def test_the_page_has_the_table() -> None:
    head, *rows = configuration.table_rows()
    lines = [head, tuple("---" for _ in head), *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
    assert table in PAGE.read_text(), table
    for name, what in configuration.OTHER_VARIABLES.items():
        assert f"| `{name}` | {what} |" in PAGE.read_text()
