"""One distributed set-up of a test's own: store, topics, roles and workers of the load, each a process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from uuid import uuid4

import asyncpg
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from msgspec import Struct

from runfold_events.buses.kafka import Cluster, KafkaTopicAdmin
from runfold_projections.stores.postgres import create_views_schema
from runfold_services.kafka_settings import DAY_MS, KafkaSettings
from runfold_services.topics import commands_topic, ensure_topic, events_topic
from tests.support.distributed.checker import Place
from tests.support.distributed.topics import Topics
from tests.support.postgres_store import SERVICE_ROLE, as_service, make_store
from tests.support.repository import ROOT, script
from tests.support.stack import StackForTest, Template

RoleName = Literal["api", "decider", "relay", "projector"]
ROLES: Final[tuple[RoleName, ...]] = ("api", "decider", "relay", "projector")

READY_S_MAX: Final = 120.0
END_S_MAX: Final = 90.0
POLL_S: Final = 0.02
LEASE_S: Final = 3.0  # of roles that only this folder can start
SETTLE_S_MAX: Final = 300.0


PROGRESS: Final = """
SELECT p.next_offset, p.next_pos, coalesce(d.pos, 0), coalesce(v.pos, 0)
FROM runfold.partitions AS p LEFT JOIN runfold.published AS d USING (partition)
LEFT JOIN (
    SELECT partition, min(pos) AS pos
    FROM runfold_views.view_checkpoints JOIN runfold_views.view_generations
    USING (projection, version, generation) WHERE state = 'active' GROUP BY partition
) AS v USING (partition)
ORDER BY partition
"""


class Progress(NamedTuple):
    """By partition: the cursor in the log, the store's end, and how far it is published and folded."""

    offsets: list[int]
    ends: list[int]
    published: list[int]
    folded: list[int]

    @property
    def is_even(self) -> bool:
        """Everything stored is published and folded."""
        return self.published == self.ends == self.folded

    def has_reached(self, offsets: list[int], ends: list[int]) -> bool:
        """Cursor, topic and views are all at or beyond a place where log and store once ended."""
        pairs = ((self.offsets, offsets), (self.ends, ends), (self.published, ends), (self.folded, ends))
        return all(have >= want for mine, others in pairs for have, want in zip(mine, others, strict=True))


class Process:
    """A process of the fleet; what it says goes to a file."""

    def __init__(
        self, name: str, command: list[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("xb") as said:
            self._popen = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            )

    @property
    def is_alive(self) -> bool:
        """False once it has ended."""
        return self._popen.poll() is None

    @property
    def code(self) -> int | None:
        """The exit code once it has ended."""
        return self._popen.poll()

    async def ready(self) -> str:
        """Wait for its ready line."""
        end = time.monotonic() + READY_S_MAX
        while True:
            for line in self.log.read_text("utf-8", errors="replace").splitlines():
                if line.startswith("runfold") and " ready" in line:
                    return line
            assert self.is_alive, f"{self.name} ended: {self.last_words()}"
            assert time.monotonic() < end, f"{self.name} is not ready: {self.last_words()}"
            await asyncio.sleep(POLL_S)

    def last_words(self) -> str:
        """The end of what it said."""
        return self.log.read_text("utf-8", errors="replace")[-2_000:]

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._popen.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait until it is gone; its exit code."""
        if self.is_alive:
            self.send(number)
        end = time.monotonic() + END_S_MAX
        while self.is_alive:
            assert time.monotonic() < end, f"{self.name} does not end: {self.last_words()}"
            await asyncio.sleep(POLL_S)
        return self._popen.wait()

    def kill(self) -> None:
        """Make sure that it is gone, also if it was stopped."""
        if self.is_alive:
            self._popen.kill()
        self._popen.wait()


class Worker(Process):
    """A process of the load."""

    def __init__(
        self, name: str, module: str, rate: float, journal: Path, arguments: list[str], folder: Path
    ) -> None:
        arguments = [*arguments, "--journal", str(journal), "--rate", str(rate)]
        super().__init__(name, _module(module, *arguments), folder)
        self.module = module
        self.rate = rate
        self._journal = journal

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """As any process, once it has begun to work: before that it does not listen."""
        while self.is_alive and not self._has_begun():  # noqa: ASYNC110 - a process tells nobody
            await asyncio.sleep(POLL_S)
        return await super().end(number)

    def _has_begun(self) -> bool:
        return self._journal.exists() and self._journal.stat().st_size > 0


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"tests.support.distributed.{name}", *arguments]


class FleetSettings(Struct, frozen=True, kw_only=True):
    """How a fleet is made."""

    partitions: int = 16
    # Of groups and leases: how long the partitions of a process that is gone wait. None: roles are what `runfold serve`
    # starts, with its own; otherwise what this folder's `role` does.
    lease_s: float | None = None
    # Workers that send by Kafka send less while answers take longer than that. None: they send whatever happens.
    patience_s: float | None = 3.0
    events_settings: dict[str, str] = {}  # of the events topic, beside those that it must have
    events_retention_ms: int = 7 * DAY_MS


class Fleet:
    """Made by :func:`fleet_on`, which ends all of its processes."""

    def __init__(self, stack: StackForTest, folder: Path, settings: FleetSettings) -> None:
        self.stack = stack
        self.folder = folder
        self.journals = folder / "journals"
        self.settings = settings
        self.dsn = stack.database(_template(settings.partitions))
        self.kafka_settings = KafkaSettings(
            bootstrap_servers=stack.kafka,
            prefix=f"f{uuid4().hex[:10]}",
            events_retention_ms=settings.events_retention_ms,
        )
        self.replies = f"runfold.replies.{self.kafka_settings.prefix}"
        self.roles: dict[RoleName, list[Process]] = {role: [] for role in ROLES}
        self.workers: list[Worker] = []
        self.api_url = ""
        self._api_port = 0
        self._all: list[Process] = []

    async def prepare(self) -> None:
        """Make the topics."""
        self.journals.mkdir()
        await asyncio.to_thread(self._make_special_topics)
        admin = KafkaTopicAdmin(Cluster(bootstrap_servers=self.stack.kafka))
        partitions = self.settings.partitions
        try:
            await ensure_topic(admin, commands_topic(self.kafka_settings, partitions), makes=True)
            await ensure_topic(admin, events_topic(self.kafka_settings, partitions), makes=True)
        finally:
            await admin.stop()

    def _make_special_topics(self) -> None:
        topics = [NewTopic(self.replies, 1, 1)]
        if self.settings.events_settings:
            wanted = events_topic(self.kafka_settings, self.settings.partitions)
            settings = {**wanted.settings, **self.settings.events_settings}
            topics.append(NewTopic(wanted.name, wanted.partitions, 1, config=settings))
        # Named, since one that nobody holds answers nothing.
        admin: Any = AdminClient({"bootstrap.servers": self.stack.kafka, "log_level": 2})
        for made in admin.create_topics(topics).values():
            made.result(30)

    # Roles

    async def start(self, role: RoleName, *extra: str) -> Process:
        """Start one more process of a role and wait until it is ready."""
        process = Process(self._name(role), self._command(role, *extra), self.folder, self._environment())
        self._all.append(process)
        self.roles[role].append(process)
        ready = await process.ready()
        if role == "api":
            self.api_url = ready.rsplit(" ", 1)[1]
            self._api_port = int(self.api_url.rsplit(":", 1)[1])
        return process

    def _command(self, role: RoleName, *extra: str) -> list[str]:
        place = [role, "--postgres", as_service(self.dsn), "--kafka", self.stack.kafka]
        place += ["--port", str(self._api_port if role == "api" else 0)]
        if self.settings.lease_s is None and not extra:
            return [str(script("runfold")), "serve", *place, "--log-level", "warning"]
        return _module("role", *place, "--lease-s", str(self.settings.lease_s or LEASE_S), *extra)

    def _environment(self) -> dict[str, str]:
        settings = self.kafka_settings
        return {
            "RUNFOLD_KAFKA_PREFIX": settings.prefix,
            "RUNFOLD_KAFKA_EVENTS_RETENTION_MS": str(settings.events_retention_ms),
        }

    async def start_all(self, counts: dict[RoleName, int]) -> None:
        """Start so many of each; the first one alone, since it makes what is missing."""
        await asyncio.gather(*(self.start(role) for role in counts))
        await asyncio.gather(*(self.start(role) for role, count in counts.items() for _ in range(count - 1)))

    async def remove(self, role: RoleName) -> int:
        """End the oldest process of a role as an operator would; its exit code."""
        return await self.roles[role].pop(0).end()

    # The load

    def start_kafka_worker(self, rate: float) -> Worker:
        """One more worker that sends by Kafka."""
        topic = self.kafka_settings.commands_topic
        return self._start_worker(
            "kafka_worker",
            rate,
            *("--kafka", self.stack.kafka, "--topic", topic, "--replies", self.replies),
            *(("--patience-s", str(self.settings.patience_s)) if self.settings.patience_s else ()),
        )

    def start_http_worker(self, rate: float) -> Worker:
        """One more worker that sends by HTTP."""
        return self._start_worker("http_worker", rate, "--api", self.api_url)

    def _start_worker(self, module: str, rate: float, *where: str) -> Worker:
        name = self._name(module.split("_", maxsplit=1)[0])
        journal = self.journals / f"{name}.journal"
        seed = str(len(self._all))
        arguments = [*where, "--name", name, "--seed", seed]
        worker = Worker(name, module, rate, journal, arguments, self.folder)
        self._all.append(worker)
        self.workers.append(worker)
        return worker

    async def end_load(self) -> None:
        """Let the workers finish."""
        for code in await asyncio.gather(*(worker.end() for worker in self.workers)):
            assert code == 0, [worker.last_words() for worker in self.workers if worker.code]
        self.workers.clear()

    def _name(self, kind: str) -> str:
        return f"{kind}{len(self._all)}"

    def place(self, *, may_begin_late: frozenset[int] = frozenset()) -> Place:
        """Where a checker finds everything."""
        return Place(
            self.dsn,
            self.stack.kafka,
            self.kafka_settings.commands_topic,
            self.kafka_settings.events_topic,
            self.journals,
            may_begin_late,
        )

    def topics(self) -> Topics:
        """A consumer of both topics; to be closed."""
        names = self.kafka_settings
        return Topics(self.stack.kafka, commands=names.commands_topic, events=names.events_topic)

    async def stored(self, events: int, wait_s: float = SETTLE_S_MAX) -> None:
        """Wait until the store has so many events, and so many are folded."""
        begun = time.monotonic()
        while (found := await self.progress()) is None or sum(found.folded) < events:
            assert time.monotonic() - begun < wait_s, f"{found} within {wait_s:g} s"
            await asyncio.sleep(0.05)

    async def settled(self, wait_s: float = SETTLE_S_MAX) -> float:
        """Wait until all that was sent is stored, published and folded; how long that took."""
        begun = time.monotonic()
        wanted = await asyncio.to_thread(self.log_ends)
        while not await self._is_settled(wanted):
            assert time.monotonic() - begun < wait_s, f"not settled within {wait_s:g} s"
            await asyncio.sleep(0.1)
        return time.monotonic() - begun

    def log_ends(self) -> list[int]:
        """Ends of the command log."""
        topics = self.topics()
        try:
            return [topics.command_bounds(number)[1] for number in range(self.settings.partitions)]
        finally:
            topics.close()

    async def _is_settled(self, wanted: list[int]) -> bool:
        progress = await self.progress()
        return progress is not None and progress.offsets == wanted and progress.is_even

    async def progress(self) -> Progress | None:
        """How far everything is; None while Postgres does not answer."""
        try:
            connection: Any = await asyncpg.connect(self.dsn, timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return None
        try:
            return Progress(*[list(column) for column in zip(*await connection.fetch(PROGRESS), strict=True)])
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return None
        finally:
            connection.terminate()

    def kill_all(self) -> None:
        """Whatever happened, nothing is left behind."""
        for process in self._all:
            process.kill()


def _template(partitions: int) -> Template:
    """An empty store and a place for views."""

    async def fill(dsn: str) -> None:
        await make_store(dsn, partitions)
        owner: asyncpg.Connection[Any] = await asyncpg.connect(dsn)
        try:
            await create_views_schema(owner, service_role=SERVICE_ROLE)
        finally:
            await owner.close()

    def fill_apart(dsn: str) -> None:
        asyncio.run(fill(dsn))

    return Template(f"fleet_{partitions}", fill_apart)


@asynccontextmanager
async def fleet_on(
    stack: StackForTest, folder: Path, settings: FleetSettings | None = None
) -> AsyncGenerator[Fleet]:
    """A fleet without a process yet."""
    fleet = Fleet(stack, folder, settings or FleetSettings())
    try:
        await fleet.prepare()
        yield fleet
    finally:
        fleet.kill_all()
