"""A producer that can be thrown away.

An idempotent producer of aiokafka is of no more use once the broker has refused one of its records: later ones fail
with OutOfOrderSequenceNumber, and what it could not deliver it keeps for ever. So whatever goes wrong, the producer is
dropped and the next send makes a new one. What the old one still had may arrive all the same: consumers of events drop
positions they have seen, and the ledger drops commands it knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final

from runfold_events.buses.kafka.clients import Cluster, new_producer, started, stop_client
from runfold_events.buses.kafka.failures import RETRY_AFTER_S, translating
from runfold_events.contract.cloudevents import Record
from runfold_events.contract.errors import LimitExceeded, Unavailable

BATCH_BYTES: Final = 256 * 1024  # aiokafka's default, 16 KiB, is its ceiling per partition and round trip
RECORD_OVERHEAD_BYTES: Final = 1_024  # what the record format adds to key, value and headers


class Sender:
    """Sends records to explicit partitions, all or an error, within a deadline."""

    def __init__(self, cluster: Cluster, record_bytes_max: int, deadline_s: float, **arguments: Any) -> None:
        self._cluster = cluster
        self._record_bytes_max = record_bytes_max
        self._deadline_s = deadline_s
        self._arguments = {
            "max_request_size": record_bytes_max + RECORD_OVERHEAD_BYTES,
            "max_batch_size": BATCH_BYTES,
            **arguments,
        }
        self._producer: Any = None
        self._starting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    async def send(
        self, topic: str, partition: int | None, records: Sequence[Record]
    ) -> list[tuple[int, int]]:
        """Append ``records``, at least one, in order; returns when the broker keeps all of them.

        Returns:
            Partition and offset of each.

        Raises:
            LimitExceeded: a record is too large; none was sent.
            Unavailable: not all were acknowledged in time. A first part of them may be in the topic.
        """
        for record in records:
            self._check_size(topic, record)
        with translating():
            producer: Any = None
            pending: list[asyncio.Future[Any]] = []
            sizes: list[int] = []  # how many records each future is about
            try:
                async with asyncio.timeout(self._deadline_s):
                    producer = await self._ready()
                    if partition is None or len(records) == 1:
                        # With what others send to the same partition meanwhile, aiokafka makes batches by itself.
                        for record in records:
                            pending.append(await _send(producer, topic, partition, record))
                            sizes.append(1)
                    else:
                        for batch in _batches(producer, records):
                            pending.append(await producer.send_batch(batch, topic, partition=partition))
                            sizes.append(batch.record_count())
                    kept = await asyncio.gather(*pending)
            except Exception:
                self._drop(producer)
                raise
            finally:
                for future in pending:
                    future.add_done_callback(_heard)
        return [
            (first.partition, first.offset + place)
            for first, size in zip(kept, sizes, strict=True)
            for place in range(size)
        ]

    def _check_size(self, topic: str, record: Record) -> None:
        if record.size_bytes > self._record_bytes_max:
            raise LimitExceeded(
                f"a record of topic {topic} may have {self._record_bytes_max} bytes, envelope included; "
                f"it has {record.size_bytes}",
                facts={"field": "record", "limit": self._record_bytes_max, "size": record.size_bytes},
            )

    async def _ready(self) -> Any:
        async with self._starting:
            if self._is_stopped:
                raise Unavailable("the producer was stopped", facts={"retry_after": RETRY_AFTER_S})
            if self._producer is None:
                self._producer = await started(new_producer(self._cluster, **self._arguments))
            return self._producer

    def _drop(self, producer: Any) -> None:
        if producer is None:
            return
        if producer is self._producer:
            self._producer = None
        closing = asyncio.get_running_loop().create_task(stop_client(producer))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """Let go of everything; what is being sent ends with ``Unavailable``."""
        self._is_stopped = True
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_client(producer)
        if self._closing:
            await asyncio.wait(set(self._closing))


async def _send(producer: Any, topic: str, partition: int | None, record: Record) -> asyncio.Future[Any]:
    sent: asyncio.Future[Any] = await producer.send(
        topic, record.value, key=record.key, partition=partition, headers=list(record.headers)
    )
    return sent


def _batches(producer: Any, records: Sequence[Record]) -> Iterator[Any]:
    """``records`` in as few batches as hold them: a fifth of the work of sending each by itself."""
    batch = producer.create_batch()
    for record in records:
        if not _added(batch, record):  # it is full; an empty one takes any record
            yield batch
            batch = producer.create_batch()
            _added(batch, record)
    batch.close()
    yield batch


def _added(batch: Any, record: Record) -> bool:
    added = batch.append(key=record.key, value=record.value, headers=list(record.headers), timestamp=None)
    return added is not None


def _heard(future: asyncio.Future[Any]) -> None:
    """An error that nobody waits for any more was told by another record's."""
    if not future.cancelled():
        future.exception()
