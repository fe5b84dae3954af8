"""The documents of deploy/, read for the tests beside this file."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
USER = 10_000
"""The lowest user id that is not likely to be somebody's on the node."""

Document = dict[str, Any]


@cache
def kustomization() -> Document:
    document: Document = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    return document


@cache
def documents() -> tuple[Document, ...]:
    """Of every file that the base lists."""
    found: list[Document] = []
    for name in kustomization()["resources"]:
        if name.endswith(".yaml"):
            found += [each for each in yaml.safe_load_all((BASE / name).read_text()) if each]
    return tuple(found)


def of_kind(kind: str) -> dict[str, Document]:
    return {each["metadata"]["name"]: each for each in documents() if each["kind"] == kind}


def pods() -> dict[str, Document]:
    """Pod templates by the name of their workload."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]
        for each in documents()
        if each["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}
    }


def containers(pod: Document) -> Iterator[Document]:
    yield from pod["spec"].get("initContainers", ())
    yield from pod["spec"]["containers"]


def named(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"
