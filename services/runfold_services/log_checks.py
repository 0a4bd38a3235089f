"""Do a store and the logs around it belong together? Asked before either is read or written."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from runfold_events.contract.codec import decode_event
from runfold_events.contract.events import StoreRestored
from runfold_events.contract.ids import system_stream
from runfold_events.log_door import LogRecord
from runfold_events.log_ports import Bounds, Committed, LogMismatch, LogStore, Published
from runfold_events.ports import LogMark, PartitionRow

RESTORED = "store_restored"
REPLACED = "log_replaced"
EVENTS_PER_READ = 1_000


class Overtaken(Struct, frozen=True):
    """The log begins after the cursor: what lies between was deleted before it was handled."""

    first: int
    last: int


class CommandLog(Struct, frozen=True):
    """A partition of the command log, as a check needs it."""

    bounds: Bounds
    last_handled: LogRecord | None  # the record at the offset of the cursor's mark, where the log holds it
    committed: Committed | None


def marked_offset(row: PartitionRow, bounds: Bounds) -> int | None:
    """Where the record lies that the cursor stands behind; None when the log does not reach there."""
    mark = row.last_record
    return None if mark is None or not bounds.begin <= mark.offset < bounds.end else mark.offset


def check_commands(row: PartitionRow, log: CommandLog, epoch: UUID) -> Overtaken | None:
    """Compare a partition's cursor with the command log.

    Returns:
        What was deleted before it was handled, if anything was.

    Raises:
        LogMismatch: the store was set back (code ``store_restored``), or the log is another one (``log_replaced``).
    """
    noted = log.committed
    is_ahead = noted is not None and noted.note == str(epoch) and noted.offset > row.next_offset
    if noted is not None and is_ahead and not row_was_moved(row):
        raise LogMismatch(
            f"partition {row.partition}: offsets up to {noted.offset} were handled for this store, which now knows of "
            f"{row.next_offset}: it was restored from a backup. Run `runfold ledger restored` first",
            code=RESTORED,
            facts={
                "partition": row.partition,
                "committed": noted.offset,
                "next_offset": row.next_offset,
            },
        )
    if row.next_offset > log.bounds.end:
        raise _replaced(row, f"it ends at {log.bounds.end}, before the cursor {row.next_offset}")
    if marked_offset(row, log.bounds) is not None and not _is_marked(row.last_record, log.last_handled):
        raise _replaced(
            row, f"offset {row.next_offset - 1} holds another record than the one that was handled"
        )
    if log.bounds.begin > row.next_offset:
        return Overtaken(row.next_offset, log.bounds.begin - 1)
    return None


def row_was_moved(row: PartitionRow) -> bool:
    """True when the cursor was moved by hand, as LogDoor.record_loss does, and nothing was handled since."""
    mark = row.last_record
    return mark is not None and (mark.offset, mark.timestamp_ms, mark.key) == (row.next_offset - 1, 0, b"")


def _is_marked(mark: LogMark | None, record: LogRecord | None) -> bool:
    return (
        mark is not None
        and record is not None
        and (record.timestamp_ms, record.key or b"") == (mark.timestamp_ms, mark.key)
        and mark.writer_seq in (None, _writer_seq(record))
    )


def _writer_seq(record: LogRecord) -> int | None:
    number = {name.lower(): value for name, value in record.headers}.get("ce_writerseq", b"")
    return int(number) if number.isdigit() else None


def _replaced(row: PartitionRow, why: str) -> LogMismatch:
    return LogMismatch(
        f"partition {row.partition} of the command topic is not the log that the store knows: {why}. The topic was "
        "made anew, has lost its end, or is another one. If it is the right one, start once with "
        "RUNFOLD_KAFKA_ADOPTS_LOG=yes: the loss is recorded and everything the topic holds is handled",
        code=REPLACED,
        facts={"partition": row.partition, "next_offset": row.next_offset},
    )


async def resume_position(store: LogStore, partition: int, last: Published | None, *, noted: int) -> int:
    """The position from which events are to be published.

    Args:
        store: what is published.
        partition: of both.
        last: the event log's last event.
        noted: the store's own note, which counts when the log is empty.

    Raises:
        LogMismatch: the log says what the store does not (code ``store_restored``), or is another store's
            (``log_replaced``).
    """
    if last is None:
        return noted
    found = await store.read(partition, last.pos, 1)
    if found and found[0].id == last.id:
        return last.pos + 1
    facts = {"partition": partition, "pos": last.pos, "epoch": str(last.epoch)}
    if last.epoch == store.epoch:
        raise LogMismatch(
            f"partition {partition} of the event topic holds position {last.pos}, of which the store knows nothing: it "
            "was restored from a backup. Run `runfold ledger restored` first",
            code=RESTORED,
            facts=facts,
        )
    restored = await _restored_after(store, partition, last.epoch)
    if restored is None:
        raise LogMismatch(
            f"partition {partition} of the event topic holds events of epoch {last.epoch}, which this store never had: "
            "it is another store's topic",
            code=REPLACED,
            facts=facts,
        )
    return restored


async def _restored_after(store: LogStore, partition: int, epoch: UUID) -> int | None:
    """Where the store says that it was restored in ``epoch``."""
    stream, seq = system_stream(partition), 1
    while events := await store.read_stream(stream, seq, EVENTS_PER_READ):
        for event in events:
            if event.type == "store.restored":
                body = decode_event(event)
                if isinstance(body, StoreRestored) and body.previous_epoch == epoch:
                    return event.pos
        seq = events[-1].stream_seq + 1
    return None
