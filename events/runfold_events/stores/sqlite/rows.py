"""Between structs and rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec

from runfold_events.contract.envelope import LedgerDamaged, RecordedEvent
from runfold_events.ports import Head, PartitionRow, Range, WriterMark

Row = tuple[Any, ...]

POSITION_SHIFT: Final = 43  # position = partition << 43 | pos: 1,024 partitions of 2^43 events in 63 bits
UUIDS_CACHED: Final = 4_096  # writers, epochs and correlations repeat from event to event

_NO_RANGES: Final = "[]"
_encode_ranges = msgspec.json.Encoder().encode
_decode_ranges = msgspec.json.Decoder(tuple[Range, ...]).decode


def position(partition: int, pos: int) -> int:
    """The rowid of an event."""
    return (partition << POSITION_SHIFT) + pos


@lru_cache(UUIDS_CACHED)
def _uuid(value: bytes) -> UUID:
    return UUID(bytes=value)


def event_of(row: Row) -> RecordedEvent:
    """The event of a row that has the envelope's columns in the envelope's order."""
    causation, correlation = row[15], row[16]
    # By place, as events are made: naming all fields takes longer than all the rest.
    return RecordedEvent(
        row[4],  # partition
        row[5],  # pos
        row[3],  # stream_seq
        row[8],  # occurred_at
        row[9],  # recorded_at
        row[14],  # writer_seq
        UUID(bytes=row[0]),
        _uuid(row[7]),  # epoch
        _uuid(row[13]),  # writer_id
        row[1],  # type
        row[2],  # stream
        row[10],  # actor
        row[11],  # actor_source
        row[12],  # door
        row[23],  # digest
        row[25],  # body
        row[18],  # data_version
        row[19],  # content_type
        None if causation is None else UUID(bytes=causation),
        None if correlation is None else _uuid(correlation),
        row[17],  # traceparent
        slice=row[6],
        salt=row[22],
        chain=row[24],
        subject=row[20],
        key_id=row[21],
    )


def check_dense(events: Sequence[RecordedEvent], row: PartitionRow) -> None:
    """Raise :class:`LedgerDamaged` unless ``events`` go on from ``row`` without a hole."""
    partition, pos = row.partition, row.next_pos
    for event in events:
        if event.pos != pos or event.partition != partition:
            raise LedgerDamaged(
                f"partition {partition} goes on at position {pos}, "
                f"but the event says position {event.pos} of partition {event.partition}",
                facts={"partition": partition, "expected": pos, "pos": event.pos},
            )
        pos += 1


def event_rows(events: Iterable[RecordedEvent]) -> Iterator[Row]:
    """Rows for ``append_event``, made one by one while they are inserted."""
    for event in events:
        causation, correlation = event.causation_id, event.correlation_id
        yield (
            (event.partition << POSITION_SHIFT) + event.pos,
            event.id.bytes,
            event.type,
            event.stream,
            event.stream_seq,
            event.partition,
            event.pos,
            event.slice,
            event.epoch.bytes,
            event.occurred_at,
            event.recorded_at,
            event.actor,
            event.actor_source,
            event.door,
            event.writer_id.bytes,
            event.writer_seq,
            None if causation is None else causation.bytes,
            None if correlation is None else correlation.bytes,
            event.traceparent,
            event.data_version,
            event.content_type,
            event.subject,
            event.key_id,
            event.salt,
            event.digest,
            event.chain,
            event.body,
        )


def head_of(row: Row) -> Head:
    """The head of a row of ``heads``."""
    return Head(row[0], row[1], row[2])


def mark_of(row: Row) -> WriterMark:
    """The mark of a row of ``writer_marks``."""
    return WriterMark(
        row[0],
        _uuid(row[1]),
        row[2],
        row[3],
        _ranges_of(row[4]),
        _ranges_of(row[5]),
        bool(row[6]),
        row[7],
    )


def mark_row(mark: WriterMark) -> Row:
    """The row of ``writer_marks`` for a mark."""
    return (
        mark.stream,
        mark.writer_id.bytes,
        mark.highest,
        mark.digest,
        _ranges_text(mark.gaps),
        _ranges_text(mark.lost),
        int(mark.refused_creation),
        mark.announced,
    )


def _ranges_text(ranges: tuple[Range, ...]) -> str:
    return _encode_ranges(ranges).decode() if ranges else _NO_RANGES


def _ranges_of(text: str) -> tuple[Range, ...]:
    return () if text == _NO_RANGES else _decode_ranges(text)


def json_array(values: Iterable[str]) -> str:
    """A parameter for ``json_each``."""
    return msgspec.json.encode(list(values)).decode()
