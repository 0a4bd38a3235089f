"""The contract of logs, on a real Kafka."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

import pytest

from runfold_events.buses.kafka import KafkaCommandSource, KafkaEventSink
from runfold_events.contract.cloudevents import Record
from runfold_events.log_door import LogRecord
from runfold_events.testing.log_contract import PARTITIONS, LogContract
from tests.integration.kafka.scene import Scene, scene_on
from tests.support.stack import StackForTest


class LogsInKafka:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def source(self) -> KafkaCommandSource:
        return self._scene.source()

    def sink(self) -> KafkaEventSink:
        return self._scene.sink()

    async def append(self, partition: int, records: Iterable[Record]) -> list[int]:
        return await self._scene.send_raw(self._scene.settings.commands_topic, partition, list(records))

    async def append_event_record(self, partition: int, record: Record) -> None:
        await self._scene.send_raw(self._scene.settings.events_topic, partition, [record])

    async def events(self, partition: int) -> list[LogRecord]:
        return await self._scene.read_topic(self._scene.settings.events_topic, partition)


class TestLogInKafka(LogContract):
    _stack: StackForTest

    @pytest.fixture(autouse=True)
    def take_stack(self, stack: StackForTest) -> None:
        self._stack = stack

    @asynccontextmanager
    async def logs(self) -> AsyncGenerator[LogsInKafka]:
        async with scene_on(self._stack, PARTITIONS) as scene:
            yield LogsInKafka(scene)
