"""As much of kustomize as deploy/kubernetes uses, since the program itself is in no package registry of ours.

What it does not know is refused, so that nothing it leaves out can pass unseen.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct

Resource = dict[str, Any]

KIND_OF: Final = {
    "Kustomization": "kustomize.config.k8s.io/v1beta1",
    "Component": "kustomize.config.k8s.io/v1alpha1",
}
KEYS: Final = frozenset(
    {
        "apiVersion",
        "kind",
        "resources",
        "components",
        "namespace",
        "images",
        "configMapGenerator",
        "patches",
    }
)
NOT_IN_A_NAMESPACE: Final = frozenset({"Namespace"})


class NotUnderstood(Exception):
    """A kustomization says what this module does not know, or what cannot be done."""


class _Built(Struct):
    resources: list[Resource]
    generated: dict[str, Resource]


def build(folder: Path) -> list[Resource]:
    """The resources that ``kubectl apply -k FOLDER`` would apply; generated names have no hash here."""
    built = _build(folder)
    return [*built.resources, *built.generated.values()]


def documents(path: Path) -> list[Resource]:
    """The YAML documents of a file."""
    return [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document is not None]


def _build(folder: Path) -> _Built:
    said = _kustomization(folder, "Kustomization")
    built = _Built([], {})
    for name in said.get("resources", ()):
        path = (folder / name).resolve()
        if path.is_dir():
            below = _build(path)
            built.resources += below.resources
            built.generated |= below.generated
        else:
            built.resources += documents(path)
    _transform(folder, said, built)
    for name in said.get("components", ()):
        component = (folder / name).resolve()
        _transform(component, _kustomization(component, "Component"), built)
    return built


def _kustomization(folder: Path, kind: str) -> Mapping[str, Any]:
    path = folder / "kustomization.yaml"
    (said,) = documents(path)
    unknown = set(said) - KEYS
    if unknown or said.get("kind") != kind or said.get("apiVersion") != KIND_OF[kind]:
        raise NotUnderstood(f"{path}: not a {kind} of the form used here, or unknown keys: {sorted(unknown)}")
    return said


def _transform(folder: Path, said: Mapping[str, Any], built: _Built) -> None:
    for generator in said.get("configMapGenerator", ()):
        _generate(generator, built.generated)
    for patch in said.get("patches", ()):
        _patch(folder, patch, built.resources)
    for resource in [*built.resources, *built.generated.values()]:
        if "namespace" in said and resource["kind"] not in NOT_IN_A_NAMESPACE:
            resource["metadata"]["namespace"] = said["namespace"]
        _set_images(resource, said.get("images", ()))


def _generate(generator: Mapping[str, Any], generated: dict[str, Resource]) -> None:
    name, behavior = generator["name"], generator.get("behavior", "create")
    if set(generator) - {"name", "behavior", "literals"} or behavior not in {"create", "merge"}:
        raise NotUnderstood(f"configMapGenerator {name}: only literals, created or merged")
    if (behavior == "merge") != (name in generated):
        raise NotUnderstood(f"configMapGenerator {name}: cannot {behavior}")
    empty = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {}}
    config = generated.setdefault(name, empty)
    for literal in generator["literals"]:
        key, _, value = literal.partition("=")
        config["data"][key] = value


def _patch(folder: Path, patch: Mapping[str, Any], resources: Iterable[Resource]) -> None:
    target = patch["target"]
    if set(patch) != {"path", "target"} or set(target) - {"kind", "name"}:
        raise NotUnderstood(f"{folder}: a patch has a path and a target by kind and name; got {patch}")
    operations: Any = yaml.safe_load((folder / patch["path"]).read_text("utf-8"))
    chosen = [
        resource
        for resource in resources
        if all(re.fullmatch(wanted, _field(resource, name)) for name, wanted in target.items())
    ]
    if not chosen:
        raise NotUnderstood(f"{folder / patch['path']}: nothing is {target}")
    for resource in chosen:
        for operation in operations:
            _apply(resource, operation)


def _field(resource: Resource, name: str) -> str:
    value: str = resource["kind"] if name == "kind" else resource["metadata"]["name"]
    return value


def _apply(resource: Resource, operation: Mapping[str, Any]) -> None:
    """One operation of RFC 6902: ``add`` or ``replace``."""
    *way, last = operation["path"].lstrip("/").split("/")
    try:
        place = inside(resource, way)
        value = copy.deepcopy(operation["value"])
        key: Any = int(last) if last.isdigit() else last
        if operation["op"] == "replace":
            place[key]  # what is replaced must be there
            place[key] = value
        elif operation["op"] == "add" and key == "-":
            place.append(value)
        elif operation["op"] == "add" and not isinstance(key, int):
            place[key] = value
        else:
            raise NotUnderstood(f"operation {operation['op']} at {operation['path']}")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise NotUnderstood(f"{_field(resource, 'name')} has no {operation['path']}") from error


def inside(resource: Resource, way: Iterable[str]) -> Any:
    """What stands in a resource at the end of a way of names and numbers."""
    place: Any = resource
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    return place


def _set_images(resource: Resource, images: Iterable[Mapping[str, str]]) -> None:
    for image in images:
        for container in containers(resource):
            if container["image"] == image["name"]:
                container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"


def pod_of(resource: Resource) -> dict[str, Any] | None:
    """The pod's specification, of whatever makes pods."""
    template = resource.get("spec", {}).get("template")
    return None if template is None else template["spec"]


def containers(resource: Resource) -> list[dict[str, Any]]:
    """All containers of whatever makes pods."""
    pod = pod_of(resource)
    return [] if pod is None else [*pod.get("initContainers", ()), *pod["containers"]]
