"""A store and topics of a test's own on the real servers, and the roles around them, put together as a server does."""

from __future__ import annotations

import asyncio
import functools
import inspect
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeVar, cast
from uuid import UUID, uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from runfold_events.buses.kafka import (
    Cluster,
    CommandProducer,
    Group,
    KafkaCommandSource,
    KafkaEventSink,
    KafkaReplyTopics,
    KafkaTopicAdmin,
)
from runfold_events.buses.kafka.clients import new_admin, new_consumer, new_producer, started, stop_client
from runfold_events.contract import commands as c
from runfold_events.contract.cloudevents import Record
from runfold_events.contract.commands import Command
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.ids import partition_of, run_stream
from runfold_events.contract.submission import Actor, Submission
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.log_door import LogDoor, LogRecord
from runfold_events.log_ports import CommandSource, LogMismatch, LogStore
from runfold_events.stores.postgres import PostgresStore
from runfold_events.stores.postgres.store import PostgresTimeouts
from runfold_services.decider import Decider, DeciderSettings
from runfold_services.kafka_settings import KafkaSettings
from runfold_services.relay import Relay, RelaySettings
from runfold_services.replies import Replies
from runfold_services.topics import commands_topic, ensure_topic, events_topic
from tests.support.postgres_store import as_service, template
from tests.support.program import Done, run_here
from tests.support.stack import StackForTest, run_sql

WAIT_S_MAX: Final = 20.0
SENDER: Final = Actor("kafka", "kafka")
EXPERIMENT: Final = "exp"

S = TypeVar("S", bound=PostgresStore)


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, wait_s: float = WAIT_S_MAX, poll_s: float = 0.02
) -> None:
    """Wait for ``condition``; fail naming ``what``."""
    end = time.monotonic() + wait_s
    while not await condition():
        assert time.monotonic() < end, f"{what}: not within {wait_s:g} s"
        await asyncio.sleep(poll_s)


async def _tells(admin: KafkaTopicAdmin, topic: str, settings: Mapping[str, str]) -> bool:
    """Whether the broker knows of a topic's settings."""
    found = await admin.describe(topic)
    return found is not None and settings.items() <= found.settings.items()


class Scene:
    """One store, one pair of topics. What is started here is stopped at the end."""

    def __init__(self, stack: StackForTest, partitions: int, exit_stack: AsyncExitStack) -> None:
        self.stack = stack
        self.exit_stack = exit_stack
        self.kafka = stack.kafka
        self.partitions = partitions
        self.dsn = stack.database(template(partitions))
        self.settings = KafkaSettings(bootstrap_servers=stack.kafka, prefix=f"t{secrets.token_hex(5)}")
        self.cluster = Cluster(bootstrap_servers=stack.kafka)
        self.workspace = "w"
        self.store: PostgresStore = cast(PostgresStore, None)

    async def prepare(self) -> None:
        """Make the topics and open the store."""
        admin = KafkaTopicAdmin(self.cluster)
        try:
            await ensure_topic(admin, commands_topic(self.settings, self.partitions), makes=True)
            await ensure_topic(admin, events_topic(self.settings, self.partitions), makes=True)
        finally:
            await admin.stop()
        self.store = await self.open_store()

    async def open_store(self, timeouts: PostgresTimeouts | None = None) -> PostgresStore:
        """A store object of its own, as another process has."""
        return await self.open_store_of(PostgresStore, timeouts)

    async def open_store_of(self, kind: type[S], timeouts: PostgresTimeouts | None = None) -> S:
        """The same, of another class."""
        store = cast(S, await kind.open(as_service(self.dsn), timeouts=timeouts))
        self.exit_stack.push_async_callback(store.close)
        return store

    @property
    def environment(self) -> dict[str, str]:
        """What a process of the distributed set-up is told."""
        return {
            "RUNFOLD_POSTGRES": as_service(self.dsn),
            "RUNFOLD_KAFKA": self.kafka,
            "RUNFOLD_KAFKA_PREFIX": self.settings.prefix,
        }

    async def run(
        self, *arguments: str, expect: int = 0, environment: Mapping[str, str] | None = None
    ) -> Done:
        """A command of ``runfold``."""
        told = {**self.environment, **(environment or {})}
        return await asyncio.to_thread(run_here, *arguments, environment=told, expect=expect)

    async def sql(self, *statements: str) -> Any:
        """As the database's owner."""
        return await run_sql(self.dsn, *statements)

    # Roles

    def source(self, *, in_group: bool = True, topic: str | None = None) -> KafkaCommandSource:
        group = Group(name=self.settings.group, session_timeout_s=3.0, heartbeat_interval_s=0.5)
        return KafkaCommandSource(
            self.cluster,
            topic or self.settings.commands_topic,
            self.partitions,
            group if in_group else None,
        )

    def decider(
        self,
        store: LogStore | None = None,
        *,
        source: CommandSource | None = None,
        door: LogDoor | None = None,
        settings: DeciderSettings | None = None,
    ) -> Decider:
        """A decider that is not started."""
        store = store or self.store
        return Decider(
            source or self.source(),
            store,
            door or self.door(store),
            Replies(KafkaReplyTopics(self.cluster)),
            settings or DeciderSettings(note_interval_s=0.2, check_again_s=0.5),
        )

    def door(self, store: LogStore | None = None) -> LogDoor:
        return LogDoor(Ledger(store or self.store, SystemIds()), self.settings.actor_of, uuid4())

    @asynccontextmanager
    async def deciding(self, decider: Decider | None = None) -> AsyncGenerator[Decider]:
        """A decider at work."""
        decider = decider or self.decider()
        try:
            await decider.start()
            yield decider
        finally:
            await decider.stop()

    def sink(self, **arguments: Any) -> KafkaEventSink:
        return KafkaEventSink(self.cluster, self.settings.events_topic, self.partitions, **arguments)

    async def refused(self, role: Decider | Relay, match: str) -> LogMismatch:
        """Why a role refuses to start."""
        try:
            with pytest.raises(LogMismatch, match=match) as caught:
                await role.start()
        finally:
            await role.stop()
        return caught.value

    @asynccontextmanager
    async def sink_of_its_own(self) -> AsyncGenerator[KafkaEventSink]:
        """A sink for the test itself."""
        sink = self.sink()
        try:
            yield sink
        finally:
            await sink.stop()

    async def alter_topic(self, name: str, settings: dict[str, str]) -> None:
        """Change settings of a topic; returns once the broker tells of them."""
        admin, seen = await started(new_admin(self.cluster)), KafkaTopicAdmin(self.cluster)
        try:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(settings))])
            async with asyncio.timeout(WAIT_S_MAX):
                while not await _tells(seen, name, settings):  # noqa: ASYNC110 - it tells nobody by itself
                    await asyncio.sleep(0.05)
        finally:
            await seen.stop()
            await admin.close()

    def relay(self, store: LogStore | None = None, settings: RelaySettings | None = None) -> Relay:
        """A relay that is not started."""
        return Relay(store or self.store, self.sink(), settings or RelaySettings(lease_s=2.0))

    @asynccontextmanager
    async def relaying(self, relay: Relay | None = None) -> AsyncGenerator[Relay]:
        """A relay at work."""
        relay = relay or self.relay()
        try:
            await relay.start()
            yield relay
        finally:
            await relay.stop()

    # Commands

    def submission(
        self, command: Command, writer: UUID, number: int, *, correlation: UUID | None = None
    ) -> Submission:
        return Submission(
            workspace=self.workspace,
            command=command,
            writer_id=writer,
            writer_seq=number,
            occurred_at=time.time_ns() // 1_000,
            actor=SENDER,
            door="kafka",
            correlation_id=correlation,
        )

    def producer(self, *, topic: str | None = None, **arguments: Any) -> CommandProducer:
        producer = CommandProducer(
            self.cluster, topic or self.settings.commands_topic, self.partitions, **arguments
        )
        self.exit_stack.push_async_callback(producer.stop)
        return producer

    def run_id_in(self, partition: int, name: str = "r") -> str:
        """A run whose stream lies in ``partition``."""
        return next(
            f"{name}{number}"
            for number in range(100_000)
            if partition_of(run_stream(self.workspace, f"{name}{number}"), self.partitions) == partition
        )

    async def create_runs(self, writer: UUID, *run_ids: str) -> None:
        """By the other door, so that a test's own commands are what the log holds."""
        ledger = Ledger(self.store, SystemIds())
        await ledger.handle([self.submission(c.EnsureExperiment(experiment=EXPERIMENT), writer, 1)])
        await ledger.handle(
            [self.submission(c.CreateRun(run_id=name, experiment=EXPERIMENT), writer, 1) for name in run_ids]
        )

    async def send_raw(
        self, topic: str, partition: int, records: Sequence[Record], **arguments: Any
    ) -> list[int]:
        """Put records into a topic as they are, by a plain producer; returns their offsets."""
        size = 64 * 1024 * 1024
        producer = await started(
            new_producer(
                self.cluster, max_request_size=size, max_batch_size=size if arguments else 16_384, **arguments
            )
        )
        try:
            sent = [
                await producer.send(topic, r.value, key=r.key, partition=partition, headers=list(r.headers))
                for r in records
            ]
            return [(await future).offset for future in sent]
        finally:
            await stop_client(producer)

    async def send_named_in_bytes(
        self, topic: str, partition: int, records: Sequence[Record], *, name: bytes
    ) -> None:
        """Put records into a topic in one batch; headers called ``?`` times the length of ``name`` get that name.

        No client library would do this; a program in C can.
        """
        builder: Any = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000_000)
        for number, record in enumerate(records):
            headers = list(record.headers)
            builder.append(number, 1_700_000_000_000, record.key, record.value, headers)
        batch = bytearray(builder.build().replace(b"?" * len(name), name))
        batch[17:21] = calc_crc32c(bytes(batch[21:])).to_bytes(4, "big")
        client: Any = AIOKafkaClient(bootstrap_servers=self.kafka)
        await client.bootstrap()
        try:
            await client.set_topics([topic])
            node = client.cluster.leader_for_partition(TopicPartition(topic, partition))
            answer = await client.send(
                node, ProduceRequest(None, -1, 10_000, [(topic, [(partition, bytes(batch))])])
            )
            assert answer.topics[0][1][0][1] == 0, "the broker took it"
        finally:
            await client.close()

    # What is there

    async def read_topic(self, topic: str, partition: int) -> list[LogRecord]:
        """Everything a partition of a topic holds."""
        consumer = await started(new_consumer(self.cluster))
        try:
            place = TopicPartition(topic, partition)
            consumer.assign([place])
            begin = (await consumer.beginning_offsets([place]))[place]
            end = (await consumer.end_offsets([place]))[place]
            consumer.seek(place, begin)
            found: list[Any] = []
            while not found or found[-1].offset + 1 < end:
                if begin == end:
                    break
                found += (await consumer.getmany(place, timeout_ms=1_000)).get(place, [])
            return [
                LogRecord(r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in found
            ]
        finally:
            await consumer.stop()

    def partition_of(self, stream: str) -> int:
        return partition_of(stream, self.partitions)

    async def published(self) -> None:
        """Wait until the event topic holds all that the store has."""

        async def reached() -> bool:
            return await self.store.published() == await self.store.ends()

        await until(reached, "all is published")

    async def events(self, partition: int) -> list[RecordedEvent]:
        return await self.store.read(partition, 0, 100_000)

    async def all_events(self) -> list[RecordedEvent]:
        return [event for number in range(self.partitions) for event in await self.events(number)]

    async def handled(self, counts: dict[int, int]) -> None:
        """Wait until the cursor stands at the given offsets."""

        async def reached() -> bool:
            rows = await self.store.rows()
            return all(rows[number].next_offset >= offset for number, offset in counts.items())

        await until(reached, f"cursors at {counts}")

    async def topic_ends(self) -> dict[int, int]:
        """Ends of the command topic's partitions."""
        source = self.source(in_group=False)
        try:
            return {number: bounds.end for number, bounds in (await source.bounds()).items()}
        finally:
            await source.stop()

    async def all_handled(self) -> None:
        """Wait until everything sent was handled."""
        await self.handled(await self.topic_ends())


@asynccontextmanager
async def scene_on(stack: StackForTest, partitions: int = 4) -> AsyncGenerator[Scene]:
    """A scene, prepared."""
    async with AsyncExitStack() as exit_stack:
        scene = Scene(stack, partitions, exit_stack)
        await scene.prepare()
        yield scene


def with_scene(
    partitions: int = 4,
) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Callable[..., None]]:
    """A test that is a coroutine and gets a scene as its first argument; the others are fixtures as usual."""

    def decorate(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
        def run(stack: StackForTest, **fixtures: Any) -> None:
            async def body() -> None:
                async with scene_on(stack, partitions) as scene:
                    await test(scene, **fixtures)

            asyncio.run(body())

        own = inspect.Parameter("stack", inspect.Parameter.KEYWORD_ONLY)
        others = list(inspect.signature(test).parameters.values())[1:]
        functools.update_wrapper(run, test)
        vars(run)["__signature__"] = inspect.Signature([*others, own])
        return run

    return decorate
