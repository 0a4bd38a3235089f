"""What deploy/ starts is what the code is: commands, settings, ports, versions, deadlines, names."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from runfold_events.contract import limits
from runfold_services.kafka_settings import KafkaSettings, kafka_settings_from_environment
from runfold_services.metrics import DECLARED
from runfold_services.process import STUCK_S_MAX
from runfold_services.serve import PORTS, ROLES
from runfold_services.settings import ServerSettings
from runfold_services.stack.containers import POSTGRES_IMAGE, kafka_image
from tests.deploy.commands import refusal
from tests.deploy.deployments import (
    APPLIED,
    COMPOSE,
    DEPLOY,
    IMAGE,
    KUBERNETES,
    Process,
    compose,
    dockerfile,
    processes,
    settings_in_code,
    settings_in_deploy,
)
from tests.deploy.kustomize import build, pod_of
from tests.support.repository import ROOT

pytestmark = pytest.mark.source_tree

OWNERS = {"prepare", "administration"}
PROCESSES = processes()
PORT_OF: dict[str, int] = {str(role): port for role, port in PORTS.items()}
STARTED = [started for started in PROCESSES if started.command]
IDS = [f"{started.where}-{started.name}" for started in PROCESSES]
STARTED_IDS = [f"{started.where}-{started.name}" for started in STARTED]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]


def process(where: str, name: str) -> Process:
    (found,) = (p for p in PROCESSES if (p.where, p.name) == (where, name))
    return found


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────


def unknown_settings(names: set[str]) -> set[str]:
    return names - settings_in_code()


def test_the_code_reads_every_setting_that_deploy_mentions() -> None:
    assert len(settings_in_deploy()) > 10
    assert unknown_settings(settings_in_deploy()) == set()


def test_a_misspelt_setting_is_noticed() -> None:
    assert unknown_settings({"RUNFOLD_LOG", "RUNFOLD_LOGS"}) == {"RUNFOLD_LOGS"}


@pytest.mark.parametrize("started", PROCESSES, ids=IDS)
def test_settings_of_kafka_have_values_that_they_can_have(started: Process) -> None:
    given = {name: "x" if value is None else value for name, value in started.environment.items()}

    settings = kafka_settings_from_environment(given)

    assert (settings is not None) == (started.name in {"decider", "relay", "administration"})


@pytest.mark.parametrize("started", PROCESSES, ids=IDS)
def test_no_service_knows_the_owner(started: Process) -> None:
    assert ("RUNFOLD_POSTGRES_OWNER" in started.environment) == (started.name in OWNERS)
    assert ("RUNFOLD_POSTGRES" in started.environment) == (started.name != "prepare")
    assert (started.command[:1] == ("serve",)) == (started.name not in OWNERS)


def test_the_owner_of_the_compose_file_is_not_whom_services_log_in_as() -> None:
    owner = str(process("compose", "prepare").environment["RUNFOLD_POSTGRES_OWNER"])
    services = {str(process("compose", role).environment["RUNFOLD_POSTGRES"]) for role in ROLES}

    assert "OWNER_PASSWORD" in owner
    assert len(services) == 1
    assert "runfold_service:" in services.pop()


def test_the_example_of_secrets_names_what_the_compose_file_asks_for() -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE.read_text("utf-8")))
    example = (COMPOSE.parent / "secrets.env.example").read_text("utf-8")

    assert set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)) == asked
    assert re.findall(r"^[A-Z_]+=.+", example, re.MULTILINE) == [], "an example holds no secret"


# ── commands and ports ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("started", STARTED, ids=STARTED_IDS)
def test_the_command_is_one_that_the_program_takes(started: Process) -> None:
    assert refusal(started.command) is None


@pytest.mark.parametrize(
    "words", [["serve", "decidr"], ["serve", "api", "--prot", "8765"], ["ledger", "check", "x"], ["ledger"]]
)
def test_a_command_that_the_program_does_not_take_is_noticed(words: Sequence[str]) -> None:
    assert refusal(words) is not None


@pytest.mark.parametrize("where", ["compose", "overlays/small", "overlays/production"])
def test_every_role_is_started(where: str) -> None:
    assert {p.command[1] for p in STARTED if p.where == where and p.command[0] == "serve"} == set(ROLES)


def wrong_ports(started: Process) -> frozenset[int]:
    """Ports that are published or probed and are not the process's own."""
    return (started.published | started.probed) - {started.port}


@pytest.mark.parametrize("started", STARTED, ids=STARTED_IDS)
def test_published_and_probed_is_the_port_of_the_process(started: Process) -> None:
    assert wrong_ports(started) == set()
    assert started.command[0] != "serve" or started.port == PORT_OF[started.command[1]]
    if started.where.startswith("overlays"):
        assert started.probed == started.published == {started.port}


def test_a_wrong_port_is_noticed() -> None:
    started = process("overlays/small", "relay")

    assert wrong_ports(replace(started, probed=frozenset({8765}))) == {8765}


def test_the_image_looks_for_health_at_the_ports_of_the_roles() -> None:
    said = dockerfile()
    ports = {str(port) for port in PORTS.values()}

    assert set(re.findall(r'"(\d{4})"', said["HEALTHCHECK"][0])) == ports
    assert set(said["EXPOSE"][0].split()) == ports


# ── the image ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_image_runs_without_rights_and_stops_when_told() -> None:
    said = dockerfile()

    assert said["STOPSIGNAL"] == ["SIGTERM"]
    assert said["ENTRYPOINT"] == ['["runfold"]']
    assert said["USER"][-1].split(":")[0] not in {"0", "root"}
    assert not [name for name in settings_in_deploy() if f"{name}=" in " ".join(said.get("ENV", []))
                and re.search("TOKEN|PASSWORD|POSTGRES", name)]  # fmt: skip


def test_every_process_is_of_the_image_of_this_version() -> None:
    assert {p.image.rpartition(":")[2] for p in PROCESSES} == {VERSION}
    assert f'org.opencontainers.image.version="{VERSION}"' in dockerfile()["LABEL"][0]


def test_the_engines_are_the_ones_that_the_tests_run_on() -> None:
    others = {s["image"] for s in compose()["services"].values() if not IMAGE.fullmatch(s["image"])}

    assert others == {kafka_image(), POSTGRES_IMAGE}


# ── kubernetes ────────────────────────────────────────────────────────────────────────────────────────────


def makers(folder: str) -> list[dict[str, Any]]:
    return [r for r in build(KUBERNETES / folder) if pod_of(r) is not None]


@pytest.mark.parametrize("folder", APPLIED)
def test_pods_may_run_where_the_strictest_standard_holds(folder: str) -> None:
    for resource in makers(folder):
        pod = pod_of(resource) or {}
        (container,) = pod["containers"]
        own = container["securityContext"]

        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("folder", ["overlays/small", "overlays/production"])
def test_pods_get_the_time_that_a_stop_takes(folder: str) -> None:
    drain_s = ServerSettings().stop_s + STUCK_S_MAX
    for resource in makers(folder):
        pod = pod_of(resource) or {}
        if "args" not in pod["containers"][0]:
            continue  # nothing is under way in a pod that only waits for somebody
        before_s = (
            pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        )

        assert pod["terminationGracePeriodSeconds"] > before_s + drain_s


def test_containers_of_compose_get_the_time_that_a_stop_takes() -> None:
    for service in compose()["services"].values():
        assert float(service["stop_grace_period"].removesuffix("s")) > ServerSettings().stop_s + STUCK_S_MAX


@pytest.mark.parametrize("folder", ["overlays/small", "overlays/production"])
def test_deciders_have_names_that_outlive_a_restart(folder: str) -> None:
    (decider,) = (r for r in makers(folder) if r["metadata"]["name"] == "runfold-decider")
    (container,) = (pod_of(decider) or {})["containers"]
    (instance,) = (e for e in container["env"] if e["name"] == "RUNFOLD_KAFKA_INSTANCE_ID")

    assert decider["kind"] == "StatefulSet"
    assert instance["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_selectors_find_the_pods_that_they_are_for() -> None:
    resources = build(KUBERNETES / "overlays" / "production")
    pods = [r["spec"]["template"]["metadata"]["labels"] for r in makers("overlays/production")]
    selecting = [r for r in resources if r["kind"] in {"Service", "PodDisruptionBudget", "PodMonitor"}]
    found: dict[tuple[str, str], int] = {}
    for resource in selecting:
        wanted = resource["spec"]["selector"]
        wanted = wanted.get("matchLabels", wanted)
        found[resource["kind"], resource["metadata"]["name"]] = sum(
            wanted.items() <= pod.items() for pod in pods
        )

    assert found.pop(("PodMonitor", "runfold")) == len(ROLES) + 1, "the administration has no port there"
    assert set(found.values()) == {1}
    assert len(found) == len(ROLES) + 2


def test_what_is_scaled_exists_and_its_lag_is_that_of_the_deciders() -> None:
    resources = build(KUBERNETES / "overlays" / "production")
    settings = KafkaSettings(bootstrap_servers="x")
    there = {(r["kind"], r["metadata"]["name"]) for r in resources}
    scaled = [r for r in resources if r["kind"] in {"ScaledObject", "HorizontalPodAutoscaler"}]
    targets = {(r["spec"]["scaleTargetRef"]["kind"], r["spec"]["scaleTargetRef"]["name"]) for r in scaled}
    (decider,) = (r for r in scaled if r["metadata"]["name"] == "runfold-decider")
    (trigger,) = decider["spec"]["triggers"]

    assert targets <= there
    assert len(targets) == len(ROLES)
    assert trigger["metadata"]["consumerGroup"] == settings.group
    assert trigger["metadata"]["topic"] == settings.commands_topic
    assert decider["spec"]["maxReplicaCount"] == limits.PARTITIONS_SERVER_DEFAULT


def unknown_metrics(resources: list[dict[str, Any]]) -> set[str]:
    """Metrics that something is scaled by and no process tells."""
    return set(re.findall(r"\brunfold_\w+", str(resources))) - {declared.full_name for declared in DECLARED}


def test_what_is_scaled_by_a_metric_names_one_that_there_is() -> None:
    scaled = [r for r in build(KUBERNETES / "overlays" / "production") if r["kind"] == "ScaledObject"]

    assert "runfold_projector_lag_positions" in str(scaled)
    assert unknown_metrics(scaled) == set()
    assert unknown_metrics([{"query": "sum(runfold_relay_lags)"}]) == {"runfold_relay_lags"}


def test_the_readme_says_which_secrets_and_certificates_to_make() -> None:
    wanted: set[str] = set()
    for folder in APPLIED:
        text = str(build(KUBERNETES / folder))
        wanted |= set(re.findall(r"'secret(?:KeyRef': \{'name|Name)': '([a-z-]+)'", text))
        wanted |= set(re.findall(r"'configMap': \{'name': '([a-z-]+)'", text))
    readme = (DEPLOY / "README.md").read_text("utf-8")

    assert {"runfold-postgres-owner", "runfold-postgres", "runfold-tokens", "runfold-kafka-ca"} <= wanted
    assert {name for name in wanted if name not in readme} == set()
