"""A producer that can be thrown away.

An idempotent producer of aiokafka is of no more use once the broker has refused one of its records: later ones fail
with OutOfOrderSequenceNumber, and what it could not deliver it keeps for ever. So whatever goes wrong, the producer is
dropped and the next send makes a new one. What the old one still had may arrive all the same: consumers of events drop
positions they have seen, and the ledger drops commands it knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from runfold_events.buses.kafka.clients import Cluster, new_producer, started, stop_client
from runfold_events.buses.kafka.failures import RETRY_AFTER_S, translating
from runfold_events.contract.cloudevents import Record
from runfold_events.contract.errors import LimitExceeded, Unavailable

BATCH_BYTES: Final = 256 * 1024  # aiokafka's default, 16 KiB, is its ceiling per partition and round trip
RECORD_OVERHEAD_BYTES: Final = 1_024  # what the record format adds to key, value and headers


class _Sent:
    """What was handed to a producer, and where the broker keeps it."""

    def __init__(self) -> None:
        self.producer: Any = None
        self.pending: list[asyncio.Future[Any]] = []
        self.sizes: list[int] = []  # how many records each of them is about
        self.kept: list[Any] = []

    def places(self) -> list[tuple[int, int]]:
        """Partition and offset of every record."""
        return [
            (first.partition, first.offset + place)
            for first, size in zip(self.kept, self.sizes, strict=True)
            for place in range(size)
        ]


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
        if partition is not None and len(records) > 1:
            return await self.send_packed(topic, partition, records)
        for record in records:
            self._check_size(topic, record)
        async with self._sending() as sent:
            # With what others send to the same partition meanwhile, aiokafka makes batches by itself.
            for record in records:
                sent.pending.append(await _send(sent.producer, topic, partition, record))
                sent.sizes.append(1)
        return sent.places()

    async def send_packed(
        self, topic: str, partition: int, records: Iterable[Record]
    ) -> list[tuple[int, int]]:
        """The same in batches of our own, a fifth of the work of sending each by itself.

        Records may be made as they are packed: then none is alive for longer, and their headers, which are most of
        what a relay makes, never add up to what the collector of cycles looks at.
        """
        async with self._sending() as sent:
            for batch in list(self._batches(sent.producer, topic, records)):
                sent.pending.append(await sent.producer.send_batch(batch, topic, partition=partition))
                sent.sizes.append(batch.record_count())
        return sent.places()

    @asynccontextmanager
    async def _sending(self) -> AsyncGenerator[_Sent]:
        """A producer to hand records to; at the end of the block the broker keeps all of them."""
        sent = _Sent()
        with translating():
            try:
                async with asyncio.timeout(self._deadline_s):
                    sent.producer = await self._ready()
                    yield sent
                    sent.kept = await asyncio.gather(*sent.pending)
            except LimitExceeded:  # by our own word, before anything was sent
                raise
            except Exception:
                self._drop(sent.producer)
                raise
            finally:
                for future in sent.pending:
                    future.add_done_callback(_heard)

    def _batches(self, producer: Any, topic: str, records: Iterable[Record]) -> Iterator[Any]:
        """``records`` in as few batches as hold them."""
        batch = producer.create_batch()
        for record in records:
            added = _added(batch, record)
            if added is None:  # it is full; an empty one takes any record
                yield batch
                batch = producer.create_batch()
                added = _added(batch, record)
            if added.size > self._record_bytes_max:  # with what the format adds
                self._check_size(topic, record)
        batch.close()
        yield batch

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


def _added(batch: Any, record: Record) -> Any:
    """What aiokafka says of the record in its batch; None when it did not fit any more."""
    return batch.append(key=record.key, value=record.value, headers=list(record.headers), timestamp=None)


def _heard(future: asyncio.Future[Any]) -> None:
    """An error that nobody waits for any more was told by another record's."""
    if not future.cancelled():
        future.exception()
