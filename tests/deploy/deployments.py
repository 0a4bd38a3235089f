"""deploy/ as data: every process that it starts, with its command, settings, ports and probes."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml
from msgspec import Struct

from tests.deploy.kustomize import Resource, build, containers
from tests.support.repository import PACKAGES, ROOT

DEPLOY: Final = ROOT / "deploy"
COMPOSE: Final = DEPLOY / "compose" / "compose.yaml"
DOCKERFILE: Final = DEPLOY / "image" / "Dockerfile"
KUBERNETES: Final = DEPLOY / "kubernetes"
APPLIED: Final = ("prepare", "overlays/small", "overlays/production")
IMAGE: Final = re.compile(r"(?:.*/)?runfold(?::.*)?")
SETTING: Final = re.compile(r"RUNFOLD_[A-Z_]*[A-Z]\b")


class Process(Struct, frozen=True):
    """One process of runfold that a file of deploy/ starts."""

    where: str
    name: str
    command: tuple[str, ...]  # none: it only waits for somebody to use it
    environment: Mapping[str, str | None]  # None: the value comes from elsewhere
    published: frozenset[int]  # inside of the container
    probed: frozenset[int]
    image: str

    @property
    def port(self) -> int | None:
        """Where the process listens, as its command says."""
        found = [b for a, b in zip(self.command, self.command[1:], strict=False) if a == "--port"]
        return int(found[0]) if found else None


def compose() -> dict[str, Any]:
    """The compose file, anchors resolved."""
    said: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))
    return said


def compose_processes(said: Mapping[str, Any]) -> Iterator[Process]:
    for name, service in said["services"].items():
        if IMAGE.fullmatch(service["image"]):
            yield Process(
                where="compose",
                name=name,
                command=tuple(service["command"]),
                environment=service.get("environment", {}),
                published=frozenset(int(port.split(":")[-1]) for port in service.get("ports", ())),
                probed=frozenset(),
                image=service["image"],
            )


def kubernetes_processes(where: str, resources: list[Resource]) -> Iterator[Process]:
    settings = {r["metadata"]["name"]: r["data"] for r in resources if r["kind"] == "ConfigMap"}
    for resource in resources:
        for container in containers(resource):
            environment: dict[str, str | None] = {}
            for source in container.get("envFrom", ()):
                environment |= settings[source["configMapRef"]["name"]]
            environment |= {entry["name"]: entry.get("value") for entry in container.get("env", ())}
            probes = [value for key, value in container.items() if key.endswith("Probe")]
            yield Process(
                where=where,
                name=container["name"],
                command=tuple(container.get("args", ())),
                environment=environment,
                published=frozenset(port["containerPort"] for port in container.get("ports", ())),
                probed=frozenset(probe["httpGet"]["port"] for probe in probes),
                image=container["image"],
            )


def processes() -> list[Process]:
    """All of them."""
    found = list(compose_processes(compose()))
    for name in APPLIED:
        found += kubernetes_processes(name, build(KUBERNETES / name))
    return found


def dockerfile() -> dict[str, list[str]]:
    """The Dockerfile's instructions, continuation lines joined: name → arguments, in order."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, arguments = line.partition(" ")
        found.setdefault(name, []).append(" ".join(arguments.split()))
    return found


@functools.cache
def settings_in_code() -> frozenset[str]:
    """Names of the environment that the packages read: whole texts such as ``"RUNFOLD_LOG"``."""
    found: set[str] = set()
    for package in PACKAGES.values():
        for path in package.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found |= {node.value} if SETTING.fullmatch(node.value) else set()
    return frozenset(found)


def settings_in_deploy() -> set[str]:
    """Names of the environment that any file of deploy/ for servers mentions, comments included."""
    folders = [DEPLOY / "image", DEPLOY / "compose", KUBERNETES]
    texts = [path.read_text("utf-8") for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {name for text in texts for name in SETTING.findall(text)}
