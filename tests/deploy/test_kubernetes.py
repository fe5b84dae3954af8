"""The Kubernetes base: valid, complete in its references, and within the `restricted` Pod Security Standard."""

import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml

from sonde_agent import link
from tests.deploy.manifests import (
    BASE,
    DEPLOY,
    USER,
    Document,
    containers,
    documents,
    kustomization,
    named,
    of_kind,
    pods,
)

VERSIONS = ["1.31", "1.36"]
LABELS = {"app.kubernetes.io/name", "app.kubernetes.io/component"}
ENUMS = {
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"},
    "protocol": {"TCP", "UDP", "SCTP"},
    "medium": {"", "Memory"},
    "policyTypes": {"Ingress", "Egress"},
    "drop": {"ALL"},
    "restartPolicy": {"Always"},
}
"""Values that the schemas leave open and the API server does not."""
STRATEGIES = {"RollingUpdate", "Recreate"}


def each_pod() -> list[Any]:
    return [pytest.param(pod, id=name) for name, pod in pods().items()]


def each_container() -> list[Any]:
    return [
        pytest.param(pod, container, id=f"{name}-{container['name']}")
        for name, pod in pods().items()
        for container in containers(pod)
    ]


def validate(document: Document, version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", documents(), ids=named)
def test_a_document_is_valid(document: Document, version: str) -> None:
    validate(document, version)


def test_the_validator_notices_a_misspelt_field() -> None:
    broken = {**documents()[0], "metadata": {"nmae": "sonde"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(broken, VERSIONS[0])


def test_every_file_is_a_resource_and_every_resource_is_there() -> None:
    files = {each.name for each in BASE.glob("*.yaml")} - {"kustomization.yaml"}
    listed = set(kustomization()["resources"])
    assert {each for each in listed if each.endswith(".yaml")} == files
    assert {(BASE / each).resolve() for each in listed if not each.endswith(".yaml")} == {
        DEPLOY / "mosquitto"
    }


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("version", VERSIONS)
def test_the_built_base_is_valid_and_in_its_namespace(version: str) -> None:
    built = subprocess.run(["kubectl", "kustomize", str(BASE)], capture_output=True, text=True, check=True)
    rendered = [each for each in yaml.safe_load_all(built.stdout) if each]
    assert len(rendered) == len(documents()) + 1, "the base's documents and Mosquitto's ConfigMap"
    for document in rendered:
        validate(document, version)
        if document["kind"] != "Namespace":
            assert document["metadata"]["namespace"] == "sonde"
    config = next(each for each in rendered if each["kind"] == "ConfigMap")
    assert config["data"]["acl"] == (DEPLOY / "mosquitto" / "acl").read_text()
    assert config["metadata"]["name"] in built.stdout.split("kind: Deployment", 1)[1]


def test_the_namespace_enforces_restricted_pods() -> None:
    (namespace,) = of_kind("Namespace").values()
    assert namespace["metadata"]["name"] == kustomization()["namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("pod", each_pod())
def test_a_pod_is_restricted(pod: Document) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    spec = pod["spec"]
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        assert not spec.get(shared)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] >= USER
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert spec["automountServiceAccountToken"] is False
    for volume in spec["volumes"]:
        assert set(volume) - {"name"} <= {"configMap", "emptyDir", "secret", "projected", "downwardAPI"}


@pytest.mark.parametrize(("pod", "container"), each_container())
def test_a_container_is_restricted(pod: Document, container: Document) -> None:
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert not context.get("privileged")
    assert context.get("runAsUser", USER) >= USER
    assert not any("hostPort" in port for port in container.get("ports", ()))


@pytest.mark.parametrize(("pod", "container"), each_container())
def test_a_container_has_probes_and_limits(pod: Document, container: Document) -> None:
    assert {"startupProbe", "livenessProbe"} <= set(container)
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize(("pod", "container"), each_container())
def test_what_a_container_refers_to_is_there(pod: Document, container: Document) -> None:
    volumes = {each["name"] for each in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    ports = {port["name"] for port in container.get("ports", ())}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        for how in ("httpGet", "tcpSocket"):
            if how in container.get(probe, {}):
                assert container[probe][how]["port"] in ports
    read_only = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert len(read_only) == len(set(read_only))


@pytest.mark.parametrize("pod", each_pod())
def test_every_volume_is_used_and_every_config_map_is_made(pod: Document) -> None:
    mounted = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
    assert {each["name"] for each in pod["spec"]["volumes"]} == mounted
    generators = yaml.safe_load((DEPLOY / "mosquitto" / "kustomization.yaml").read_text())[
        "configMapGenerator"
    ]
    made = {each["name"] for each in generators}
    assert {each["configMap"]["name"] for each in pod["spec"]["volumes"] if "configMap" in each} <= made
    for generator in generators:
        assert all((DEPLOY / "mosquitto" / each).is_file() for each in generator["files"])


def test_every_secret_is_made_by_a_command_in_the_readme_with_the_keys_that_are_read() -> None:
    readme = (DEPLOY / "README.md").read_text()
    for pod in pods().values():
        for volume in pod["spec"]["volumes"]:
            if "secret" not in volume:
                continue
            name = volume["secret"]["secretName"]
            command = readme.partition(f"create secret generic {name} ")[2].partition("kubectl")[0]
            for container in containers(pod):
                for mount in container["volumeMounts"]:
                    if mount["name"] == volume["name"]:
                        for key in keys_read(container, mount["mountPath"]):
                            assert f"--from-file={key}=" in command, (name, key)


def keys_read(container: Document, directory: str) -> set[str]:
    """The files in a mounted secret that a container is told of."""
    told = [*container.get("args", ()), *(each.get("value", "") for each in container.get("env", ()))]
    if container["image"].startswith("eclipse-mosquitto"):
        told += (DEPLOY / "mosquitto" / "mosquitto.conf").read_text().split()
    keys = {each.partition(f"{directory}/")[2] for each in told if f"{directory}/" in each}
    assert keys, f"{container['name']} mounts {directory} and reads nothing there"
    return keys


def test_a_service_and_a_budget_select_pods_that_have_their_ports() -> None:
    for service in of_kind("Service").values():
        (pod,) = selected(service["spec"]["selector"])
        ports = {port["name"] for container in containers(pod) for port in container.get("ports", ())}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for budget in of_kind("PodDisruptionBudget").values():
        (pod,) = selected(budget["spec"]["selector"]["matchLabels"])
    for policy in of_kind("NetworkPolicy").values():
        assert policy["spec"]["podSelector"] == {} or selected(policy["spec"]["podSelector"]["matchLabels"])


def selected(labels: dict[str, str]) -> list[Document]:
    return [pod for pod in pods().values() if labels.items() <= pod["metadata"]["labels"].items()]


def test_a_budget_leaves_room_to_drain_a_node() -> None:
    for name, budget in of_kind("PodDisruptionBudget").items():
        assert budget["spec"]["minAvailable"] < of_kind("Deployment")[name]["spec"]["replicas"]


def test_a_workload_selects_its_own_pods_and_everything_is_labelled() -> None:
    for name, deployment in of_kind("Deployment").items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert set(labels) >= LABELS, name
        assert set(deployment["metadata"]["labels"]) >= LABELS
        assert deployment["spec"].get("strategy", {}).get("type", "RollingUpdate") in STRATEGIES


def test_network_policies_open_the_ports_that_pods_have() -> None:
    for policy in of_kind("NetworkPolicy").values():
        if "ingress" not in policy["spec"]:
            continue
        (pod,) = selected(policy["spec"]["podSelector"]["matchLabels"])
        ports = {
            port["containerPort"] for container in containers(pod) for port in container.get("ports", ())
        }
        opened = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        assert opened == ports


def test_every_pod_that_may_not_talk_by_default_is_let_to_the_bus_and_to_names() -> None:
    policies = of_kind("NetworkPolicy")
    assert policies["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (bus,) = of_kind("Service")["mosquitto"]["spec"]["ports"]
    for name in ("broker", "shop"):
        opened = [port["port"] for rule in policies[name]["spec"]["egress"] for port in rule["ports"]]
        assert opened == [bus["port"]]
        allowed = policies["mosquitto"]["spec"]["ingress"][0]["from"]
        labels = pods()[name]["metadata"]["labels"]
        assert any(each["podSelector"]["matchLabels"].items() <= labels.items() for each in allowed)


def test_values_with_a_closed_list_are_from_it() -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, each in value.items():
                if key in ENUMS:
                    assert set(each if isinstance(each, list) else [each]) <= ENUMS[key], key
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(list(documents()))


def test_the_sidecar_is_a_native_one_and_shares_its_socket_in_memory() -> None:
    pod = pods()["shop"]
    (sidecar,) = pod["spec"]["initContainers"]
    (shop,) = pod["spec"]["containers"]
    assert sidecar["restartPolicy"] == "Always"
    assert pod["spec"]["shareProcessNamespace"] is True
    environment = {each["name"]: each.get("value") for each in shop["env"]}
    address = link.SidecarAddress.parse(environment[link.SIDECAR_VARIABLE])
    assert f"--listen={address}" in sidecar["args"]
    assert f"--token-file={environment[link.TOKEN_FILE_VARIABLE]}" in sidecar["args"]
    (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == "run"]
    assert volume["emptyDir"]["medium"] == "Memory"
    for container in (sidecar, shop):
        (mount,) = [each for each in container["volumeMounts"] if each["name"] == "run"]
        assert address.path is not None
        assert address.path.startswith(mount["mountPath"] + "/")
    assert not any(each["name"] == "secrets" for each in shop["volumeMounts"]), (
        "the bus's password stays outside"
    )


def test_every_image_has_a_tag() -> None:
    tagged = {each["name"]: each["newTag"] for each in kustomization()["images"]}
    for pod in pods().values():
        for container in containers(pod):
            image = container["image"]
            assert ":" in image or image in tagged
            assert not image.endswith(":latest")
