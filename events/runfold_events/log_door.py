"""The door that reads a command log: records in order, exactly once, by the store's own cursor.

The partition's row holds the next offset to handle; it moves in the transaction that appends what the records gave. So
a record is handled once however often it is delivered, and whoever lost the partition finds the cursor moved and has
done nothing. What cannot be handled is kept with its bytes as ``command.unreadable`` in the stream
``_system/{partition}``, and the cursor moves on. Sent again, it is answered there by ``command.redriven``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from runfold_events.contract import limits
from runfold_events.contract.cloudevents import IncomingCommand, read_command
from runfold_events.contract.commands import EraseRun
from runfold_events.contract.errors import RunfoldError, Unavailable
from runfold_events.contract.events import CommandRedriven, CommandUnreadable, LogLost, SystemEvent
from runfold_events.contract.ids import system_stream
from runfold_events.contract.submission import Actor, Outcome, Refused, Submission, outcome_code
from runfold_events.ledger import Ledger, refusal_of, refusal_of_batch
from runfold_events.ports import LogMark
from runfold_events.senders import Sender, Senders
from runfold_events.unreadable import REDRIVEN_SEQ, claims_entry, redriven_entry
from runfold_events.work import Repeated, Work

# Written as JSON, bytes grow by a third (header names sixfold, but few senders have names of megabytes).
UNREADABLE_BYTES_MAX: Final = limits.COMMAND_BYTES_MAX + 64 * 1024
KEPT_OF_CUT_BYTES: Final = 64 * 1024


class LogRecord(Struct, frozen=True, gc=False):
    """One record of the command log."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Reply(Struct, frozen=True):
    """An answer for a sender that named a reply topic. Best effort: it can always be asked for by its key."""

    topic: str
    key: bytes
    correlation: bytes | None
    writer_id: UUID
    writer_seq: int
    outcome: Outcome


class Handled(Struct, frozen=True):
    """What one call did. ``next_offset`` is where to go on, whoever moved the cursor there."""

    next_offset: int
    records: int = 0  # how many of the given records this call handled
    events: int = 0
    unreadable: int = 0
    gaps: int = 0  # jumps in writers' numbers
    outcomes: Mapping[
        str, int
    ] = {}  # how many commands were "accepted", "repeated", or refused with which code
    replies: tuple[Reply, ...] = ()


class CursorAhead(RunfoldError):
    """The store's cursor stands behind the record that was delivered: records between them were never handled."""

    default_code = "cursor_behind"


class _Parsed(Struct, frozen=True, gc=False):
    """A record with what could be made of it: a command, or the reason why there is none."""

    record: LogRecord
    incoming: IncomingCommand | None
    refusal: Refused | None
    redrives: UUID | None = None  # the event that kept this record as unreadable before
    sender: Sender | None = None  # whose next batch of metrics this is, with nothing wrong about it


class LogDoor:
    """Takes records of one partition at a time into the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        actor_of: Callable[[LogRecord], Actor],
        writer_id: UUID,
        senders: Senders | None = None,
    ) -> None:
        """``writer_id`` numbers what this process itself appends to ``_system`` streams."""
        self._ledger = ledger
        self._actor_of = actor_of
        self._writer_id = writer_id
        self._senders = senders or Senders()

    async def handle(self, records: Sequence[LogRecord], from_offset: int) -> Handled:
        """Handle consecutive records of one partition.

        Args:
            records: in offset order, at least one. Offsets may have holes, as a log's offsets may.
            from_offset: the position they were fetched from, which is the cursor as the caller knows it.

        Raises:
            CursorAhead: the store's cursor is below ``from_offset``; the caller must read again from the cursor.
            Unavailable: the store cannot answer; nothing was handled, or the cursor says what was.
        """
        parsed = await self._with_entries([self._parse(record) for record in records])
        try:
            return await self._transact(parsed, from_offset)
        except (Unavailable, CursorAhead):
            raise
        except Exception as error:
            return await self._bisect(parsed, from_offset, error)

    async def record_loss(
        self, partition: int, *, first: int, last: int, reason: str, from_offset: int, next_offset: int
    ) -> bool:
        """Record that offsets ``first`` to ``last`` are gone, and go on at ``next_offset``, in one transaction.

        ``last`` may stand before ``first``: then nobody knows how many there were, and ``reason`` says why.

        Returns:
            False when the cursor is not at ``from_offset`` any more: somebody else has moved it, and nothing was done.
        """
        system = str(system_stream(partition))
        async with self._ledger.store.transaction(partition) as transaction:
            row = transaction.row
            if row.next_offset != from_offset:
                return False
            loaded = await transaction.load({system}, ())
            work = Work(self._ledger.store.epoch, row, loaded, self._ledger.ids, {})
            work.append_system(system, LogLost(first=first, last=last, reason=reason), self._writer_id, None)
            # No record stands before the new cursor that a later start could compare.
            nothing = LogMark(next_offset - 1, 0, b"")
            await transaction.write(work.write(next_offset=next_offset, last_record=nothing))
        return True

    async def _bisect(self, parsed: list[_Parsed], from_offset: int, error: Exception) -> Handled:
        """Find the record that the store cannot take; keep it as unreadable, and its neighbours as they are."""
        if len(parsed) == 1:
            poisoned = replace(parsed[0], incoming=None, refusal=_broken(error))
            return await self._transact([poisoned], from_offset)
        half = len(parsed) // 2
        done = Handled(from_offset)
        for part in (parsed[:half], parsed[half:]):
            try:
                step = await self._transact(part, done.next_offset)
            except (Unavailable, CursorAhead):
                raise
            except Exception as inner:
                step = await self._bisect(part, done.next_offset, inner)
            done = _joined(done, step)
        return done

    def _parse(self, record: LogRecord) -> _Parsed:
        try:
            return self._read(record)
        except RunfoldError as error:
            return _Parsed(record, None, Refused(code=error.code, message=error.message, facts=error.facts))
        except Exception as error:  # whatever bytes can do to a parser, they must not stop the partition
            return _Parsed(record, None, _broken(error))

    async def _with_entries(self, parsed: list[_Parsed]) -> list[_Parsed]:
        """Find out which records were kept as unreadable before and are sent again; hardly ever any."""
        for index, one in enumerate(parsed):
            record = one.record
            if one.sender is None and claims_entry(record.headers):
                entry = await redriven_entry(self._ledger.store, record.key, record.value, record.headers)
                parsed[index] = replace(one, redrives=entry)
        return parsed

    def _read(self, record: LogRecord) -> _Parsed:
        actor = self._actor_of(record)
        known = self._senders.read(record.partition, record.key, record.value, record.headers, actor)
        if known is not None:
            sender, submission = known
            refusal = refusal_of_batch(submission.content_type, record.value or b"")
            incoming = IncomingCommand(submission, None, None)
            return _Parsed(record, incoming, refusal, None, sender if refusal is None else None)
        incoming = read_command(record.key, record.value, record.headers, actor=actor)
        if isinstance(incoming.submission.command, EraseRun) and not actor.admin:
            why = Refused(
                code="forbidden",
                message=f"only an admin may erase a run, and {actor.name!r} is none: erase it by the HTTP API",
                facts={"field": "ce_type", "actor": actor.name},
            )
            return _Parsed(record, incoming, why)
        expected = incoming.submission.partition(self._ledger.store.partitions)
        if expected != record.partition:
            why = Refused(
                code="invalid",
                message=f"the record lies in partition {record.partition}, its stream belongs to {expected}: "
                "use the murmur2 partitioner (librdkafka: partitioner=murmur2_random)",
                facts={"field": "partition", "limit": expected, "size": record.partition},
            )
            return _Parsed(record, None, why)
        refusal = refusal_of(incoming.submission)
        if refusal is None:
            self._senders.learn(record.partition, record.key, record.headers, incoming.submission)
        return _Parsed(record, incoming, refusal)

    async def _transact(self, parsed: list[_Parsed], from_offset: int) -> Handled:
        partition = parsed[0].record.partition
        senders = {p.sender.key for p in parsed if p.sender is not None}
        batch = [
            p.incoming.submission
            for p in parsed
            if p.sender is None and p.incoming is not None and p.refusal is None
        ]
        numbers = await self._ledger.reserve_numbers(batch)
        streams, writers = self._ledger.concerned(batch)
        streams.update(stream for stream, _ in senders)
        system = str(system_stream(partition))
        async with self._ledger.store.transaction(partition) as transaction:
            row = transaction.row
            if row.next_offset < from_offset:
                raise CursorAhead(
                    f"partition {partition}: records were delivered from offset {from_offset}, "
                    f"but the store has handled only up to {row.next_offset}",
                    facts={
                        "partition": partition,
                        "next_offset": row.next_offset,
                        "from_offset": from_offset,
                    },
                )
            left = [p for p in parsed if p.record.offset >= row.next_offset]
            if not left:
                return Handled(row.next_offset)
            loaded = await transaction.load(streams | {system}, writers | senders)
            work = Work(self._ledger.store.epoch, row, loaded, self._ledger.ids, numbers, takes_jumps=True)
            decided: list[_Parsed] = []
            answers: list[Outcome | Repeated] = []
            unreadable = 0
            for entry in left:
                if _is_logged(work, entry):
                    continue
                decided.append(entry)
                answer, is_kept = self._decide(work, entry, system)
                answers.append(answer)
                unreadable += is_kept
            last = left[-1]
            await transaction.write(
                work.write(next_offset=last.record.offset + 1, last_record=_mark_of(last))
            )
        resolved = await self._ledger.resolve(partition, answers)
        outcomes = Counter(map(outcome_code, resolved))
        if len(decided) < len(left):
            outcomes["accepted"] += len(left) - len(decided)
        return Handled(
            last.record.offset + 1,
            records=len(left),
            events=work.events_count,
            unreadable=unreadable,
            gaps=work.jumps_count,
            outcomes=outcomes,
            replies=tuple(
                reply for p, o in zip(decided, resolved, strict=True) if (reply := _reply(p, o)) is not None
            ),
        )

    def _decide(self, work: Work, entry: _Parsed, system: str) -> tuple[Outcome | Repeated, bool]:
        """Decide one record's command; True when it was kept, so that it can be sent again.

        Kept is what could not be read, and what was refused without an event.
        """
        if entry.incoming is not None and entry.refusal is None:
            answer = work.handle(entry.incoming.submission)
        else:
            answer = entry.refusal or Refused(code="invalid", message="not a command")
        refusal = answer if isinstance(answer, Refused) and answer.event is None else None
        if refusal is not None:
            submission = None if entry.incoming is None else entry.incoming.submission
            work.append_system(
                system, _unreadable(entry.record, refusal), self._writer_id, _caused_by(submission)
            )
        if entry.redrives is not None:
            told = CommandRedriven(offset=entry.record.offset, handled=refusal is None)
            work.append_system(system, told, entry.redrives, writer_seq=REDRIVEN_SEQ)
        return answer, refusal is not None


def _is_logged(work: Work, entry: _Parsed) -> bool:
    """True for one more batch of a known sender, whose record wants no answer, once it is recorded as accepted."""
    return (
        entry.sender is not None
        and entry.incoming is not None
        and work.log_metrics(entry.sender.key, entry.incoming.submission) is not None
    )


def _caused_by(submission: Submission | None) -> UUID | None:
    return None if submission is None else submission.correlation_id


def _unreadable(record: LogRecord, refusal: Refused) -> SystemEvent:
    """What is kept of a record: all its bytes, so that it can be sent again, unless no event could hold them.

    A record can be larger than the topic takes, since the topic's limit is on compressed batches.
    """
    key, value, headers, facts = record.key, record.value, record.headers, refusal.facts
    size = len(key or b"") + len(value or b"") + sum(len(name) + len(given) for name, given in headers)
    if size > UNREADABLE_BYTES_MAX:
        kept = (key or b"") + (value or b"") + b"".join(name.encode() + given for name, given in headers)
        facts = {**facts, "record_bytes": size, "record_sha256": sha256(kept).hexdigest(), "is_cut": True}
        key, value = key and key[:KEPT_OF_CUT_BYTES], value and value[:KEPT_OF_CUT_BYTES]
        headers = ()
    return CommandUnreadable(
        code=refusal.code,
        message=refusal.message,
        facts=facts,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        key=key,
        value=value,
        headers=headers,
    )


def _mark_of(entry: _Parsed) -> LogMark:
    record = entry.record
    number = None if entry.incoming is None else entry.incoming.submission.writer_seq
    return LogMark(record.offset, record.timestamp_ms, record.key or b"", number)


def _reply(entry: _Parsed, outcome: Outcome) -> Reply | None:
    if entry.incoming is None or entry.incoming.reply_to is None:
        return None
    submission = entry.incoming.submission
    return Reply(
        entry.incoming.reply_to,
        entry.record.key or b"",
        entry.incoming.correlation,
        submission.writer_id,
        submission.writer_seq,
        outcome,
    )


def _joined(first: Handled, second: Handled) -> Handled:
    return Handled(
        second.next_offset,
        first.records + second.records,
        first.events + second.events,
        first.unreadable + second.unreadable,
        first.gaps + second.gaps,
        Counter(first.outcomes) + Counter(second.outcomes),
        first.replies + second.replies,
    )


def _broken(error: Exception) -> Refused:
    return Refused(
        code="error",
        message=f"the command could not be handled: {type(error).__name__}: {error}",
        facts={"error": type(error).__name__},
    )
