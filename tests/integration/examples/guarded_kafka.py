"""A broker that lets in nobody whom the page for teams does not name, with the access that the page names."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from confluent_kafka import admin
from msgspec import Struct

from runfold_services.stack import jars
from runfold_services.stack.folders import Folder, Plan, new_cluster_id, new_password
from runfold_services.stack.kafka import KafkaServer
from runfold_services.stack.ports import HOST, free_ports
from runfold_services.stack.settings import settings_from_environment
from tests.integration.examples.world import until
from tests.support.repository import ROOT
from tests.support.stack import say_nothing

kafka_admin: Final[Any] = admin  # what it re-exports is not declared so
PAGE: Final = ROOT / "docs" / "integration.md"
WAIT_S: Final = 100.0
ROLES: Final = {
    "decider": "decider",
    "relay": "relay",
    "a team that follows events": "follower",
    "a team that sends commands": "sender",
}
_KINDS: Final = {"topic": kafka_admin.ResourceType.TOPIC, "group": kafka_admin.ResourceType.GROUP}


class Access(Struct, frozen=True):
    """One operation that one user may do."""

    user: str
    kind: str
    name: str
    is_prefix: bool
    operation: str


def documented(names: dict[str, str]) -> list[Access]:
    """The table of the page; ``names`` are the test's own topics and groups for what the page calls them."""
    text = PAGE.read_text("utf-8").partition("\n## Access\n")[2].partition("\n## ")[0]
    found: list[Access] = []
    role = ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 3 or cells[1] == "resource" or set(cells[0]) == {"-"}:
            continue
        role = cells[0] or role
        user = ROLES.get(role)
        if user is None:
            continue
        name, is_prefix = names[f"{user}: {cells[1]}"], "prefixed" in cells[1]
        kind = "group" if "group" in cells[1] else "topic"
        for operation in re.findall(r"[A-Z]\w+", cells[2].partition(", where")[0]):
            found += [Access(user, kind, name, is_prefix, operation)] if operation not in {"Create"} else []
    return found


class GuardedKafka(KafkaServer):
    """A second listener, for clients that say who they are and may do what they were granted."""

    def __init__(self, folder: Folder, plan: Plan, port: int) -> None:
        settings = settings_from_environment()
        jars.fetch(settings.cache, settings.certificates, say_nothing)
        super().__init__(folder, plan, settings.environment, jars=jars.jars_folder(settings.cache))
        self._port = port

    def _prepare(self) -> None:
        super()._prepare()
        plan = self.plan
        listeners = (
            f"CLIENTS://{HOST}:{plan.kafka_port},GUARDED://{HOST}:{self._port},"
            f"CONTROLLER://{HOST}:{plan.controller_port}"
        )
        users = " ".join(f'user_{user}="{user}-secret"' for user in ROLES.values())
        more = {
            "listeners": listeners,
            "advertised.listeners": listeners,
            "listener.security.protocol.map": "CLIENTS:PLAINTEXT,GUARDED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.guarded.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain."
            f"PlainLoginModule required {users};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",  # whoever comes by the other listener
        }
        # Of a property that is given twice the last counts.
        with self._settings_file.open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in more.items())


class Guarded:
    """The broker as its owner sees it, and the address for everybody else."""

    def __init__(self, owner: str, address: str) -> None:
        self.address = address
        self.admin: Any = kafka_admin.AdminClient({"bootstrap.servers": owner})

    def grant(self, accesses: list[Access]) -> None:
        """Allow these, and nothing else."""
        for future in self.admin.create_acls([_binding(access) for access in accesses]).values():
            future.result(WAIT_S)
        until(lambda: self._granted() >= len(accesses), "the broker has heard of the grants")

    def _granted(self) -> int:
        anything = kafka_admin.AclBindingFilter(
            kafka_admin.ResourceType.ANY,
            None,
            kafka_admin.ResourcePatternType.ANY,
            None,
            None,
            kafka_admin.AclOperation.ANY,
            kafka_admin.AclPermissionType.ANY,
        )
        return len(self.admin.describe_acls(anything).result(WAIT_S))


def _binding(access: Access) -> Any:
    return kafka_admin.AclBinding(
        _KINDS[access.kind],
        access.name,
        kafka_admin.ResourcePatternType.PREFIXED
        if access.is_prefix
        else kafka_admin.ResourcePatternType.LITERAL,
        f"User:{access.user}",
        "*",
        getattr(kafka_admin.AclOperation, re.sub(r"(?<!^)(?=[A-Z])", "_", access.operation).upper()),
        kafka_admin.AclPermissionType.ALLOW,
    )


@contextmanager
def guarded_kafka(path: Path) -> Generator[Guarded]:
    """Such a broker, as a process, until the end of the block."""
    ports = free_ports(4)
    plan = Plan(
        source="packages",
        host=HOST,
        kafka_port=ports[0],
        controller_port=ports[1],
        postgres_port=ports[2],
        password=new_password(),
        cluster_id=new_cluster_id(),
        kafka_heap_mb=256,
    )
    server = GuardedKafka(Folder(path), plan, ports[3])
    try:
        server.start()
        yield Guarded(f"{HOST}:{ports[0]}", f"{HOST}:{ports[3]}")
    finally:
        server.kill()
