"""The store port. These docstrings are the specification; ``runfold_events.testing.store_contract`` tests it.

All methods are coroutines. The SQLite adapter never suspends, so an embedded program drives them without an event loop
(:func:`runfold_events.sync.run_sync`); the Postgres adapter suspends on the network.

Unless a method says otherwise: it raises ``Unavailable`` when the engine cannot answer in time (locked, full, gone),
and after any exception nothing of the call has taken effect.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from runfold_events.contract.envelope import PublicEvent, RecordedEvent

WriterKey = tuple[str, UUID]  # (stream, writer_id)
CommandKey = tuple[str, UUID, int]  # (stream, writer_id, writer_seq)
Range = tuple[int, int]  # first and last, both included


class LogMark(Struct, frozen=True):
    """The last record of the command log that was handled: tells a log that was recreated from the one we know."""

    offset: int
    timestamp_ms: int
    key: bytes
    writer_seq: int | None = None  # None: the record had none that could be read


class PartitionRow(Struct, frozen=True):
    """What the lock statement returns: the partition's cursor, allocator and chain head, and the store's clock."""

    partition: int
    next_offset: int  # the next Kafka offset to handle; 0 where there is no Kafka door
    next_pos: int  # the position that the next event gets
    chain_head: bytes  # chain value of event next_pos - 1, or CHAIN_START
    now: int  # store clock, UTC µs
    last_record: LogMark | None = None  # the record before ``next_offset``, where the store has a Kafka door


class Head(Struct, frozen=True, gc=False):
    """The end of a stream and its decision state. Derived: refolding the stream gives the same."""

    stream: str
    stream_seq: int  # of its last event
    state: bytes  # msgpack of rules.run.RunState or rules.experiment.ExperimentState


class WriterMark(Struct, frozen=True, gc=False):
    """How far one writer has come on one stream. Known = at most ``highest`` and in no gap."""

    stream: str
    writer_id: UUID
    highest: int
    digest: bytes | None  # sha256 of the highest command as received; None after erasure
    gaps: tuple[Range, ...] = ()  # numbers below ``highest`` that never came (Kafka door)
    lost: tuple[Range, ...] = ()  # numbers that the writer declared lost
    refused_creation: bool = False  # its CreateRun was refused: nothing more of it is taken on this stream
    announced: int = 0  # the last number the writer says it has used; above ``highest`` a tail is missing


class Holders(Struct, frozen=True):
    """Which processes hold a run, judged by the store's clock."""

    live: frozenset[UUID] = frozenset()  # their lease has not ended
    dead: frozenset[UUID] = frozenset()  # their lease ended or was released

    @property
    def ever(self) -> bool:
        """True when some process has held the run since it last had no end."""
        return bool(self.live or self.dead)


class Loaded(Struct, frozen=True):
    """What a decision needs; absent keys do not exist in the store."""

    heads: Mapping[str, Head]
    marks: Mapping[WriterKey, WriterMark]
    holders: Mapping[str, Holders]


class Write(Struct, frozen=True, kw_only=True):
    """All changes of one transaction. ``heads`` and ``marks`` replace what is there."""

    events: Sequence[
        RecordedEvent
    ] = ()  # in pos order, dense from the row's next_pos, chained from its chain_head
    heads: Sequence[Head] = ()
    marks: Sequence[WriterMark] = ()
    drop: Sequence[WriterKey] = ()  # (stream, process id): the process does not hold the run any more …
    hold: Sequence[WriterKey] = ()  # … and then: the process now holds the run
    lost: Sequence[str] = ()  # streams recorded as NotResponding: the keeper looks for live holders of these
    found: Sequence[str] = ()  # streams that are so no longer
    ended: Sequence[str] = ()  # streams that ended: nobody holds them any more
    erase: Sequence[
        str
    ] = ()  # streams whose events before this transaction lose body and salt, and marks their digest
    next_offset: int | None = None  # move the cursor (Kafka door) …
    last_record: LogMark | None = None  # … which now stands behind this record


class PartitionTransaction(Protocol):
    """One transaction that holds exactly one partition's row. Used inside its context manager only."""

    row: PartitionRow

    async def load(self, streams: Iterable[str], writers: Iterable[WriterKey]) -> Loaded:
        """Heads and holders of ``streams``, marks of ``writers``; all in one round trip.

        Streams may belong to other partitions: their heads are read without a lock, which is sound for the facts that
        never change (an experiment exists; a run's root and path).
        """
        ...

    async def write(self, write: Write) -> None:
        """Append events and store everything else of ``write``. Called at most once.

        Raises:
            LedgerDamaged: positions are not dense from ``row.next_pos``.
        """
        ...


class SharedTransaction(Protocol):
    """One transaction that holds the rows of several partitions. Used inside its context manager only."""

    rows: Mapping[int, PartitionRow]

    async def load(self, streams: Iterable[str], writers: Iterable[WriterKey]) -> Loaded:
        """See :meth:`PartitionTransaction.load`."""
        ...

    async def write(self, writes: Mapping[int, Write]) -> None:
        """As :meth:`PartitionTransaction.write`, for partitions of ``rows``. Nothing is erased and no cursor moved."""
        ...


class EventStore(Protocol):
    """The append-only event store: the only truth."""

    @property
    def epoch(self) -> UUID:
        """Made at creation and at every restore; part of tokens and events."""
        ...

    @property
    def partitions(self) -> int:
        """P, a power of two, fixed at creation."""
        ...

    def transaction(self, partition: int) -> AbstractAsyncContextManager[PartitionTransaction]:
        """Lock the partition's row as the first statement; commit at the end, roll back on any exception.

        One transaction at a time per partition, over all processes: a rival waits, fairly where the engine can, and
        gets ``Unavailable`` after the store's lock time-out. Leaving the block normally means durable.
        """
        ...

    async def read(self, partition: int, from_pos: int, events_max: int) -> list[RecordedEvent]:
        """Committed events with ``pos >= from_pos`` in order, at most ``events_max``; dense, or it is damage."""
        ...

    async def read_public(self, partition: int, from_pos: int, events_max: int) -> Sequence[PublicEvent]:
        """As :meth:`read`, for who proves nothing: cheaper where columns that nobody looks at need not be fetched."""
        ...

    async def read_stream(self, stream: str, from_seq: int, events_max: int) -> list[RecordedEvent]:
        """Committed events of one stream from ``from_seq`` on, in order, at most ``events_max``."""
        ...

    async def ends(self) -> tuple[int, ...]:
        """The committed end (exclusive) of every partition, by partition number."""
        ...

    async def outcomes(self, keys: Iterable[CommandKey]) -> dict[CommandKey, list[RecordedEvent]]:
        """The events that each command gave, metric events excepted (no index holds those). No events: no entry."""
        ...

    async def heads(self, streams: Iterable[str]) -> dict[str, Head]:
        """Committed heads, outside any transaction."""
        ...

    async def writers(self, stream: str) -> list[WriterMark]:
        """All writer marks of a stream, by writer id: proves completeness or names what is missing."""
        ...

    async def announce(self, numbers: Mapping[WriterKey, int]) -> None:
        """Remember the last number each writer says it has used, where that is above what is remembered."""
        ...

    async def reserve_run_numbers(self, experiment_stream: str, count: int) -> int:
        """Reserve ``count`` numbers of an experiment in a short transaction of its own; returns the first.

        Unique for ever, roughly ascending from 1, gaps allowed.
        """
        ...

    async def renew_lease(self, process_id: UUID, lease_us: int) -> None:
        """Make or extend a process's lease to ``lease_us`` µs from now, by the store's clock."""
        ...

    async def end_lease(self, process_id: UUID) -> list[str]:
        """End a lease now. Returns the streams that the process holds. Ending an unknown lease changes nothing."""
        ...

    async def live_leases(self) -> int:
        """How many leases have not ended, by the store's clock."""
        ...

    async def held_by(self, process_id: UUID) -> list[str]:
        """Streams that the process holds and that have not ended."""
        ...

    async def without_live_holder(self, streams_max: int) -> list[str]:
        """Streams that were held, have no live holder now, and are not recorded as lost. For the lease keeper."""
        ...

    async def lost_with_live_holder(self, streams_max: int) -> list[str]:
        """Streams recorded as lost that have a live holder again. For the lease keeper."""
        ...

    async def close(self) -> None:
        """Release connections and locks. Calling it twice is fine; anything else afterwards raises ``Unavailable``."""
        ...


class SharingStore(EventStore, Protocol):
    """A store in which one transaction may append to several partitions, so that they share what it costs."""

    def shared_transaction(self, partitions: Iterable[int]) -> AbstractAsyncContextManager[SharedTransaction]:
        """Lock the rows of those of ``partitions`` that nobody holds; wait for none of the others.

        Otherwise as :meth:`transaction`. Who finds a row held waits for it alone, in a transaction of its own: a
        transaction that waits holds no row, so that no two wait for each other.
        """
        ...

    async def reserve_numbers_of_new(self, runs: Collection[tuple[str, str]]) -> dict[str, range]:
        """Run numbers for those of ``runs`` that do not exist yet, by experiment stream; in one round trip.

        Given the streams of runs and of their experiments; otherwise as :meth:`EventStore.reserve_run_numbers`.
        """
        ...


class IdSource(Protocol):
    """Where ids and salts come from, so that rules and tests stay deterministic."""

    def event_id(self) -> UUID:
        """A new UUIDv7."""
        ...

    def salt(self) -> bytes:
        """``envelope.SALT_BYTES`` random bytes."""
        ...
