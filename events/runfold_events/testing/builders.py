"""Builders of stored events, and ids that repeat from run to run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from runfold_events.contract.envelope import RecordedEvent, body_digest, chain_value
from runfold_events.contract.ids import partition_of, slice_of
from runfold_events.ports import EventStore, IdSource, PartitionRow

WRITER: Final = UUID(int=0xA11CE)
ACTOR: Final = "tester"


class CountingIds:
    """``IdSource`` whose ids and salts are 1, 2, 3…"""

    def __init__(self, start: int = 0) -> None:
        self._count = start

    def _next(self) -> int:
        self._count += 1
        return self._count

    def event_id(self) -> UUID:
        """See the port."""
        return UUID(int=self._next())

    def salt(self) -> bytes:
        """See the port."""
        return self._next().to_bytes(16, "big")


class EventBuilder:
    """Makes events that fit a store: numbers per stream, positions, digests and chain are right.

    It remembers the last number of each stream, so one builder serves one store.
    """

    def __init__(self, epoch: UUID, ids: IdSource | None = None) -> None:
        self._epoch = epoch
        self._ids: IdSource = ids or CountingIds()
        self._last: dict[str, int] = {}

    def event(
        self, stream: str, type_: str = "run.tags_set", body: bytes = b"{}", **fields: Any
    ) -> RecordedEvent:
        """An event without a place; :meth:`place` gives it one. ``fields`` replace what is made up."""
        salt = self._ids.salt()
        values: dict[str, Any] = {
            "id": self._ids.event_id(),
            "type": type_,
            "stream": stream,
            "stream_seq": 0,
            "partition": 0,
            "pos": 0,
            "slice": slice_of(stream),
            "epoch": self._epoch,
            "occurred_at": 1_700_000_000_000_000,
            "recorded_at": 1_700_000_000_000_001,
            "actor": ACTOR,
            "actor_source": "os",
            "door": "embedded",
            "writer_id": WRITER,
            "writer_seq": 1,
            "salt": salt,
            "digest": body_digest(salt, body),
            "chain": b"",
            "body": body,
        }
        return RecordedEvent(**{**values, **fields})

    def events(self, stream: str, count: int, **fields: Any) -> list[RecordedEvent]:
        """``count`` events alike but for their ids and salts."""
        return [self.event(stream, **fields) for _ in range(count)]

    def place(self, row: PartitionRow, events: Iterable[RecordedEvent]) -> list[RecordedEvent]:
        """``events`` at the end of the partition that ``row`` shows: positions, stream numbers, chain."""
        placed: list[RecordedEvent] = []
        chain = row.chain_head
        for pos, event in enumerate(events, row.next_pos):
            seq = self._last.get(event.stream, 0) + 1
            self._last[event.stream] = seq
            located = replace(event, partition=row.partition, pos=pos, stream_seq=seq, recorded_at=row.now)
            chain = chain_value(chain, located)
            placed.append(replace(located, chain=chain))
        return placed

    def go_on(self, stream: str, stream_seq: int) -> None:
        """``stream`` has come to ``stream_seq`` by other hands."""
        self._last[stream] = stream_seq

    def forget(self, placed: Sequence[RecordedEvent]) -> None:
        """``placed`` was rolled back: their numbers are free again."""
        for event in placed:
            self._last[event.stream] -= 1


def stream_in(partition: int, partitions: int, name: str = "r") -> str:
    """A run's stream that lies in ``partition``."""
    candidates = (f"default/run/{name}{number}" for number in range(100_000))
    return next(stream for stream in candidates if partition_of(stream, partitions) == partition)


def builder_for(store: EventStore) -> EventBuilder:
    """A builder for an empty store."""
    return EventBuilder(store.epoch)
