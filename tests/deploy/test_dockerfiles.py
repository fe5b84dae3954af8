"""The container files: what they copy and start is there, and nothing runs as root."""

import ast
import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.deploy.manifests import DEPLOY, ROOT, USER

FILES = {each.name.removesuffix(".Dockerfile"): each for each in DEPLOY.glob("*.Dockerfile")}
EXTRAS = {"agent": "sonde[agent]", "broker": "sonde[broker,postgres]", "sample": "sonde"}


def instructions(name: str) -> list[tuple[str, str]]:
    """(instruction, rest) of each, with continued lines joined and comments left out."""
    lines = [line for line in FILES[name].read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for line in joined.splitlines() if line for word, _, rest in [line.partition(" ")]]


def last(name: str, instruction: str) -> str:
    return [rest for word, rest in instructions(name) if word == instruction][-1]


def test_there_is_one_for_each_role() -> None:
    assert set(FILES) == set(EXTRAS)


@pytest.mark.parametrize("name", FILES)
def test_what_is_copied_exists_and_reaches_the_builder(name: str) -> None:
    let_in = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for word, rest in instructions(name):
        if word == "COPY" and not rest.startswith("--from="):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source in let_in, source


@pytest.mark.parametrize("name", FILES)
def test_the_image_does_not_run_as_root(name: str) -> None:
    user, _, group = last(name, "USER").partition(":")
    assert int(user) >= USER
    assert int(group) >= USER


@pytest.mark.parametrize("name", FILES)
def test_every_base_is_pinned_to_a_version(name: str) -> None:
    stages = set()
    for word, rest in instructions(name):
        if word == "FROM":
            base, _, stage = rest.partition(" AS ")
            assert base in stages or re.fullmatch(r"python:3\.\d+-slim-\w+", base), base
            stages.add(stage)


@pytest.mark.parametrize("name", FILES)
def test_the_program_that_is_started_can_be_found(name: str) -> None:
    entry = json.loads(last(name, "ENTRYPOINT"))
    assert entry[:2] == ["python", "-m"]
    spec = find_spec(entry[2])
    assert spec is not None
    assert find_spec(f"{entry[2]}.__main__") is not None


@pytest.mark.parametrize("name", FILES)
def test_the_health_check_is_python_that_compiles(name: str) -> None:
    command = json.loads(last(name, "HEALTHCHECK").partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    ast.parse(command[2])


@pytest.mark.parametrize("name", FILES)
def test_the_build_is_the_same_in_each_and_the_role_is_its_own(name: str) -> None:
    first = FILES["agent"].read_text()
    shared = first[first.index("# The build") : first.index("FROM build AS install")]
    assert shared in FILES[name].read_text()
    installs = [rest for word, rest in instructions(name) if word == "RUN" and "--no-index" in rest]
    assert [rest.split()[-1].strip('"') for rest in installs] == [EXTRAS[name]]


def test_the_sample_needs_nothing_but_the_standard_library() -> None:
    source = (DEPLOY / "sample" / "shop.py").read_text()
    imported = {
        (node.module or "").partition(".")[0] if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= {"http", "json", "os", "signal", "sys", "types", "urllib"}


def test_secrets_do_not_reach_an_image_or_the_repository() -> None:
    assert Path(DEPLOY / ".gitignore").read_text().split() == ["secrets/"]
    assert (ROOT / ".dockerignore").read_text().split("\n")[1] == "*"
