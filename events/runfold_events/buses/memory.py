"""The logs in memory, for tests of what reads and writes them. One process, one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from runfold_events.contract import limits
from runfold_events.contract.cloudevents import Record, event_record
from runfold_events.contract.envelope import PublicEvent
from runfold_events.contract.errors import LimitExceeded, Unavailable
from runfold_events.log_door import LogRecord
from runfold_events.log_ports import (
    Bounds,
    Committed,
    LogMismatch,
    NotAssigned,
    OffsetGone,
    Owner,
    Published,
    TopicState,
)


class MemoryTopic:
    """A topic that tests may also damage."""

    def __init__(self, partitions: int) -> None:
        self.begins = [0] * partitions
        self.ends = [0] * partitions
        self.records: list[dict[int, LogRecord]] = [{} for _ in range(partitions)]
        self._grown = asyncio.Condition()

    async def append(self, partition: int, record: Record, timestamp_ms: int = 0) -> LogRecord:
        """Append one record."""
        offset = self.ends[partition]
        kept = LogRecord(partition, offset, timestamp_ms, record.key, record.value, record.headers)
        await self.append_raw(kept)
        return kept

    async def append_raw(self, record: LogRecord) -> None:
        """Append a record as it is; its offset may leave a hole before it."""
        self.records[record.partition][record.offset] = record
        self.ends[record.partition] = record.offset + 1
        async with self._grown:
            self._grown.notify_all()

    def drop_before(self, partition: int, offset: int) -> None:
        """What retention does."""
        self.begins[partition] = offset
        kept = self.records[partition]
        self.records[partition] = {at: record for at, record in kept.items() if at >= offset}

    def recreate(self) -> None:
        """What deleting the topic and making it again does."""
        partitions = len(self.ends)
        self.begins, self.ends = [0] * partitions, [0] * partitions
        self.records = [{} for _ in range(partitions)]

    def bounds(self, partition: int) -> Bounds:
        """What a partition holds."""
        return Bounds(self.begins[partition], self.ends[partition])

    async def wait_beyond(self, partition: int, offset: int, wait_s: float) -> None:
        """Return when the partition ends after ``offset``, or ``wait_s`` has passed."""
        try:
            async with asyncio.timeout(wait_s), self._grown:
                await self._grown.wait_for(lambda: self.ends[partition] > offset)
        except TimeoutError:
            return


class MemoryGroup:
    """Divides the partitions of a topic among its members, revoking all of them each time, as Kafka's eager way is."""

    def __init__(self, topic: MemoryTopic) -> None:
        self.topic = topic
        self.committed: dict[int, Committed] = {}
        self.members: list[MemoryCommandSource] = []

    async def rebalance(self) -> None:
        """Assign everything anew."""
        for member in self.members:
            await member.revoke()
        for index, member in enumerate(self.members):
            numbers = range(index, len(self.topic.ends), len(self.members))
            await member.assign(frozenset(numbers))


class MemoryCommandSource:
    """See :class:`~runfold_events.log_ports.CommandSource`."""

    def __init__(self, group: MemoryGroup) -> None:
        self._group = group
        self._topic = group.topic
        self._owner: Owner | None = None
        self._assigned: frozenset[int] = frozenset()
        self._positions: dict[int, int] = {}

    async def bounds(self) -> dict[int, Bounds]:
        """See the port."""
        return {number: self._topic.bounds(number) for number in range(len(self._topic.ends))}

    async def record_at(self, partition: int, offset: int) -> LogRecord | None:
        """See the port."""
        return self._topic.records[partition].get(offset)

    async def committed(self) -> dict[int, Committed]:
        """See the port."""
        return dict(self._group.committed)

    async def start(self, owner: Owner) -> None:
        """See the port."""
        self._owner = owner
        self._group.members.append(self)
        await self._group.rebalance()

    async def assign(self, partitions: frozenset[int]) -> None:
        """What the group does with a member."""
        self._assigned, self._positions = partitions, {}
        if self._owner is not None:
            await self._owner.assigned(partitions)

    async def revoke(self) -> None:
        """What the group does with a member."""
        self._assigned, self._positions = frozenset(), {}
        if self._owner is not None:
            await self._owner.revoked()

    def seek(self, partition: int, offset: int) -> None:
        """See the port."""
        if partition not in self._assigned:
            raise _not_assigned(partition)
        self._positions[partition] = offset

    async def fetch(
        self, partition: int, *, records_max: int, bytes_max: int, wait_s: float
    ) -> list[LogRecord]:
        """See the port."""
        position = self._position(partition)
        bounds = self._topic.bounds(partition)
        if not bounds.begin <= position <= bounds.end:
            raise OffsetGone(f"partition {partition} holds {bounds.begin} to {bounds.end}, not {position}")
        if position == bounds.end:
            await self._topic.wait_beyond(partition, position, wait_s)
            self._position(partition)
        found: list[LogRecord] = []
        size = 0
        for offset, record in sorted(self._topic.records[partition].items()):
            if offset >= position and len(found) < records_max and size < bytes_max:
                found.append(record)
                size += len(record.value or b"")
        if found:
            self._positions[partition] = found[-1].offset + 1
        return found

    def _position(self, partition: int) -> int:
        if partition not in self._positions:
            raise _not_assigned(partition)
        return self._positions[partition]

    def end_hint(self, partition: int) -> int | None:
        """See the port."""
        return self._topic.ends[partition]

    async def note_handled(self, offsets: Mapping[int, int], note: str) -> None:
        """See the port."""
        for partition, offset in offsets.items():
            if partition not in self._assigned:
                raise _not_assigned(partition)
            self._group.committed[partition] = Committed(offset, note)

    async def stop(self) -> None:
        """See the port."""
        if self in self._group.members:
            self._group.members.remove(self)
            self._assigned, self._positions = frozenset(), {}
            await self._group.rebalance()


class MemoryEventSink:
    """See :class:`~runfold_events.log_ports.EventSink`. ``before_each`` is called before an event is appended."""

    def __init__(self, topic: MemoryTopic, before_each: Callable[[PublicEvent], None] | None = None) -> None:
        self.topic = topic
        self._before_each = before_each

    async def last(self, partition: int) -> Published | None:
        """See the port."""
        kept = self.topic.records[partition]
        for offset in sorted(kept, reverse=True):
            headers = dict(kept[offset].headers)
            if "ce_sequence" in headers:
                return Published(
                    pos=int(headers["ce_sequence"]),
                    epoch=UUID(headers["ce_epoch"].decode()),
                    id=UUID(headers["ce_id"].decode()),
                )
        if kept:
            raise LogMismatch(f"partition {partition} holds records, but no events")
        return None

    async def publish(self, partition: int, events: Sequence[PublicEvent]) -> None:
        """See the port."""
        records = [event_record(event) for event in events]
        for record in records:
            if record.size_bytes > limits.EVENT_BYTES_MAX:
                raise LimitExceeded(f"a record may have {limits.EVENT_BYTES_MAX} bytes")
        for event, record in zip(events, records, strict=True):
            if self._before_each is not None:
                self._before_each(event)
            await self.topic.append(partition, record)

    async def stop(self) -> None:
        """See the port."""


class MemoryReplyTopics:
    """See :class:`~runfold_events.log_ports.ReplyTopics`."""

    def __init__(self, *names: str) -> None:
        self.sent: dict[str, list[Record]] = {name: [] for name in names}
        self.asked = 0

    async def existing(self) -> frozenset[str]:
        """See the port."""
        self.asked += 1
        return frozenset(self.sent)

    async def send(self, topic: str, record: Record) -> None:
        """See the port."""
        if topic not in self.sent:
            raise Unavailable(f"there is no topic {topic}")
        self.sent[topic].append(record)

    async def stop(self) -> None:
        """See the port."""


class MemoryTopicAdmin:
    """See :class:`~runfold_events.log_ports.TopicAdmin`."""

    def __init__(self, **topics: TopicState) -> None:
        self.topics = topics
        self.made: list[str] = []

    async def describe(self, name: str) -> TopicState | None:
        """See the port."""
        return self.topics.get(name)

    async def create(self, name: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> None:
        """See the port."""
        self.made.append(name)
        self.topics.setdefault(name, TopicState(partitions, replicas, dict(settings)))

    async def stop(self) -> None:
        """See the port."""


def _not_assigned(partition: int) -> NotAssigned:
    return NotAssigned(f"partition {partition} is not this member's, or was not sought yet")
