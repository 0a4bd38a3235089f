"""A distributed set-up as users run it: real servers, one process of each role, all started with ``runfold serve``."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from msgspec import Struct

from benchmarks.cpu import cpu_s
from runfold_services.compose.admin import as_role, prepare_ledger
from runfold_services.kafka_settings import KafkaSettings
from runfold_services.stack import Progress, Stack, borrow, settings_from_environment

PARTITIONS: Final = 16
STOP_S: Final = 30.0
ROLES: Final = ("decider", "relay", "projector", "api")
_READY: Final = re.compile(r"runfold (?:\w+ )?ready at (http://\S+)\n")
_PID: Final = re.compile(r"(\d+)$")


class Standing(Struct, frozen=True):
    """How many events the store has, all views have folded, and the relay has noted as published."""

    stored: int
    folded: int
    published: int

    def has_reached(self, end: int) -> bool:
        return min(self.stored, self.folded, self.published) >= end


class Fleet:
    """A store, its topics and the processes around it."""

    def __init__(self, stack: Stack, owner_dsn: str) -> None:
        self.kafka: Final = stack.addresses.kafka
        self.postgres: Final = stack.addresses.postgres
        self.owner_dsn: Final = owner_dsn
        self.dsn: Final = as_role(owner_dsn, "runfold_service")
        self.settings: Final = KafkaSettings(
            bootstrap_servers=self.kafka, prefix=f"bench{secrets.token_hex(4)}"
        )
        self._stack = stack
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self.urls: dict[str, str] = {}

    def start(self) -> None:
        """One process of each role; returns when all are ready."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RUNFOLD_")}
        environment |= {
            "RUNFOLD_POSTGRES": self.dsn,
            "RUNFOLD_KAFKA": self.kafka,
            "RUNFOLD_KAFKA_PREFIX": self.settings.prefix,
        }
        words = [sys.executable, "-m", "runfold.cli.main", "serve"]
        for role in ROLES:
            self._processes[role] = subprocess.Popen(
                [*words, role, "--port", "0", "--log-level", "error"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
        for role, process in self._processes.items():
            line = process.stdout.readline() if process.stdout else ""
            found = _READY.fullmatch(line)
            if found is None:
                raise RuntimeError(f"the {role} did not start: {line!r}")
            self.urls[role] = found[1]

    def stop(self) -> None:
        """End all processes; what does not end in time is killed."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds by process; Postgres is all of its processes together."""
        pids = {role: process.pid for role, process in self._processes.items()}
        for part in (self._stack.kafka, self._stack.postgres):
            status = part.status()
            if found := _PID.search(status.where):  # of a container there is no process to look at
                pids["broker" if status.name == "kafka" else status.name] = int(found[1])
        return {name: cpu_s(pid) for name, pid in pids.items()}


class Watch:
    """Looks at how far everything is, as the owner of the database, in one statement."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection

    async def standing(self) -> Standing:
        found: Any = await self._connection.fetchrow(
            "SELECT (SELECT sum(next_pos) FROM runfold.partitions), "
            "(SELECT coalesce(min(ends.pos), 0) FROM (SELECT sum(pos) AS pos FROM runfold_views.view_checkpoints "
            "GROUP BY projection, version, generation) AS ends), "
            "(SELECT coalesce(sum(pos), 0) FROM runfold.published)"
        )
        return Standing(*(int(value) for value in found))

    async def reach(self, end: int, wait_s: float, poll_s: float = 0.02) -> None:
        """Wait until ``end`` events are stored, folded and published."""
        try:
            async with asyncio.timeout(wait_s):
                while not (await self.standing()).has_reached(end):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(poll_s)
        except TimeoutError:
            raise RuntimeError(f"after {wait_s:g} s: {await self.standing()}, wanted {end}") from None


@contextmanager
def fleet(stack_folder: Path, progress: Progress) -> Generator[Fleet]:
    """A fleet at work on the stack in a folder, which goes with the last that uses it."""
    with borrow(stack_folder, settings_from_environment(), progress) as stack:
        dsn = asyncio.run(new_database(stack.addresses.postgres))
        mine = Fleet(stack, dsn)
        try:
            mine.start()
            yield mine
        finally:
            mine.stop()


async def new_database(server_dsn: str) -> str:
    """The owner's DSN of a new database with an empty store."""
    name = f"bench_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(server_dsn)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    dsn = urlunsplit(urlsplit(server_dsn)._replace(path=f"/{name}"))
    await prepare_ledger(dsn, partitions=PARTITIONS)
    return dsn
