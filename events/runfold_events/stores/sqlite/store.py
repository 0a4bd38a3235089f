"""The event store on one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self, TypeVar
from uuid import UUID, uuid4

from runfold_events.clock import Clock, SystemClock
from runfold_events.contract.envelope import LedgerDamaged, PublicEvent, RecordedEvent
from runfold_events.contract.errors import Invalid, Unavailable
from runfold_events.file_systems import refuse_network_file_system
from runfold_events.ports import CommandKey, Head, WriterKey, WriterMark
from runfold_events.stores.sqlite import forks
from runfold_events.stores.sqlite.audit import SqliteAudit, lenient_text
from runfold_events.stores.sqlite.authorizer import Role, authorizer
from runfold_events.stores.sqlite.connection import MEMORY, open_connection, open_unrestricted
from runfold_events.stores.sqlite.exporting import SqliteExport
from runfold_events.stores.sqlite.failures import Translating
from runfold_events.stores.sqlite.lock import FileLock, ProcessLock
from runfold_events.stores.sqlite.readers import Readers, Reading, SharedReader
from runfold_events.stores.sqlite.rows import event_of, mark_of, position
from runfold_events.stores.sqlite.schema import Identity, prepare, use_write_ahead_log
from runfold_events.stores.sqlite.steps import Row, Step
from runfold_events.stores.sqlite.transaction import SqliteTransaction, load_heads
from runfold_events.stores.sqlite.writer import WriteLock, Writer, closed

LOCK_TIMEOUT_S_DEFAULT: Final = 10.0

T = TypeVar("T")

_ANNOUNCE: Final = Step("announce")
_ANNOUNCED: Final = Step("announced")
_END_LEASE: Final = Step("end_lease")
_ENDS: Final = Step("ends")
_FORGET_ENDED_LEASES: Final = Step("forget_ended_leases")
_HELD_BY: Final = Step("held_by")
_LOST_WITH_LIVE_HOLDER: Final = Step("lost_with_live_holder")
_MARKS_OF_STREAM: Final = Step("marks_of_stream")
_OUTCOME: Final = Step("outcome")
_READ: Final = Step("read")
_READ_END: Final = Step("read_end")
_READ_STREAM: Final = Step("read_stream")
_LIVE_LEASES: Final = Step("live_leases")
_RENEW_LEASE: Final = Step("renew_lease")
_RESERVE: Final = Step("reserve_run_numbers")
_WITHOUT_LIVE_HOLDER: Final = Step("without_live_holder")


class SqliteStore:
    """``EventStore`` on a SQLite file, or in memory. Its coroutines never suspend; see ``runfold_events.sync``.

    Safe to use from many threads, from many processes on one file, and after a fork (the child makes connections of its
    own; a store in memory stays with the parent). A transaction belongs to the thread that opened it.
    """

    writer_class: type[Writer] = Writer

    def __init__(
        self, place: str, identity: Identity, clock: Clock, writer: Writer, readers: Reading
    ) -> None:
        """Use :meth:`open`."""
        self._place = place
        self._identity = identity
        self._clock = clock
        self._writer = writer
        self._readers = readers
        self._is_memory = place == MEMORY
        self._is_closed = False
        self._generation = forks.generation()

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        clock: Clock | None = None,
        partitions: int | None = None,
        lock_timeout_s: float = LOCK_TIMEOUT_S_DEFAULT,
    ) -> Self:
        """Open the store at ``path``, creating or migrating it if need be.

        Args:
            path: a file on a local disk, or ``":memory:"`` for a store that only this object sees.
            clock: the store's clock; the machine's by default.
            partitions: a new store gets so many (1 by default); an existing one must have so many, if given.
            lock_timeout_s: how long a transaction waits for other writers before it gives up.

        Raises:
            Invalid: not a runfold store, a newer version, another number of partitions, or a network file system.
            Unavailable: the file cannot be opened or locked now.
        """
        clock = clock or SystemClock()
        if str(path) == MEMORY:
            return cls._open_memory(clock, partitions, lock_timeout_s)
        return cls._open_file(Path(path).absolute(), clock, partitions, lock_timeout_s)

    @classmethod
    def _open_file(cls, path: Path, clock: Clock, partitions: int | None, lock_timeout_s: float) -> Self:
        place = str(path)
        forks.check_usable(place)
        _make_folder(path.parent)
        refuse_network_file_system(path.parent)
        lock = FileLock(path)
        with lock.acquire(lock_timeout_s), forks.InUse(), Translating(place):
            connection = open_unrestricted(path)
            try:
                identity = prepare(connection, place, partitions, uuid4)
                use_write_ahead_log(connection, place)
            finally:
                connection.close()
        writer = cls.writer_class(place, lambda: open_connection(path, Role.EVENTS), lock, lock_timeout_s)
        readers = Readers(place, lambda: open_connection(path, Role.READER))
        return cls(place, identity, clock, writer, readers)

    @classmethod
    def _open_memory(cls, clock: Clock, partitions: int | None, lock_timeout_s: float) -> Self:
        connection = open_unrestricted(MEMORY)
        identity = prepare(connection, MEMORY, partitions, uuid4)
        connection.set_authorizer(authorizer(Role.EVENTS))
        lock: WriteLock = ProcessLock(MEMORY)
        writer = cls.writer_class(MEMORY, lambda: connection, lock, lock_timeout_s)
        writer.connection()  # it has it from now on, and closes it even where nothing was ever written
        return cls(MEMORY, identity, clock, writer, SharedReader(writer, lock_timeout_s))

    @property
    def path(self) -> str:
        """The path of the file, or ``":memory:"``."""
        return self._place

    @property
    def epoch(self) -> UUID:
        """See the port."""
        return self._identity.epoch

    @property
    def partitions(self) -> int:
        """See the port."""
        return self._identity.partitions

    def transaction(self, partition: int) -> SqliteTransaction:
        """See the port."""
        self._check_open()
        return SqliteTransaction(
            self._writer, self._clock, partition, self.epoch, writes_at_end=self._is_memory
        )

    async def read_public(self, partition: int, from_pos: int, events_max: int) -> Sequence[PublicEvent]:
        """See the port."""
        return await self.read(partition, from_pos, events_max)

    async def read(self, partition: int, from_pos: int, events_max: int) -> list[RecordedEvent]:
        """See the port. Raises ``LedgerDamaged`` when positions are missing."""
        return self._run(lambda connection: _read(connection, partition, from_pos, events_max))

    async def read_stream(self, stream: str, from_seq: int, events_max: int) -> list[RecordedEvent]:
        """See the port."""
        return [event_of(row) for row in self._rows(_READ_STREAM, (stream, from_seq, max(0, events_max)))]

    async def ends(self) -> tuple[int, ...]:
        """See the port."""
        return tuple(row[0] for row in self._rows(_ENDS))

    async def outcomes(self, keys: Iterable[CommandKey]) -> dict[CommandKey, list[RecordedEvent]]:
        """See the port."""
        wanted = list(dict.fromkeys(keys))
        return self._run(lambda connection: _outcomes(connection, wanted))

    async def heads(self, streams: Iterable[str]) -> dict[str, Head]:
        """See the port."""
        wanted = list(dict.fromkeys(streams))
        return self._run(lambda connection: load_heads(connection, wanted))

    async def writers(self, stream: str) -> list[WriterMark]:
        """See the port."""
        return [mark_of(row) for row in self._rows(_MARKS_OF_STREAM, (stream,))]

    async def announce(self, numbers: Mapping[WriterKey, int]) -> None:
        """See the port. Takes the write lock only when there is something new."""
        rows = [(stream, writer.bytes, number) for (stream, writer), number in numbers.items()]
        new = self._run(lambda connection: [row for row in rows if _is_news(connection, row)])
        if new:
            with self._writer.transaction() as connection:
                _ANNOUNCE.run_many(connection, new)

    async def reserve_run_numbers(self, experiment_stream: str, count: int) -> int:
        """See the port."""
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        self._check_open()
        with self._writer.transaction() as connection:
            ((next_number,),) = _RESERVE.rows(connection, (experiment_stream, count))
        return int(next_number) - count

    async def renew_lease(self, process_id: UUID, lease_us: int) -> None:
        """See the port."""
        self._check_open()
        with self._writer.transaction() as connection:
            now = self._clock.now_us()
            # A lease that has ended and none at all mean the same, so ended ones need not be kept.
            _FORGET_ENDED_LEASES.run(connection, (now,))
            _RENEW_LEASE.run(connection, (process_id.bytes, now + lease_us))

    async def end_lease(self, process_id: UUID) -> list[str]:
        """See the port."""
        self._check_open()
        with self._writer.transaction() as connection:
            _END_LEASE.run(connection, (process_id.bytes,))
            return _first_column(_HELD_BY.rows(connection, (process_id.bytes,)))

    async def live_leases(self) -> int:
        """See the port."""
        ((count,),) = self._rows(_LIVE_LEASES, (self._clock.now_us(),))
        return int(count)

    async def held_by(self, process_id: UUID) -> list[str]:
        """See the port."""
        return _first_column(self._rows(_HELD_BY, (process_id.bytes,)))

    async def without_live_holder(self, streams_max: int) -> list[str]:
        """See the port."""
        return _first_column(self._rows(_WITHOUT_LIVE_HOLDER, (self._clock.now_us(), streams_max)))

    async def lost_with_live_holder(self, streams_max: int) -> list[str]:
        """See the port."""
        return _first_column(self._rows(_LOST_WITH_LIVE_HOLDER, (self._clock.now_us(), streams_max)))

    def audit(self) -> SqliteAudit:
        """A snapshot for ``runfold_events.check``."""
        self._check_open()
        open_snapshot = self._share_snapshot if self._is_memory else self._open_snapshot
        return SqliteAudit(open_snapshot, self._place, self.partitions)

    def snapshot(self, workspace: str | None = None) -> SqliteExport:
        """See :class:`~runfold_events.transfer.ports.Exportable`."""
        self._check_open()
        open_snapshot = self._share_snapshot if self._is_memory else self._open_snapshot
        return SqliteExport(open_snapshot, self._place, self.partitions, workspace)

    def _open_snapshot(self, stack: ExitStack) -> sqlite3.Connection:
        stack.enter_context(forks.InUse())
        connection = open_connection(self._place, Role.READER)
        stack.callback(connection.close)
        connection.text_factory = lenient_text
        connection.execute("BEGIN")
        return connection

    def _share_snapshot(self, stack: ExitStack) -> sqlite3.Connection:
        # One connection: nobody writes while it is audited.
        stack.enter_context(self._writer.lock.acquire(self._writer.lock_timeout_s))
        connection = self._writer.connection()
        stack.callback(setattr, connection, "text_factory", connection.text_factory)
        connection.text_factory = lenient_text
        return connection

    async def vacuum(self) -> None:
        """Rewrite the file without what was deleted or erased, and empty the log: no byte of it is left anywhere.

        Raises:
            Unavailable: somebody reads or writes all the time; try again.
        """
        self._check_open()
        if self._is_memory:
            return
        lock = self._writer.lock.acquire(self._writer.lock_timeout_s)
        with lock, forks.InUse(), Translating(self._place):
            connection = open_unrestricted(self._place)
            try:
                connection.execute("VACUUM")
                (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.close()
        if is_busy:
            raise Unavailable(
                f"{self._place} was vacuumed, but a reader keeps the old log in use; vacuum again",
                facts={"path": self._place},
            )

    async def close(self) -> None:
        """See the port. Waits for a transaction in flight."""
        if self._is_closed:
            return
        self._is_closed = True
        self._readers.close()
        self._writer.close()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._check_open()
        return self._readers.run(work)

    def _rows(self, step: Step, values: Row = ()) -> list[Row]:
        return self._run(lambda connection: step.rows(connection, values))

    def _check_open(self) -> None:
        if self._is_closed:
            raise closed(self._place)
        if self._is_memory and self._generation != forks.generation():
            raise Unavailable("a store in memory stays with the process that made it; this is a child of it")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"cannot make the folder {folder}: {error.strerror}; set RUNFOLD_HOME to one that can be written",
            facts={"field": "RUNFOLD_HOME", "path": str(folder)},
        ) from error


def _first_column(rows: list[Row]) -> list[str]:
    return [row[0] for row in rows]


def _is_news(connection: sqlite3.Connection, row: tuple[str, bytes, int]) -> bool:
    stream, writer, number = row
    known = _ANNOUNCED.rows(connection, (stream, writer))
    return number > (known[0][0] if known else 0)


def _read(
    connection: sqlite3.Connection, partition: int, from_pos: int, events_max: int
) -> list[RecordedEvent]:
    ends = _READ_END.rows(connection, (partition,))
    if not ends:
        raise Invalid(f"there is no partition {partition}", facts={"field": "partition", "size": partition})
    # Everything before the end that was read first is there, so no snapshot over both statements is needed.
    count = min(events_max, ends[0][0] - from_pos)
    if count <= 0:
        return []
    first = position(partition, from_pos)
    rows = _READ.rows(connection, (first, first + count - 1))
    events = [event_of(row) for row in rows]
    if len(events) != count:
        missing = next(
            (from_pos + i for i, event in enumerate(events) if event.pos != from_pos + i),
            from_pos + len(events),
        )
        raise LedgerDamaged(
            f"position {missing} of partition {partition} is missing",
            facts={"partition": partition, "pos": missing},
        )
    return events


def _outcomes(
    connection: sqlite3.Connection, keys: list[CommandKey]
) -> dict[CommandKey, list[RecordedEvent]]:
    found = ((key, _OUTCOME.rows(connection, (key[0], key[1].bytes, key[2]))) for key in keys)
    return {key: [event_of(row) for row in rows] for key, rows in found if rows}
