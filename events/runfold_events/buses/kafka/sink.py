"""The events topic, as its publisher sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from runfold_events.buses.kafka.clients import Cluster
from runfold_events.buses.kafka.peek import Peek
from runfold_events.buses.kafka.sender import Sender
from runfold_events.contract import limits
from runfold_events.contract.cloudevents import event_record
from runfold_events.contract.envelope import PublicEvent
from runfold_events.log_door import LogRecord
from runfold_events.log_ports import LogMismatch, Published

TAIL_RECORDS: Final = 100  # so many records of others may stand behind our last one
DEADLINE_S: Final = 10.0


class KafkaEventSink:
    """See :class:`~runfold_events.log_ports.EventSink`."""

    def __init__(
        self, cluster: Cluster, topic: str, partitions: int, *, deadline_s: float = DEADLINE_S
    ) -> None:
        self._topic = topic
        self._peek = Peek(cluster, topic, partitions)
        self._sender = Sender(cluster, limits.EVENT_BYTES_MAX, deadline_s)

    async def last(self, partition: int) -> Published | None:
        """See the port."""
        bounds = (await self._peek.bounds())[partition]
        if bounds.begin == bounds.end:
            return None
        tail = await self._tail(partition, max(bounds.begin, bounds.end - TAIL_RECORDS), bounds.end)
        for record in reversed(tail):
            published = published_of(record)
            if published is not None:
                return published
        raise LogMismatch(
            f"partition {partition} of topic {self._topic} holds records, but none of the last {len(tail)} is an "
            "event of a store: somebody else writes to it, or it is another topic",
            facts={"topic": self._topic, "partition": partition},
        )

    async def _tail(self, partition: int, offset: int, end: int) -> list[LogRecord]:
        tail: list[LogRecord] = []
        while offset < end:
            found = await self._peek.records(partition, offset, TAIL_RECORDS)
            if not found:
                break
            tail += found
            offset = found[-1].offset + 1
        return tail

    async def publish(self, partition: int, events: Sequence[PublicEvent]) -> None:
        """See the port."""
        await self._sender.send_packed(self._topic, partition, map(event_record, events))

    async def stop(self) -> None:
        """See the port."""
        try:
            await self._sender.stop()
        finally:
            await self._peek.stop()


def published_of(record: LogRecord) -> Published | None:
    """Which event a record announces; None when it is not one of ours."""
    headers = dict(record.headers)
    try:
        return Published(
            pos=int(headers["ce_sequence"]),
            epoch=UUID(headers["ce_epoch"].decode()),
            id=UUID(headers["ce_id"].decode()),
        )
    except (KeyError, ValueError, AttributeError):
        return None
