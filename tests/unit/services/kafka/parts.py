"""Deciders and relays over logs and a store in memory, so that their every turn can be watched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final
from uuid import UUID, uuid4

from msgspec.structs import replace

from runfold_events.buses.memory import MemoryCommandSource, MemoryEventSink, MemoryGroup, MemoryTopic
from runfold_events.contract import commands as c
from runfold_events.contract.cloudevents import Record, command_record
from runfold_events.contract.commands import Command
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.submission import Actor, Submission
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.log_door import LogDoor, Reply
from runfold_events.ports import Loaded, LogMark, PartitionRow, PartitionTransaction, Write, WriterKey
from runfold_events.stores.sqlite import SqliteStore
from runfold_services.decider import Decider, DeciderSettings
from runfold_services.relay import RelaySettings

ACTOR: Final = Actor("kafka", "kafka")
QUICK: Final = DeciderSettings(
    fetch_wait_s=0.05,
    retry_s_min=0.01,
    retry_s_max=0.02,
    check_again_s=0.02,
    note_interval_s=0.01,
    drain_s=0.2,
)
QUICK_RELAY: Final = RelaySettings(
    events_max=5,
    lease_s=0.1,
    poll_s=0.001,
    poll_s_max=0.005,
    retry_s_min=0.01,
    retry_s_max=0.02,
    check_again_s=0.02,
)


class Marking:
    """A transaction of SQLite, which has no use for the mark of a log."""

    def __init__(
        self, store: LogSqliteStore, inner: AbstractAsyncContextManager[PartitionTransaction]
    ) -> None:
        self._store = store
        self._inner = inner
        self._transaction: PartitionTransaction | None = None
        self._mark: LogMark | None = None
        self.row: PartitionRow

    async def __aenter__(self) -> Marking:
        self._transaction = await self._inner.__aenter__()
        self.row = replace(self._transaction.row, last_record=self._store.mark)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._inner.__aexit__(*error)
        if self._mark is not None and error[0] is None:
            self._store.mark = self._mark

    async def load(self, streams: Iterable[str], writers: Iterable[WriterKey]) -> Loaded:
        assert self._transaction is not None
        return await self._transaction.load(streams, writers)

    async def write(self, write: Write) -> None:
        assert self._transaction is not None
        self._mark = write.last_record
        await self._transaction.write(write)


class LogSqliteStore(SqliteStore):
    """SQLite in memory with what logs need, for one relay and one partition."""

    noted: int = 0
    members: int = 0
    mark: LogMark | None = None

    def transaction(self, partition: int) -> Marking:  # type: ignore[override]
        return Marking(self, super().transaction(partition))

    async def rows(self) -> tuple[PartitionRow, ...]:
        async with self.transaction(0) as transaction:
            return (transaction.row,)

    async def read_within(
        self, partition: int, from_pos: int, events_max: int, bytes_max: int
    ) -> list[RecordedEvent]:
        return await self.read(partition, from_pos, events_max)

    async def published(self) -> tuple[int, ...]:
        return (self.noted,)

    async def note_published(self, partition: int, pos: int) -> None:
        self.noted = max(self.noted, pos)

    async def share_partitions(self, role: str, member: UUID, lease_us: int) -> frozenset[int]:
        self.members = 1
        return frozenset({0})

    async def leave_role(self, role: str, member: UUID) -> None:
        self.members = 0


class KeptReplies:
    """Keeps answers."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []

    def offer(self, replies: Any) -> None:
        self.replies += replies

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Parts:
    """Logs, a store, a door, and commands of one writer on run ``r``."""

    def __init__(self) -> None:
        self.store = LogSqliteStore.open(":memory:")
        self.commands = MemoryTopic(1)
        self.events = MemoryTopic(1)
        self.group = MemoryGroup(self.commands)
        self.door = LogDoor(Ledger(self.store, SystemIds()), lambda record: ACTOR, uuid4())
        self.replies = KeptReplies()
        self._writer = uuid4()
        self._numbers: dict[str, int] = {}

    def decider(self, settings: DeciderSettings = QUICK) -> Decider:
        return Decider(MemoryCommandSource(self.group), self.store, self.door, self.replies, settings)

    def sink(self) -> MemoryEventSink:
        return MemoryEventSink(self.events)

    def submission(self, command: Command) -> Submission:
        submission = Submission(
            workspace="w",
            command=command,
            writer_id=self._writer,
            writer_seq=1,
            occurred_at=1,
            actor=ACTOR,
            door="kafka",
        )
        number = self._numbers[submission.stream] = self._numbers.get(submission.stream, 0) + 1
        return Submission(
            workspace="w",
            command=command,
            writer_id=self._writer,
            writer_seq=number,
            occurred_at=1,
            actor=ACTOR,
            door="kafka",
        )

    async def send(self, *commands: Command) -> None:
        for command in commands:
            await self.commands.append(0, command_record(self.submission(command)), timestamp_ms=7)

    async def send_garbage(self) -> None:
        await self.commands.append(0, Record(b"k", b"garbage", ()))

    async def create_run(self) -> None:
        await self.send(c.EnsureExperiment(experiment="e"), c.CreateRun(run_id="r", experiment="e"))

    async def tag(self, *values: str) -> None:
        await self.send(*(c.SetTags(run_id="r", tags={"n": value}) for value in values))

    async def types(self) -> list[str]:
        return [event.type for event in await self.store.read(0, 0, 10_000)]

    async def handled(self, offset: int | None = None) -> None:
        """Wait until the cursor stands at ``offset``, or at the log's end."""
        wanted = self.commands.ends[0] if offset is None else offset

        async def is_there() -> bool:
            return (await self.store.rows())[0].next_offset >= wanted

        await until(is_there)


async def until(condition: Callable[[], Awaitable[bool]], wait_s: float = 10.0) -> None:
    async with asyncio.timeout(wait_s):
        while not await condition():  # noqa: ASYNC110 - a test may poll
            await asyncio.sleep(0.002)


def with_parts(test: Callable[[Parts], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that is a coroutine and gets parts."""

    def run() -> None:
        async def body() -> None:
            parts = Parts()
            try:
                await test(parts)
            finally:
                await parts.store.close()

        asyncio.run(body())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
