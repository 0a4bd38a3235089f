"""The contract of logs, on those in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from runfold_events.buses.memory import MemoryCommandSource, MemoryEventSink, MemoryGroup, MemoryTopic
from runfold_events.contract.cloudevents import Record
from runfold_events.log_door import LogRecord
from runfold_events.testing.log_contract import PARTITIONS, LogContract


class LogsInMemory:
    def __init__(self) -> None:
        self._group = MemoryGroup(MemoryTopic(PARTITIONS))
        self._events = MemoryTopic(PARTITIONS)

    def source(self) -> MemoryCommandSource:
        return MemoryCommandSource(self._group)

    def sink(self) -> MemoryEventSink:
        return MemoryEventSink(self._events)

    async def append(self, partition: int, records: Iterable[Record]) -> list[int]:
        return [(await self._group.topic.append(partition, record)).offset for record in records]

    async def append_event_record(self, partition: int, record: Record) -> None:
        await self._events.append(partition, record)

    async def events(self, partition: int) -> list[LogRecord]:
        return list(self._events.records[partition].values())


class TestLogInMemory(LogContract):
    @asynccontextmanager
    async def logs(self) -> AsyncGenerator[LogsInMemory]:
        yield LogsInMemory()
