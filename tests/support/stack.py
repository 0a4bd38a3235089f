"""A real Kafka and Postgres for tests: one stack per run, and databases and topics that no other test knows.

A test asks for the fixture `stack` and gets a `StackForTest`. Tests that stop or kill servers ask for `own_stack`
instead, since everybody else's tests run on the shared one at the same time.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from runfold_services.stack import Progress, Stack, StackError, open_stack, settings_from_environment

FIXTURES: Final = frozenset({"stack", "own_stack", "run_stack", "distributed_url"})
LEADER_S_MAX: Final = 30.0

T = TypeVar("T")


class Template(NamedTuple):
    """A database that is filled once per run; ``fill`` gets its DSN and leaves no connection open."""

    name: str
    fill: Callable[[str], None]


class StackForTest:
    """What one test sees of a stack. Usable inside and outside of a running event loop."""

    def __init__(self, servers: Stack) -> None:
        self.servers: Final = servers
        self.kafka: Final = servers.addresses.kafka
        self.postgres: Final = servers.addresses.postgres
        self._databases: Final[list[str]] = []

    def database(self, template: Template | None = None) -> str:
        """The DSN of a database of the test's own: empty, or a copy of ``template``. Dropped when the test ends."""
        name = f"t_{secrets.token_hex(6)}"
        run_apart(lambda: self._create_database(name, template))
        self._databases.append(name)
        return with_database(self.postgres, name)

    def copy_of(self, dsn: str) -> str:
        """The DSN of a copy of a database that nobody is connected to."""
        source = urlsplit(dsn).path.removeprefix("/")
        name = f"t_{secrets.token_hex(6)}"
        run_apart(lambda: run_sql(self.postgres, f'CREATE DATABASE "{name}" TEMPLATE "{source}"', "SELECT 1"))
        self._databases.append(name)
        return with_database(self.postgres, name)

    def topic(
        self, partitions: int = 1, *, settings: Mapping[str, str] | None = None, hint: str = "t"
    ) -> str:
        """The name of an empty topic of the test's own; every partition has its leader. Gone with the run's stack."""
        name = f"{hint}-{secrets.token_hex(6)}"
        run_apart(lambda: create_topic(self.kafka, name, partitions, settings or {}))
        return name

    def close(self) -> None:
        run_apart(self._drop_databases)

    async def _create_database(self, name: str, template: Template | None) -> None:
        connection = await asyncpg.connect(self.postgres)
        try:
            source = "template1" if template is None else await self._ready(connection, template)
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
        finally:
            await connection.close()

    async def _ready(self, connection: asyncpg.Connection[Any], template: Template) -> str:
        """The template's database, made by whichever test process comes first; the others wait for it."""
        name = f"template_{template.name}"
        await connection.execute("SELECT pg_advisory_lock(hashtext($1))", name)
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
                # Under another name until it is filled, so that a fill which fails is not taken for a template.
                await connection.execute(f'DROP DATABASE IF EXISTS "{name}_new"')
                await connection.execute(f'CREATE DATABASE "{name}_new"')
                await asyncio.to_thread(template.fill, with_database(self.postgres, f"{name}_new"))
                await connection.execute(f'ALTER DATABASE "{name}_new" RENAME TO "{name}"')
        finally:
            await connection.execute("SELECT pg_advisory_unlock(hashtext($1))", name)
        return name

    async def _drop_databases(self) -> None:
        if self._databases:
            connection = await asyncpg.connect(self.postgres)
            try:
                while self._databases:
                    await connection.execute(
                        f'DROP DATABASE IF EXISTS "{self._databases.pop()}" WITH (FORCE)'
                    )
            finally:
                await connection.close()


# ── for the fixtures ──────────────────────────────────────────────────────────────────────────────────────


def folder_of_the_run(base_temp: Path) -> Path:
    """Where the run's one stack is: with pytest-xdist every worker has a folder of its own in a common one."""
    common = base_temp.parent if "PYTEST_XDIST_WORKER" in os.environ else base_temp
    return common / "stack"


def fetch_before_tests(session: pytest.Session) -> None:
    """What the stack needs is fetched while tests are collected: no test's time limit pays for the network.

    A machine that can have no stack fails here, with what to install, before any test runs.
    """
    wants = any(FIXTURES & set(getattr(item, "fixturenames", ())) for item in session.items)
    if not wants or session.config.option.collectonly:
        return
    scratch = Path(session.config.rootpath) / ".dev" / "cache" / "no-stack-here"
    try:
        open_stack(scratch, settings_from_environment(), _progress_on(session.config))
    except StackError as error:
        if "PYTEST_XDIST_WORKER" not in os.environ:  # a worker that ends here says nothing: its fixtures will
            raise pytest.UsageError(error.message) from error


def say_nothing(what: str, done: int = 0, total: int = 0) -> None:
    """For fixtures: what takes long was fetched before."""


def _progress_on(config: pytest.Config) -> Progress:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    told = -1

    def tell(what: str, done: int = 0, total: int = 0) -> None:
        nonlocal told
        tenth = 10 * done // total if total else 0
        if reporter is not None and tenth > told:
            told = tenth
            reporter.write_line(f"{what}: {done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else what)

    return tell


# ── small steps ───────────────────────────────────────────────────────────────────────────────────────────


def run_apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in a thread with an event loop of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def with_database(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def create_topic(kafka: str, name: str, partitions: int, settings: Mapping[str, str]) -> None:
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(settings))])
        for topic, code, message in answer.topic_errors:  # create_topics itself does not raise
            if code:
                raise AssertionError(f"topic {topic}: {message} ({code})")
        async with asyncio.timeout(LEADER_S_MAX):
            while not await _has_leaders(admin, name, partitions):  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(0.02)
    finally:
        await admin.close()


async def _has_leaders(admin: Any, name: str, partitions: int) -> bool:
    (topic,) = await admin.describe_topics([name])
    led = [partition for partition in topic["partitions"] if partition["leader"] >= 0]
    return len(led) == partitions


async def run_sql(dsn: str, *statements: str) -> Any:
    """The first value of the last statement."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def produce(kafka: str, topic: str, *values: bytes, partition: int = 0) -> None:
    """Send records and wait until the broker has them all."""
    producer: Any = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, partition=partition)
    finally:
        await producer.stop()


async def consume(kafka: str, topic: str, count: int) -> list[bytes]:
    """The first ``count`` records of a topic."""
    consumer: Any = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()
