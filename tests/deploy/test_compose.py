"""The compose file: valid, hardened, and complete in its references."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from sonde_agent import link
from tests.deploy import make_secrets_file
from tests.deploy.manifests import DEPLOY, USER

FILE = DEPLOY / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


def has_docker_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], check=False, capture_output=True).returncode == 0


def test_the_file_meets_the_compose_specification() -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    file = {key: value for key, value in COMPOSE.items() if key != "name"}  # the schema is older than `name`
    problems = [f"{error.json_path}: {error.message}" for error in Draft7Validator(schema).iter_errors(file)]
    assert problems == []


@pytest.mark.skipif(not has_docker_compose(), reason="docker compose is not installed")
def test_docker_compose_accepts_the_file() -> None:
    subprocess.run(["docker", "compose", "--file", str(FILE), "config", "--quiet"], check=True)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].partition(":")[0]) >= USER
    assert "privileged" not in service
    assert not service["image"].endswith(":latest")


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_refers_to_is_there(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    assert set(service.get("networks", ())) <= set(COMPOSE["networks"])
    assert set(service.get("depends_on", ())) <= set(SERVICES)
    for other in ("network_mode", "pid"):
        if other in service:
            assert service[other].removeprefix("service:") in SERVICES
    for volume in service.get("volumes", ()):
        source = volume.partition(":")[0]
        assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    if "build" in service:
        context = (DEPLOY / service["build"]["context"]).resolve()
        assert (context / service["build"]["dockerfile"]).is_file()
    told = json.dumps([service.get("command"), service.get("environment")])
    for word in told.replace("=", '"').split('"'):
        if word.startswith("/run/secrets/"):
            assert word.removeprefix("/run/secrets/") in service["secrets"]


def test_a_service_waits_only_for_one_that_can_become_healthy() -> None:
    for service in SERVICES.values():
        for other, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]


def test_only_the_loopback_is_published() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_every_secret_is_made_by_the_script(tmp_path: Path) -> None:
    make_secrets_file.module().make(tmp_path / "secrets")
    made = {each.name for each in (tmp_path / "secrets").iterdir()}
    assert {Path(each["file"]).name for each in COMPOSE["secrets"].values()} == made


def test_the_shop_finds_its_sidecar() -> None:
    environment = SERVICES["shop"]["environment"]
    dockerfile = (DEPLOY / "agent.Dockerfile").read_text()
    assert f'"--listen", "{environment[link.SIDECAR_VARIABLE]}"' in dockerfile
    assert f'"--token-file", "{environment[link.TOKEN_FILE_VARIABLE]}"' in dockerfile
    assert SERVICES["sidecar"]["network_mode"] == SERVICES["sidecar"]["pid"] == "service:shop"
    assert SERVICES["sidecar"]["volumes"] == SERVICES["shop"]["volumes"] == ["run:/run/sonde"]
    assert SERVICES["sidecar"]["user"] == SERVICES["shop"]["user"]
    assert "secrets" not in SERVICES["shop"]
