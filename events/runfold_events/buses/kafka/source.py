"""The command topic, read as a member of the deciders' group.

aiokafka rebalances eagerly: each member that joins or leaves revokes everything from everybody and resets positions, so
every partition is sought again after every assignment, and nothing is given out that was fetched before it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    GroupCoordinatorNotAvailableError,
    IllegalStateError,
    OffsetOutOfRangeError,
)
from msgspec import Struct

from runfold_events.buses.kafka.clients import Cluster, new_admin, new_consumer, started, stop_client
from runfold_events.buses.kafka.failures import translating
from runfold_events.buses.kafka.lenient import UNPARSED, read_batch
from runfold_events.buses.kafka.peek import Peek, log_record
from runfold_events.contract.errors import Unavailable
from runfold_events.log_door import LogRecord
from runfold_events.log_ports import Bounds, Committed, NotAssigned, OffsetGone, Owner

COORDINATOR_S_MAX: Final = 10.0
COORDINATOR_POLL_S: Final = 0.1
SIZED_EVERY: Final = 16  # of how many records the headers of one are measured
RECORD_BYTES_FIRST: Final = 16_384  # how large records are taken to be before any was seen


class Group(Struct, frozen=True, kw_only=True):
    """How members divide the partitions."""

    name: str
    instance_id: str | None = None  # static membership: a restart within the session moves no partition
    session_timeout_s: float = 10.0
    heartbeat_interval_s: float = 3.0
    rebalance_timeout_s: float = 10.0


class FetchBounds(Struct, frozen=True, kw_only=True):
    """How much aiokafka may hold of one partition, and of one answer, before we take it. Whole batches come anyway."""

    partition_bytes: int = 4 * 1024 * 1024
    answer_bytes: int = 32 * 1024 * 1024
    wait_s: float = 0.1  # a partition that was just emptied waits so long for its turn at most


class KafkaCommandSource:
    """See :class:`~runfold_events.log_ports.CommandSource`.

    Without a group it takes all partitions for itself and notes nothing.
    """

    def __init__(
        self,
        cluster: Cluster,
        topic: str,
        partitions: int,
        group: Group | None,
        bounds: FetchBounds | None = None,
    ) -> None:
        self._cluster = cluster
        self._topic = topic
        self._places = [TopicPartition(topic, number) for number in range(partitions)]
        self._group = group
        self._fetch_bounds = bounds or FetchBounds()
        self._peek = Peek(cluster, topic, partitions)
        self._admin: Any = None
        self._starting = asyncio.Lock()
        self._consumer: Any = None
        self._sought: dict[
            int, int
        ] = {}  # partition → which seek, so that a fetch knows whether it was overtaken
        self._seeks = 0
        self._record_bytes: dict[int, int] = {}

    async def bounds(self) -> dict[int, Bounds]:
        """See the port."""
        return await self._peek.bounds()

    async def record_at(self, partition: int, offset: int) -> LogRecord | None:
        """See the port."""
        found = await self._peek.records(partition, offset, 1)
        return found[0] if found and found[0].offset == offset else None

    async def committed(self) -> dict[int, Committed]:
        """See the port."""
        if self._group is None:
            return {}
        with translating():
            async with asyncio.timeout(COORDINATOR_S_MAX):
                found = await self._group_offsets(self._group.name)
        return {
            place.partition: Committed(noted.offset, noted.metadata or "")
            for place, noted in found.items()
            if noted.offset >= 0
        }

    async def _group_offsets(self, group: str) -> Mapping[TopicPartition, Any]:
        admin = await self._started_admin()
        while True:
            try:
                found: Mapping[TopicPartition, Any] = await admin.list_consumer_group_offsets(
                    group, partitions=self._places
                )
                return found
            except GroupCoordinatorNotAvailableError:
                # A new cluster makes its topic of offsets when the first group is asked for.
                await asyncio.sleep(COORDINATOR_POLL_S)

    async def _started_admin(self) -> Any:
        async with self._starting:
            if self._admin is None:
                self._admin = await started(new_admin(self._cluster))
            return self._admin

    async def start(self, owner: Owner) -> None:
        """See the port."""
        with translating():
            self._consumer = await started(self._new_consumer())
        if self._group is None:
            self._consumer.assign(self._places)
            await owner.assigned(frozenset(place.partition for place in self._places))
        else:
            self._consumer.subscribe([self._topic], listener=_Listener(self._sought, owner))

    def _new_consumer(self) -> Any:
        fetch = self._fetch_bounds
        arguments: dict[str, Any] = {
            "fetch_max_wait_ms": round(fetch.wait_s * 1_000),
            "fetch_max_bytes": fetch.answer_bytes,
            "max_partition_fetch_bytes": fetch.partition_bytes,
        }
        if self._group is not None:
            arguments["group_id"] = self._group.name
            arguments["group_instance_id"] = self._group.instance_id
            arguments["session_timeout_ms"] = round(self._group.session_timeout_s * 1_000)
            arguments["heartbeat_interval_ms"] = round(self._group.heartbeat_interval_s * 1_000)
            arguments["rebalance_timeout_ms"] = round(self._group.rebalance_timeout_s * 1_000)
        return new_consumer(self._cluster, **arguments)

    def seek(self, partition: int, offset: int) -> None:
        """See the port."""
        try:
            self._started().seek(self._places[partition], offset)
        except IllegalStateError:
            raise _not_assigned(partition) from None
        self._seeks += 1
        self._sought[partition] = self._seeks

    async def fetch(
        self, partition: int, *, records_max: int, bytes_max: int, wait_s: float
    ) -> list[LogRecord]:
        """See the port."""
        turn = self._sought.get(partition)
        if turn is None:
            raise _not_assigned(partition)
        found, size = await self._take(partition, records_max, bytes_max, wait_s)
        more = found
        while more and len(found) < records_max and size < bytes_max:
            more, added = await self._take(partition, records_max - len(found), bytes_max - size, 0.0)
            size += added
            found += more
        if self._sought.get(partition) != turn:
            raise _not_assigned(partition)
        return found

    async def _take(
        self, partition: int, records_max: int, bytes_max: int, wait_s: float
    ) -> tuple[list[LogRecord], int]:
        """What is there, or comes within ``wait_s``, and its bytes.

        aiokafka counts records, so bytes are bounded by what is usual.
        """
        usual = self._record_bytes.get(partition, RECORD_BYTES_FIRST)
        place = self._places[partition]
        consumer = self._started()
        with translating():
            try:
                found = await consumer.getmany(
                    place,
                    timeout_ms=round(wait_s * 1_000),
                    max_records=max(1, min(records_max, bytes_max // usual)),
                )
            except OffsetOutOfRangeError:
                raise OffsetGone(
                    f"partition {partition} of topic {self._topic} does not hold the offset asked for",
                    facts={"topic": self._topic, "partition": partition},
                ) from None
            except UNPARSED:
                records = await self._take_leniently(consumer, place)
                return records, _size(records)
        records = [log_record(record) for record in found.get(place, ())]
        size = _size(records)
        if records:
            self._record_bytes[partition] = max(1, size // len(records))
        return records, size

    async def _take_leniently(self, consumer: Any, place: TopicPartition) -> list[LogRecord]:
        turn = self._sought.get(place.partition)
        offset = await consumer.position(place)
        records, after = await read_batch(consumer, place, offset)
        if turn is None or self._sought.get(place.partition) != turn:
            raise _not_assigned(place.partition)
        consumer.seek(place, after)
        return records

    def end_hint(self, partition: int) -> int | None:
        """See the port."""
        try:
            end: int | None = self._started().highwater(self._places[partition])
        except (IllegalStateError, AssertionError, Unavailable):
            return None
        return end

    async def note_handled(self, offsets: Mapping[int, int], note: str) -> None:
        """See the port."""
        if self._group is None or not offsets:
            return
        with translating():
            try:
                await self._started().commit(
                    {self._places[partition]: (offset, note) for partition, offset in offsets.items()}
                )
            except (CommitFailedError, IllegalStateError) as error:
                raise NotAssigned(
                    f"the partitions are not this member's any more: {error}",
                    facts={"partitions": sorted(offsets)},
                ) from None

    async def stop(self) -> None:
        """See the port."""
        self._sought.clear()
        consumer, self._consumer = self._consumer, None
        admin, self._admin = self._admin, None
        try:
            if consumer is not None:
                await stop_client(consumer)
        finally:
            if admin is not None:
                await admin.close()
            await self._peek.stop()

    def _started(self) -> Any:
        if self._consumer is None:
            raise Unavailable(f"the reader of topic {self._topic} is not started")
        return self._consumer


_ListenerBase: Any = ConsumerRebalanceListener  # aiokafka has no types; coroutines are fine


class _Listener(_ListenerBase):  # type: ignore[misc]
    """Passes on what aiokafka says; it swallows what these raise, so nothing depends on them."""

    def __init__(self, sought: dict[int, int], owner: Owner) -> None:
        self._sought = sought
        self._owner = owner

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._sought.clear()
        await self._owner.revoked()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._sought.clear()
        await self._owner.assigned(frozenset(place.partition for place in assigned))


def _size(records: Sequence[LogRecord]) -> int:
    """About how many bytes records have: adding up the headers of all would take longer than all else here."""
    if not records:
        return 0
    data = sum([len(record.key or b"") + len(record.value or b"") for record in records])
    sample = records[::SIZED_EVERY]
    headers = sum([len(name) + len(value) for record in sample for name, value in record.headers])
    return data + headers * len(records) // len(sample)


def _not_assigned(partition: int) -> NotAssigned:
    return NotAssigned(
        f"partition {partition} is not this member's, or was not sought yet", facts={"partition": partition}
    )
