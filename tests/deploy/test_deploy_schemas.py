"""What cannot run here has at least the form that its engines ask for; each check has to notice a mistake."""

from __future__ import annotations

import copy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.deploy.custom_resources import FORMS
from tests.deploy.deployments import APPLIED, COMPOSE, DOCKERFILE, KUBERNETES, compose
from tests.deploy.kustomize import NotUnderstood, Resource, build, inside
from tests.support.repository import script

pytestmark = pytest.mark.source_tree

# The oldest one that its makers still mend when this was written, and the newest one known.
VERSIONS = ("1.34", kubernetes_validate.latest_version())


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=100, check=False
    )


# ── the image ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_dockerfile_satisfies_its_linter() -> None:
    done = run(script("hadolint"), DOCKERFILE)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_notices_a_base_image_without_a_tag(tmp_path: Path) -> None:
    careless = tmp_path / "Dockerfile"
    careless.write_text("FROM python\nRUN cd /tmp\n", "utf-8")

    done = run(script("hadolint"), careless)

    assert done.returncode != 0
    assert "DL3006" in done.stdout


# ── compose ───────────────────────────────────────────────────────────────────────────────────────────────


def check_compose(path: Path) -> subprocess.CompletedProcess[str]:
    return run(script("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", path)


def test_the_compose_file_has_the_form_of_one() -> None:
    done = check_compose(COMPOSE)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_misspelt_key_of_the_compose_file_is_noticed(tmp_path: Path) -> None:
    said = compose()
    said["services"]["api"]["helthcheck"] = {"disable": True}
    path = tmp_path / "compose.yaml"
    path.write_text(yaml.safe_dump(said), "utf-8")

    done = check_compose(path)

    assert done.returncode != 0
    assert "helthcheck" in done.stdout + done.stderr


# ── kubernetes ────────────────────────────────────────────────────────────────────────────────────────────


def complaints(resource: Resource, version: str) -> str | None:
    """What is wrong with a resource; None when nothing is."""
    try:
        if resource["kind"] in FORMS:
            jsonschema.validate(resource, FORMS[resource["kind"]])
        else:
            kubernetes_validate.validate(resource, version, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        return f"{resource['kind']} {resource['metadata']['name']}: {error.message}"
    return None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", APPLIED)
def test_every_resource_has_the_form_that_kubernetes_asks_for(folder: str, version: str) -> None:
    resources = build(KUBERNETES / folder)

    assert resources
    assert [said for r in resources if (said := complaints(r, version)) is not None] == []


MISTAKES: list[tuple[str, str, Any]] = [
    ("Deployment", "spec/template/spec/containers/0/readynessProbe", {}),
    ("Deployment", "spec/template/spec/terminationGracePeriodSeconds", "45s"),
    ("StatefulSet", "spec/podManagmentPolicy", "Parallel"),
    ("NetworkPolicy", "spec/egres", []),
    ("ScaledObject", "spec/maxReplicas", 3),
    ("PodMonitor", "spec/podMetricsEndpoints/0/prot", "http"),
]


@pytest.mark.parametrize(("kind", "place", "value"), MISTAKES)
def test_a_mistake_in_a_resource_is_noticed(kind: str, place: str, value: object) -> None:
    resource = copy.deepcopy(next(r for r in build(KUBERNETES / "overlays/production") if r["kind"] == kind))
    *way, last = place.split("/")
    inside(resource, way)[last] = value

    assert complaints(resource, VERSIONS[0]) is not None


# ── kustomize ─────────────────────────────────────────────────────────────────────────────────────────────


def test_every_file_is_used_by_some_kustomization() -> None:
    named: set[Path] = set()
    folders: list[Path] = [KUBERNETES / name for name in APPLIED]
    while folders:
        folder = folders.pop().resolve()
        path = folder / "kustomization.yaml"
        named.add(path)
        said = yaml.safe_load(path.read_text("utf-8"))
        entries = [*said.get("resources", ()), *said.get("components", ())]
        entries += [patch["path"] for patch in said.get("patches", ())]
        for place in ((folder / entry).resolve() for entry in entries):
            if place.is_dir():
                folders.append(place)
            else:
                named.add(place)

    assert named == {path.resolve() for path in KUBERNETES.rglob("*.yaml")}


def test_patches_and_overlays_change_what_they_name() -> None:
    small, production = (build(KUBERNETES / f"overlays/{name}") for name in ("small", "production"))

    def of(resources: list[Resource], name: str) -> Resource:
        kinds = {"ConfigMap", "Deployment"}
        (found,) = (r for r in resources if r["metadata"]["name"] == name and r["kind"] in kinds)
        return found

    def mounts(resources: list[Resource], name: str) -> list[str]:
        (container,) = of(resources, name)["spec"]["template"]["spec"]["containers"]
        return [mount["name"] for mount in container["volumeMounts"]]

    assert of(small, "runfold-kafka")["data"]["RUNFOLD_KAFKA_REPLICAS"] == "1"
    assert of(production, "runfold-kafka")["data"]["RUNFOLD_KAFKA_SECURITY"] == "SASL_SSL"
    assert mounts(small, "runfold-relay") == ["tmp"]
    assert mounts(production, "runfold-relay") == ["tmp", "kafka-ca"]
    assert {r["metadata"].get("namespace") for r in production} == {"runfold"}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    return tmp_path / "kubernetes"


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("overlays/small/kustomization.yaml", "patches:", "patchs:"),
        ("overlays/small/kustomization.yaml", "name: runfold-decider", "name: runfold-decidr"),
        ("overlays/small/less.yaml", "resources/requests", "resource/requests"),
        ("overlays/production/kustomization.yaml", "behavior: merge", "behavior: create"),
        ("release/kustomization.yaml", "kind: Component", "kind: Kustomization"),
    ],
)
def test_a_mistake_in_a_kustomization_is_noticed(copied: Path, path: str, old: str, new: str) -> None:
    text = (copied / path).read_text("utf-8")
    assert old in text
    (copied / path).write_text(text.replace(old, new), "utf-8")

    with pytest.raises(NotUnderstood):
        build(
            copied / "/".join(path.split("/")[:2])
            if path.startswith("overlays")
            else copied / "overlays/small"
        )
