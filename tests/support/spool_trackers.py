"""What the workers of a story send to, which can be killed and comes back at the same address."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from tests.support.distributed.fleet import Fleet, FleetSettings, Process, RoleName
from tests.support.server_process import ServerProcess
from tests.support.stack import StackForTest

WATCHDOG_S: Final = 900.0


class Tracker(Protocol):
    """Made running."""

    url: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What workers and command line are told beside the address."""
        ...

    @property
    def is_up(self) -> bool:
        """False between :meth:`kill` and :meth:`start`."""
        ...

    def start(self) -> None:
        """Come back, unless it is there."""
        ...

    def kill(self) -> None:
        """Kill it, as ``kill -9`` does."""
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...


class FileTracker:
    """``runfold up`` over a file."""

    environment: Mapping[str, str] = {}

    def __init__(self, home: Path) -> None:
        self._home = home
        self._server: ServerProcess | None = None
        self._port = 0
        self.url = ""
        self.start()

    @property
    def is_up(self) -> bool:
        return self._server is not None

    def start(self) -> None:
        if self._server is None or self._server.process.poll() is not None:
            self._server = ServerProcess(self._home, port=self._port, stop_s=1.0, life_s_max=WATCHDOG_S)
            self.url = self._server.ready()
            self._port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        if self._server is not None:
            self._server.process.kill()
            self._server.wait()
            self._server = None

    def close(self) -> None:
        self.kill()


class KafkaTracker:
    """Roles over Kafka and Postgres; workers send values to Kafka. API and decider are killed, and the broker too."""

    def __init__(self, stack: StackForTest, folder: Path) -> None:
        self._fleet = Fleet(stack, folder, FleetSettings(partitions=4, lease_s=3.0))
        self._broker = stack.servers.kafka
        asyncio.run(self._fleet.prepare())
        asyncio.run(self._fleet.start("projector"))
        self._killed: dict[RoleName, Process] = {}
        self._is_up = False
        self.start()
        self.url = self._fleet.api_url

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "RUNFOLD_VALUES_BY": "kafka",
            "RUNFOLD_KAFKA": self._fleet.stack.kafka,
            "RUNFOLD_KAFKA_PREFIX": self._fleet.kafka_settings.prefix,
        }

    @property
    def is_up(self) -> bool:
        return self._is_up

    def start(self) -> None:
        self._broker.start()
        for role in ("decider", "api"):
            if not self._fleet.roles[role]:
                asyncio.run(self._fleet.start(role))
        self._is_up = True

    def kill(self) -> None:
        self.kill_roles("api", "decider")
        self._is_up = False

    def kill_roles(self, *roles: RoleName) -> None:
        """Kill some; :meth:`start` brings them back."""
        for role in roles:
            for process in self._fleet.roles[role]:
                process.kill()
            self._fleet.roles[role].clear()

    def restart_broker(self) -> None:
        """Kill the broker and start it again."""
        self._broker.kill()
        self._broker.start()

    def close(self) -> None:
        self._fleet.kill_all()
