"""Between structs and Postgres rows. Composite rows have the columns of ``schema.sql`` in their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from runfold_events.contract.envelope import LedgerDamaged, PublicEvent, RecordedEvent
from runfold_events.contract.ids import uuid_of
from runfold_events.ports import Head, Holders, Loaded, LogMark, PartitionRow, Range, WriterKey, WriterMark

Row = tuple[Any, ...]

_UUIDS_CACHED_MAX: Final = 16_384

EVENT_COLUMNS = (
    "partition, pos, stream_seq, occurred_at, recorded_at, writer_seq, slice, data_version, id, epoch, writer_id, "
    "causation_id, correlation_id, type, stream, actor, actor_source, door, traceparent, content_type, subject, "
    "key_id, salt, digest, chain, body"
)


# In the order of PublicEvent's fields. Its UUIDs stay asyncpg's, a subclass of UUID that msgspec does not encode.
PUBLIC_COLUMNS = ", ".join(PublicEvent.__struct_fields__)


def event_row(event: RecordedEvent) -> Row:
    """A row of ``events``."""
    return (
        event.partition,
        event.pos,
        event.stream_seq,
        event.occurred_at,
        event.recorded_at,
        event.writer_seq,
        event.slice,
        event.data_version,
        event.id,
        event.epoch,
        event.writer_id,
        event.causation_id,
        event.correlation_id,
        event.type,
        event.stream,
        event.actor,
        event.actor_source,
        event.door,
        event.traceparent,
        event.content_type,
        event.subject,
        event.key_id,
        event.salt,
        event.digest,
        event.chain,
        event.body,
    )


def event_of(row: Sequence[Any]) -> RecordedEvent:
    """The event of a row selected as ``EVENT_COLUMNS``."""
    return RecordedEvent(
        partition=row[0],
        pos=row[1],
        stream_seq=row[2],
        occurred_at=row[3],
        recorded_at=row[4],
        writer_seq=row[5],
        slice=row[6],
        data_version=row[7],
        id=_uuid(row[8]),
        epoch=_uuid_again(row[9]),
        writer_id=_uuid_again(row[10]),
        causation_id=None if row[11] is None else _uuid(row[11]),
        correlation_id=None if row[12] is None else _uuid(row[12]),
        type=row[13],
        stream=row[14],
        actor=row[15],
        actor_source=row[16],
        door=row[17],
        traceparent=row[18],
        content_type=row[19],
        subject=row[20],
        key_id=row[21],
        salt=row[22],
        digest=row[23],
        chain=row[24],
        body=row[25],
    )


def _uuid(value: UUID) -> UUID:
    """asyncpg's UUIDs are a subclass that msgspec does not encode."""
    return uuid_of(value.int)


_uuid_again = lru_cache(maxsize=_UUIDS_CACHED_MAX)(_uuid)  # for those that many events have


def check_dense(events: Sequence[RecordedEvent], row: PartitionRow) -> None:
    """Raise :class:`LedgerDamaged` unless ``events`` go on from ``row`` without a hole."""
    for offset, event in enumerate(events):
        if event.partition != row.partition or event.pos != row.next_pos + offset:
            raise LedgerDamaged(
                f"partition {row.partition} goes on at position {row.next_pos + offset}, "
                f"but the event says position {event.pos} of partition {event.partition}",
                facts={"partition": row.partition, "expected": row.next_pos + offset, "pos": event.pos},
            )


def partition_row_of(partition: int, row: Sequence[Any]) -> PartitionRow:
    """What ``lock_partition`` returned."""
    next_offset, next_pos, chain_head, now, last_offset, last_timestamp_ms, last_key, last_writer_seq = row
    last = None if last_offset is None else LogMark(last_offset, last_timestamp_ms, last_key, last_writer_seq)
    return PartitionRow(partition, next_offset, next_pos, chain_head, now, last)


def log_mark_values(mark: LogMark | None) -> Row:
    """The last four parameters of ``append``."""
    return (None,) * 4 if mark is None else (mark.offset, mark.timestamp_ms, mark.key, mark.writer_seq)


def head_row(head: Head) -> Row:
    """A row of ``heads``."""
    return head.stream, head.stream_seq, head.state


def mark_row(mark: WriterMark) -> Row:
    """A row of ``writer_marks``."""
    return (
        mark.stream,
        mark.writer_id,
        mark.highest,
        mark.refused_creation,
        mark.digest,
        _flat(mark.gaps),
        _flat(mark.lost),
    )


def _flat(ranges: Iterable[Range]) -> list[int]:
    return [number for pair in ranges for number in pair]


def ranges_of(flat: Sequence[int]) -> tuple[Range, ...]:
    """``first, last, first, last, …`` as pairs."""
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def loaded_of(rows: Iterable[Sequence[Any]]) -> Loaded:
    """What ``load_decision`` returned: rows of three kinds."""
    heads: dict[str, Head] = {}
    marks: dict[WriterKey, WriterMark] = {}
    holders: dict[str, dict[bool, set[UUID]]] = {}
    for kind, stream, identity, number, data, gaps, lost, flag, announced in rows:
        if kind == "head":
            heads[stream] = Head(stream, number, data)
        elif kind == "mark":
            writer_id = _uuid(identity)
            marks[stream, writer_id] = WriterMark(
                stream, writer_id, number, data, ranges_of(gaps), ranges_of(lost), flag, announced
            )
        else:
            holders.setdefault(stream, {True: set(), False: set()})[flag].add(_uuid(identity))
    return Loaded(
        heads=heads,
        marks=marks,
        holders={
            stream: Holders(frozenset(by[True]), frozenset(by[False])) for stream, by in holders.items()
        },
    )


def mark_of(row: Sequence[Any]) -> WriterMark:
    """A mark with what its writer has announced."""
    stream, writer_id, highest, digest, gaps, lost, refused_creation, announced = row
    return WriterMark(
        stream,
        _uuid(writer_id),
        highest,
        digest,
        ranges_of(gaps),
        ranges_of(lost),
        refused_creation,
        announced,
    )
