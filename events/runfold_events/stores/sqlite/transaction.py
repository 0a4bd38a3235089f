"""One transaction on one partition."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import Final
from uuid import UUID

from runfold_events.clock import Clock
from runfold_events.contract.errors import Invalid, Unavailable
from runfold_events.contract.events import ERASED
from runfold_events.ports import Head, Holders, Loaded, PartitionRow, Write, WriterKey, WriterMark
from runfold_events.stores.sqlite import forks
from runfold_events.stores.sqlite.failures import Translating
from runfold_events.stores.sqlite.rows import check_dense, event_rows, head_of, json_array, mark_of, mark_row
from runfold_events.stores.sqlite.steps import Step
from runfold_events.stores.sqlite.writer import Writer

FEW_STREAMS_MAX: Final = 4  # up to here one statement per stream is faster than one for all

_EPOCH: Final = Step("epoch")
_PARTITION_ROW: Final = Step("partition_row")
_HEAD: Final = Step("head")
_HEADS: Final = Step("heads")
_MARK: Final = Step("mark")
_MARKS: Final = Step("marks")
_HOLDERS: Final = Step("holders")
_HOLDERS_OF_MANY: Final = Step("holders_of_many")
_APPEND: Final = Step("append_event")
_MOVE: Final = Step("move_partition")
_ERASE_BODIES: Final = Step("erase_bodies")
_ERASE_DIGESTS: Final = Step("erase_mark_digests")
_PUT_HEAD: Final = Step("put_head")
_PUT_MARK: Final = Step("put_mark")
_PUT_HELD: Final = Step("put_held")
_DROP_HOLDER: Final = Step("drop_holder")
_PUT_HOLDER: Final = Step("put_holder")
_PUT_LOST: Final = Step("put_lost")
_PUT_FOUND: Final = Step("put_found")
_END_HOLDERS: Final = Step("end_holders")
_END_HELD: Final = Step("end_held")


class SqliteTransaction:
    """Both the context manager that ``SqliteStore.transaction`` returns and the transaction it yields."""

    row: PartitionRow

    def __init__(
        self, writer: Writer, clock: Clock, partition: int, epoch: UUID, *, writes_at_end: bool
    ) -> None:
        self._writer = writer
        self._epoch = epoch
        self._clock = clock
        self._partition = partition
        self._writes_at_end = writes_at_end
        self._connection: sqlite3.Connection | None = None
        self._write: Write | None = None
        self._translating = Translating(writer.place)
        self._generation = forks.generation()

    async def __aenter__(self) -> SqliteTransaction:
        connection = self._writer.begin()
        try:
            with self._translating:
                check_epoch(connection, self._epoch, self._writer.place)
                self.row = partition_row(connection, self._partition, self._clock)
        except BaseException:
            self._writer.rollback()
            raise
        self._connection = connection
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        if self._generation != forks.generation():
            # A fork inside the transaction: it is the parent's, and the child must not end it.
            if error is None:
                raise Unavailable("a child process cannot commit its parent's transaction")
            return
        try:
            if error is None and self._writes_at_end and connection is not None and self._write is not None:
                with self._translating:
                    apply_write(connection, self.row, self._write)
        except BaseException:
            self._writer.rollback()
            raise
        if error is None:
            self._writer.commit()
        else:
            self._writer.rollback()

    async def load(self, streams: Iterable[str], writers: Iterable[WriterKey]) -> Loaded:
        """See the port."""
        connection = self._open_connection()
        wanted = list(dict.fromkeys(streams))
        with self._translating:
            return Loaded(
                heads=load_heads(connection, wanted),
                marks=_load_marks(connection, writers),
                holders=_load_holders(connection, wanted, self.row.now),
            )

    async def write(self, write: Write) -> None:
        """See the port. Raises ``RuntimeError`` when called twice."""
        connection = self._open_connection()
        if self._write is not None:
            raise RuntimeError("a transaction is written at most once")
        check_dense(write.events, self.row)
        _check_erasures(write)
        self._write = write
        if not self._writes_at_end:
            with self._translating:
                apply_write(connection, self.row, write)

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None or self._generation != forks.generation():
            raise RuntimeError("the transaction is not open here")
        return self._connection


def check_epoch(connection: sqlite3.Connection, epoch: UUID, place: str) -> None:
    """Refuse to write to a file that was marked as restored since it was opened: what is known of it is void."""
    if _EPOCH.rows(connection) != [(epoch.bytes,)]:
        raise Unavailable(
            f"{place} was restored from a backup since this program opened it; start the program again",
            facts={"path": place, "epoch": str(epoch)},
        )


def partition_row(connection: sqlite3.Connection, partition: int, clock: Clock) -> PartitionRow:
    """The partition's row, in the transaction that is open."""
    rows = _PARTITION_ROW.rows(connection, (partition,))
    if not rows:
        raise Invalid(f"there is no partition {partition}", facts={"field": "partition", "size": partition})
    next_offset, next_pos, chain_head = rows[0]
    return PartitionRow(partition, next_offset, next_pos, chain_head, clock.now_us())


def load_heads(connection: sqlite3.Connection, streams: list[str]) -> dict[str, Head]:
    """The heads of those of ``streams`` that have one."""
    if len(streams) <= FEW_STREAMS_MAX:
        rows = [row for stream in streams for row in _HEAD.rows(connection, (stream,))]
    else:
        rows = _HEADS.rows(connection, (json_array(streams),))
    return {row[0]: head_of(row) for row in rows}


def _load_marks(connection: sqlite3.Connection, writers: Iterable[WriterKey]) -> dict[WriterKey, WriterMark]:
    wanted = list(dict.fromkeys(writers))
    if len(wanted) <= FEW_STREAMS_MAX:
        rows = [row for stream, writer in wanted for row in _MARK.rows(connection, (stream, writer.bytes))]
    else:
        streams, ids = (
            json_array(stream for stream, _ in wanted),
            b"".join(writer.bytes for _, writer in wanted),
        )
        rows = _MARKS.rows(connection, (streams, ids))
    return {(mark.stream, mark.writer_id): mark for mark in map(mark_of, rows)}


def _load_holders(connection: sqlite3.Connection, streams: list[str], now: int) -> dict[str, Holders]:
    found: dict[str, tuple[set[UUID], set[UUID]]] = {}
    if len(streams) <= FEW_STREAMS_MAX:
        rows = [(*row, stream) for stream in streams for row in _HOLDERS.rows(connection, (now, stream))]
    else:
        rows = _HOLDERS_OF_MANY.rows(connection, (now, json_array(streams)))
    for process_id, is_live, stream in rows:
        live, dead = found.setdefault(stream, (set(), set()))
        (live if is_live else dead).add(UUID(bytes=process_id))
    return {stream: Holders(frozenset(live), frozenset(dead)) for stream, (live, dead) in found.items()}


def _check_erasures(write: Write) -> None:
    if write.erase:
        missing = set(write.erase).difference(event.stream for event in write.events if event.type == ERASED)
        if missing:
            raise ValueError(
                f"erasing {sorted(missing)} needs a {ERASED} event of each in the same transaction"
            )


def apply_write(connection: sqlite3.Connection, row: PartitionRow, write: Write) -> None:
    """Store everything of ``write`` in the transaction that is open."""
    events = write.events
    if events:
        _APPEND.run_many(connection, event_rows(events))
    if events or write.next_offset is not None:
        next_offset = row.next_offset if write.next_offset is None else write.next_offset
        chain_head = events[-1].chain if events else row.chain_head
        _MOVE.run(connection, (next_offset, row.next_pos + len(events), chain_head, row.partition))
    if write.heads:
        _PUT_HEAD.run_many(connection, ((head.stream, head.stream_seq, head.state) for head in write.heads))
    if write.marks:
        _PUT_MARK.run_many(connection, map(mark_row, write.marks))
    if write.erase:
        _erase(connection, write)
    _apply_holders(connection, write)


def _erase(connection: sqlite3.Connection, write: Write) -> None:
    wanted = set(write.erase)
    ends = {event.stream: event.stream_seq for event in write.events if event.type == ERASED}
    _ERASE_BODIES.run_many(connection, ((stream, ends[stream]) for stream in sorted(wanted)))
    _ERASE_DIGESTS.run_many(connection, ((stream,) for stream in sorted(wanted)))


def _apply_holders(connection: sqlite3.Connection, write: Write) -> None:
    if write.drop:
        _DROP_HOLDER.run_many(connection, ((stream, process_id.bytes) for stream, process_id in write.drop))
    if write.hold:
        _PUT_HELD.run_many(connection, ((stream,) for stream, _ in write.hold))
        _PUT_HOLDER.run_many(connection, ((stream, process_id.bytes) for stream, process_id in write.hold))
    if write.lost:
        _PUT_LOST.run_many(connection, ((stream,) for stream in write.lost))
    if write.found:
        _PUT_FOUND.run_many(connection, ((stream,) for stream in write.found))
    if write.ended:
        # Last, so that a run which was started and ended in one transaction is held by nobody.
        _END_HOLDERS.run_many(connection, ((stream,) for stream in write.ended))
        _END_HELD.run_many(connection, ((stream,) for stream in write.ended))
