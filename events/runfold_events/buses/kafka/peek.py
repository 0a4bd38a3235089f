"""Reading a log here and there, outside of any group."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from runfold_events.buses.kafka.clients import Cluster, new_consumer, started, stop_client
from runfold_events.buses.kafka.failures import translating
from runfold_events.buses.kafka.lenient import UNPARSED, read_batch
from runfold_events.contract.errors import Unavailable
from runfold_events.log_door import LogRecord
from runfold_events.log_ports import Bounds

ANSWER_S_MAX: Final = 10.0
FETCH_WAIT_MS: Final = 100


def log_record(record: Any) -> LogRecord:
    """aiokafka's record as ours."""
    headers: tuple[tuple[str, Any], ...] = record.headers
    for _, value in headers:
        if value is None:  # a header may have no value, which says as little as an empty one
            headers = tuple((name, value or b"") for name, value in headers)
            break
    return LogRecord(record.partition, record.offset, record.timestamp, record.key, record.value, headers)


class Peek:
    """Bounds and single records of one topic. Its consumer is made when first needed, and again after an error."""

    def __init__(self, cluster: Cluster, topic: str, partitions: int) -> None:
        self._cluster = cluster
        self._partitions = [TopicPartition(topic, number) for number in range(partitions)]
        self._consumer: Any = None
        self._lock = asyncio.Lock()  # one consumer has one position

    async def bounds(self) -> dict[int, Bounds]:
        """What every partition holds."""
        async with self._lock, asyncio.timeout(ANSWER_S_MAX):
            with translating():
                consumer = await self._started()
                begins = await consumer.beginning_offsets(self._partitions)
                ends = await consumer.end_offsets(self._partitions)
        return {p.partition: Bounds(begins[p], ends[p]) for p in self._partitions}

    async def records(self, partition: int, offset: int, count: int) -> list[LogRecord]:
        """The records from ``offset`` on, at most ``count``; none when the log does not hold that offset.

        Raises:
            Unavailable: there is no answer in time, or no record: ask only for what lies within the bounds.
        """
        place = self._partitions[partition]
        async with self._lock:
            with translating():
                consumer = await self._started()
                consumer.assign([place])
                consumer.seek(place, offset)
                try:
                    async with asyncio.timeout(ANSWER_S_MAX):
                        while True:
                            found = await consumer.getmany(place, timeout_ms=FETCH_WAIT_MS, max_records=count)
                            if found:
                                return [log_record(record) for record in found[place]]
                except OffsetOutOfRangeError:
                    return []
                except UNPARSED:
                    return (await read_batch(consumer, place, offset))[0]

    async def stop(self) -> None:
        """Let go of the consumer."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_client(consumer)

    async def _started(self) -> Any:
        if self._consumer is None:
            # Single records are asked for: a large fetch would be for nothing.
            self._consumer = await started(
                new_consumer(self._cluster, fetch_max_wait_ms=FETCH_WAIT_MS, max_partition_fetch_bytes=65_536)
            )
        if self._consumer is None:
            raise Unavailable("the reader was stopped")
        return self._consumer
