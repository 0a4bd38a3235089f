"""The events of one transaction: each with its position, its salt and digest, and its place in the chain."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from msgspec.structs import force_setattr

from runfold_events.contract.envelope import DATA_VERSION, RecordedEvent, body_digest, chain_value
from runfold_events.contract.submission import Actor
from runfold_events.ports import IdSource, PartitionRow
from runfold_events.standing import Stream

Body = tuple[str, bytes]  # of an event: content type, and what is stored


class Origin(Protocol):
    """Where an event comes from: what a submission says of its own events."""

    @property
    def occurred_at(self) -> int: ...
    @property
    def writer_id(self) -> UUID: ...
    @property
    def writer_seq(self) -> int: ...
    @property
    def actor(self) -> Actor: ...
    @property
    def door(self) -> str: ...
    @property
    def causation_id(self) -> UUID | None: ...
    @property
    def correlation_id(self) -> UUID | None: ...
    @property
    def traceparent(self) -> str | None: ...


class Recorder:
    """Appends to one partition, from where its row stands."""

    def __init__(self, epoch: UUID, row: PartitionRow, ids: IdSource) -> None:
        self.events: list[RecordedEvent] = []
        self.next_pos = row.next_pos
        self._epoch = epoch
        self._partition = row.partition
        self._now = row.now
        self._chain = row.chain_head
        self._ids = ids

    def record(self, stream: Stream, origin: Origin, event_type: str, body: Body) -> RecordedEvent:
        """The next event, which goes into ``stream``; the stream itself is told by whoever knows what it says."""
        content_type, data = body
        actor = origin.actor
        salt = self._ids.salt()
        # By place: naming the fields takes five times as long as all the rest of making an event.
        event = RecordedEvent(
            self._partition,
            self.next_pos,
            stream.seq + 1,
            origin.occurred_at,
            self._now,
            origin.writer_seq,
            self._ids.event_id(),
            self._epoch,
            origin.writer_id,
            event_type,
            stream.name,
            actor.name,
            actor.source,
            origin.door,
            body_digest(salt, data),
            data,
            DATA_VERSION,
            content_type,
            origin.causation_id,
            origin.correlation_id,
            origin.traceparent,
            slice=stream.slice,
            salt=salt,
            chain=b"",
        )
        self._chain = chain_value(self._chain, event)
        # Its own chain value cannot be known before the rest of it is there.
        force_setattr(event, "chain", self._chain)
        self.next_pos += 1
        self.events.append(event)
        return event
