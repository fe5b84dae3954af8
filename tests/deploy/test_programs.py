"""The command lines and variables in deploy/ are ones that the programs take."""

import re
import subprocess
import sys
from functools import cache

import pytest
import yaml

from tests.deploy.manifests import DEPLOY, ROOT, pods

COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@cache
def help_of(*program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *program, "--help"], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout


def options(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if word.startswith("--")}


def test_the_broker_takes_its_options() -> None:
    (container,) = pods()["broker"]["spec"]["containers"]
    for line in (container["args"], COMPOSE["services"]["broker"]["command"]):
        assert line[0] == "serve"
        for option in options(line):
            assert re.search(rf"{option}\b", help_of("sonde_broker", "serve")), option


def test_the_sidecar_takes_its_options() -> None:
    (container,) = pods()["shop"]["spec"]["initContainers"]
    for option in options(container["args"]):
        assert re.search(rf"{option}\b", help_of("sonde_agent.sidecar")), option


def test_the_token_command_in_the_readme_takes_its_options() -> None:
    readme = (DEPLOY / "README.md").read_text()
    command = readme.partition("sonde token issue")[2].partition("```")[0]
    for option in options(command.split()):
        assert re.search(rf"{option}\b", help_of("sonde_broker", "token", "issue")), option


@pytest.mark.parametrize("file", ["compose.yaml", "kubernetes/base/broker.yaml", "kubernetes/base/shop.yaml"])
def test_every_variable_is_one_that_a_program_reads(file: str) -> None:
    sources = "".join(
        each.read_text() for folder in ("agent", "broker", "wire") for each in (ROOT / folder).rglob("*.py")
    )
    for variable in set(re.findall(r"\bSONDE_[A-Z_]+\b", (DEPLOY / file).read_text())):
        assert f'"{variable}"' in sources, variable
