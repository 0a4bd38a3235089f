"""The Postgres adapter of :class:`~runfold_events.ports.EventStore`.

A transaction is five round trips: BEGIN, lock, load, append, COMMIT. The engine bounds a stopped owner:
``lock_timeout`` for who waits, ``idle_in_transaction_session_timeout`` for who stands still while holding the row,
``tcp_user_timeout`` for a peer that is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from runfold_events.contract.envelope import PublicEvent, RecordedEvent
from runfold_events.contract.errors import Invalid, Unavailable
from runfold_events.failpoints import reach
from runfold_events.ports import CommandKey, Head, PartitionRow, WriterKey, WriterMark
from runfold_events.stores.postgres import rows
from runfold_events.stores.postgres.audit import PostgresAudit
from runfold_events.stores.postgres.dsn import check_dsn
from runfold_events.stores.postgres.exporting import PostgresExport
from runfold_events.stores.postgres.failures import RETRY_AFTER_S, translated
from runfold_events.stores.postgres.schema import SERVICES, check_version, no_store
from runfold_events.stores.postgres.transactions import (
    PostgresSharedTransaction,
    PostgresTransaction,
    columns,
)
from runfold_events.stores.postgres.turns import Turns

READ_EVENTS_MAX: Final = 100_000


class PostgresTimeouts(Struct, frozen=True, kw_only=True):
    """How long anything may stand still. ms, as Postgres takes them."""

    lock_ms: int = 5_000
    idle_in_transaction_ms: int = 2_000
    statement_ms: int = 30_000
    tcp_user_ms: int = 5_000
    connect_s: float = 5.0
    acquire_s: float = 10.0


class PostgresStore:
    """The append-only store over a pool of connections."""

    def __init__(
        self, pool: asyncpg.Pool[Any], epoch: UUID, partitions: int, timeouts: PostgresTimeouts
    ) -> None:
        self._pool = pool
        self._epoch = epoch
        self._partitions = partitions
        self._timeouts = timeouts
        self._turns = Turns(partitions, timeouts.lock_ms / 1_000)
        self._is_closed = False

    @classmethod
    async def open(
        cls, dsn: str, *, connections_max: int = 8, timeouts: PostgresTimeouts | None = None
    ) -> PostgresStore:
        """Connect as the service role and check that the database holds a store of ours.

        Raises:
            Invalid: no store there, or one of a newer version.
            Unavailable: Postgres does not answer.
        """
        timeouts = timeouts or PostgresTimeouts()
        settings = {
            "search_path": "runfold",
            "default_transaction_isolation": "read committed",
            "lock_timeout": str(timeouts.lock_ms),
            "idle_in_transaction_session_timeout": str(timeouts.idle_in_transaction_ms),
            "statement_timeout": str(timeouts.statement_ms),
            "tcp_user_timeout": str(timeouts.tcp_user_ms),
            "application_name": SERVICES,
        }
        known = KnownEpoch()
        pool: Any = None
        try:
            pool = await asyncpg.create_pool(
                check_dsn(dsn),
                min_size=1,
                max_size=connections_max,
                timeout=timeouts.connect_s,
                server_settings=settings,
                init=known.check,
                connection_class=_Connection,
            )
            meta = await pool.fetchrow("SELECT epoch, partitions, schema_version FROM meta")
            if meta is None:
                raise Invalid("the store has no identity: its creation did not end", facts={"field": "dsn"})
            check_version(meta["schema_version"])
        except BaseException as error:
            if pool is not None:
                pool.terminate()
            if isinstance(error, asyncpg.UndefinedTableError):
                raise no_store() from None
            passing = translated(error)
            if passing is None:
                raise
            raise passing from error
        known.epoch = UUID(int=meta["epoch"].int)
        return cls(pool, known.epoch, meta["partitions"], timeouts)

    @property
    def epoch(self) -> UUID:
        """See the port."""
        return self._epoch

    @property
    def partitions(self) -> int:
        """See the port."""
        return self._partitions

    @asynccontextmanager
    async def transaction(self, partition: int) -> AsyncGenerator[PostgresTransaction]:
        """See the port. One transaction in flight per partition and process: the pool never fills with waiters."""
        async with self._turns.wait(partition), self._begun() as connection:
            reach("postgres.lock.before")
            row = await connection.fetchrow("SELECT * FROM lock_partition($1)", partition)
            reach("postgres.lock.after")
            if row is None or row["next_pos"] is None:
                raise Invalid(
                    f"there is no partition {partition}", facts={"field": "partition", "size": partition}
                )
            yield PostgresTransaction(connection, rows.partition_row_of(partition, row))

    @asynccontextmanager
    async def shared_transaction(
        self, partitions: Iterable[int]
    ) -> AsyncGenerator[PostgresSharedTransaction]:
        """See the port. Neither does it wait for another transaction of this process."""
        async with self._turns.take_free(partitions) as mine, self._begun() as connection:
            reach("postgres.lock.before")
            found = await connection.fetch("SELECT * FROM lock_free_partitions($1)", mine)
            reach("postgres.lock.after")
            locked = {row[0]: rows.partition_row_of(row[0], row[1:]) for row in found}
            yield PostgresSharedTransaction(connection, locked)

    @asynccontextmanager
    async def _begun(self) -> AsyncGenerator[Any]:
        """A connection in a transaction, which is committed at the end and rolled back on any exception."""
        async with self._connection() as connection:
            began = connection.transaction()  # READ COMMITTED, by the session's default
            await began.start()
            try:
                yield connection
                reach("postgres.commit.before")
            except BaseException:
                await _roll_back(began)
                raise
            await began.commit()
            reach("postgres.commit.after")

    async def read(self, partition: int, from_pos: int, events_max: int) -> list[RecordedEvent]:
        """See the port."""
        return await self._events(
            "partition = $1 AND pos >= $2 ORDER BY pos LIMIT $3",
            partition,
            from_pos,
            min(events_max, READ_EVENTS_MAX),
        )

    async def read_public(self, partition: int, from_pos: int, events_max: int) -> list[PublicEvent]:
        """See the port."""
        return await self._public_events(
            "partition = $1 AND pos >= $2 ORDER BY pos LIMIT $3",
            partition,
            from_pos,
            min(events_max, READ_EVENTS_MAX),
        )

    async def read_stream(self, stream: str, from_seq: int, events_max: int) -> list[RecordedEvent]:
        """See the port."""
        return await self._events(
            "stream = $1 AND stream_seq >= $2 ORDER BY stream_seq LIMIT $3",
            stream,
            from_seq,
            min(events_max, READ_EVENTS_MAX),
        )

    async def ends(self) -> tuple[int, ...]:
        """See the port."""
        found = await self._fetch("SELECT next_pos FROM partitions ORDER BY partition")
        return tuple(row[0] for row in found)

    async def rows(self) -> tuple[PartitionRow, ...]:
        """See :class:`~runfold_events.log_ports.LogStore`."""
        found = await self._fetch(
            "SELECT partition, next_offset, next_pos, chain_head, now_us(), last_offset, last_timestamp_ms, last_key, "
            "last_writer_seq FROM partitions ORDER BY partition"
        )
        return tuple(rows.partition_row_of(row[0], row[1:]) for row in found)

    async def read_within(
        self, partition: int, from_pos: int, events_max: int, bytes_max: int
    ) -> list[PublicEvent]:
        """See :class:`~runfold_events.log_ports.LogStore`."""
        # The length of a body is known without reading it: what is too much never leaves the engine. It is hardly ever
        # too much, and one sum costs a fifth of a running one.
        return await self._public_events(
            "partition = $1 AND pos >= $2 AND pos < $2 + CASE WHEN (SELECT coalesce(sum(octet_length(body)), 0) "
            "FROM events WHERE partition = $1 AND pos >= $2 AND pos < $2 + $3) <= $4 THEN $3 ELSE (SELECT "
            "greatest(count(*), 1) FROM (SELECT sum(coalesce(octet_length(body), 0)) OVER (ORDER BY pos) AS size "
            "FROM events WHERE partition = $1 AND pos >= $2 ORDER BY pos LIMIT $3) AS sized WHERE size <= $4) END "
            "ORDER BY pos",
            partition,
            from_pos,
            min(events_max, READ_EVENTS_MAX),
            bytes_max,
        )

    async def read_several(
        self, places: Mapping[int, int], events_max: int, bytes_max: int
    ) -> list[PublicEvent]:
        """Committed events from each partition's position on, partition by partition.

        At most ``events_max`` of each, with at most ``bytes_max`` of bodies: of what is larger, none comes.
        """
        found = await self._fetch(
            f"SELECT {rows.PUBLIC_COLUMNS} FROM unnest($1::integer[], $2::bigint[]) AS place (number, first) "  # noqa: S608
            "CROSS JOIN LATERAL (SELECT *, sum(coalesce(octet_length(body), 0)) OVER (ORDER BY pos) AS size "
            "FROM events WHERE partition = place.number AND pos >= place.first ORDER BY pos LIMIT $3) AS sized "
            "WHERE size <= $4 ORDER BY partition, pos",
            list(places),
            list(places.values()),
            events_max,
            bytes_max,
        )
        return [PublicEvent(*row) for row in found]

    async def published(self) -> tuple[int, ...]:
        """See :class:`~runfold_events.log_ports.LogStore`."""
        found = await self._fetch(
            "SELECT coalesce(p.pos, 0) FROM partitions LEFT JOIN published AS p USING (partition) ORDER BY partition"
        )
        return tuple(row[0] for row in found)

    async def note_published(self, partition: int, pos: int) -> None:
        """See :class:`~runfold_events.log_ports.LogStore`."""
        await self._fetch("SELECT note_published($1, $2)", partition, pos)

    async def share_partitions(self, role: str, member: UUID, lease_us: int) -> frozenset[int]:
        """See :class:`~runfold_events.log_ports.LogStore`."""
        found = await self._fetch("SELECT share_partitions($1, $2, $3)", role, member, lease_us)
        return frozenset(found[0][0])

    async def leave_role(self, role: str, member: UUID) -> None:
        """See :class:`~runfold_events.log_ports.LogStore`."""
        await self._fetch("SELECT leave_role($1, $2)", role, member)

    async def outcomes(self, keys: Iterable[CommandKey]) -> dict[CommandKey, list[RecordedEvent]]:
        """See the port."""
        wanted = list(dict.fromkeys(keys))
        events = await self._events(
            "type <> 'run.metrics_logged' AND (stream, writer_id, writer_seq) IN (SELECT * FROM "
            "unnest($1::text[], $2::uuid[], $3::bigint[])) ORDER BY partition, pos",
            *columns(wanted, 3),
        )
        outcomes: dict[CommandKey, list[RecordedEvent]] = {}
        for event in events:
            outcomes.setdefault((event.stream, event.writer_id, event.writer_seq), []).append(event)
        return outcomes

    async def heads(self, streams: Iterable[str]) -> dict[str, Head]:
        """See the port."""
        found = await self._fetch(
            "SELECT stream, stream_seq, state FROM heads WHERE stream = ANY ($1)", list(set(streams))
        )
        return {row[0]: Head(*row) for row in found}

    async def writers(self, stream: str) -> list[WriterMark]:
        """See the port."""
        found = await self._fetch(
            "SELECT $1, writer_id, coalesce(m.highest, 0), m.digest, coalesce(m.gaps, '{}'), coalesce(m.lost, '{}'), "
            "coalesce(m.refused_creation, false), coalesce(a.number, 0) "
            "FROM (SELECT * FROM writer_marks WHERE stream = $1) AS m "
            "FULL JOIN (SELECT * FROM announcements WHERE stream = $1) AS a USING (writer_id) ORDER BY writer_id",
            stream,
        )
        return [rows.mark_of(row) for row in found]

    async def announce(self, numbers: Mapping[WriterKey, int]) -> None:
        """See the port."""
        entries = [(stream, writer_id, number) for (stream, writer_id), number in numbers.items()]
        if entries:
            await self._fetch("SELECT announce($1, $2, $3)", *columns(entries, 3))

    async def reserve_run_numbers(self, experiment_stream: str, count: int) -> int:
        """See the port."""
        found = await self._fetch("SELECT reserve_run_numbers($1, $2)", experiment_stream, count)
        return int(found[0][0])

    async def reserve_numbers_of_new(self, runs: Collection[tuple[str, str]]) -> dict[str, range]:
        """See :class:`~runfold_events.ports.SharingStore`."""
        found = await self._fetch("SELECT * FROM reserve_numbers_of_new($1, $2)", *columns(list(runs), 2))
        return {row[0]: range(row[1], row[1] + row[2]) for row in found}

    async def renew_lease(self, process_id: UUID, lease_us: int) -> None:
        """See the port."""
        await self._fetch("SELECT renew_lease($1, $2)", process_id, lease_us)

    async def end_lease(self, process_id: UUID) -> list[str]:
        """See the port."""
        await self._fetch("SELECT end_lease($1)", process_id)
        return await self.held_by(process_id)

    async def live_leases(self) -> int:
        """See the port."""
        found = await self._fetch("SELECT count(*) FROM leases WHERE ends_at > now_us()")
        return int(found[0][0])

    async def held_by(self, process_id: UUID) -> list[str]:
        """See the port."""
        return _texts(
            await self._fetch("SELECT stream FROM holders WHERE process_id = $1 ORDER BY stream", process_id)
        )

    async def without_live_holder(self, streams_max: int) -> list[str]:
        """See the port."""
        return _texts(
            await self._fetch(
                "SELECT stream FROM held WHERE NOT is_lost "
                "AND EXISTS (SELECT FROM holders AS h WHERE h.stream = held.stream) "
                "AND NOT EXISTS (SELECT FROM holders AS h JOIN leases AS l USING (process_id) "
                "WHERE h.stream = held.stream AND l.ends_at > now_us()) "
                "ORDER BY stream LIMIT $1",
                streams_max,
            )
        )

    async def lost_with_live_holder(self, streams_max: int) -> list[str]:
        """See the port."""
        return _texts(
            await self._fetch(
                "SELECT DISTINCT held.stream FROM held JOIN holders USING (stream) JOIN leases USING (process_id) "
                "WHERE held.is_lost AND leases.ends_at > now_us() ORDER BY held.stream LIMIT $1",
                streams_max,
            )
        )

    def audit(self) -> PostgresAudit:
        """A snapshot for ``runfold_events.check``."""
        return PostgresAudit(self._connection, self._partitions)

    def snapshot(self, workspace: str | None = None) -> PostgresExport:
        """See :class:`~runfold_events.transfer.ports.Exportable`."""
        return PostgresExport(self._connection, self._partitions, workspace)

    async def close(self) -> None:
        """See the port."""
        self._is_closed = True
        try:
            await asyncio.wait_for(self._pool.close(), self._timeouts.acquire_s)
        except TimeoutError:
            self._pool.terminate()

    async def _events(self, where: str, *values: object) -> list[RecordedEvent]:
        # Both parts are constants of this package; values are always parameters.
        found = await self._fetch(f"SELECT {rows.EVENT_COLUMNS} FROM events WHERE {where}", *values)  # noqa: S608
        return [rows.event_of(row) for row in found]

    async def _public_events(self, where: str, *values: object) -> list[PublicEvent]:
        found = await self._fetch(f"SELECT {rows.PUBLIC_COLUMNS} FROM events WHERE {where}", *values)  # noqa: S608
        return [PublicEvent(*row) for row in found]

    async def _fetch(self, query: str, *values: object) -> list[Any]:
        async with self._connection() as connection:
            return list(await connection.fetch(query, *values))

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Any]:
        """A connection of the pool; the engine's errors become the port's."""
        if self._is_closed:
            raise Unavailable("the store is closed", facts={"retry_after": RETRY_AFTER_S})
        try:
            async with self._pool.acquire(timeout=self._timeouts.acquire_s) as connection:
                yield connection
        except Exception as error:
            passing = translated(error)
            if passing is None:
                raise
            raise passing from error


class _Connection(asyncpg.Connection):
    """Nothing of ours outlives its transaction: a connection needs no round trip to be clean for the next user."""

    def get_reset_query(self) -> str:
        return ""


class KnownEpoch:
    """What a process knows of its store's epoch; every connection that it makes later must find the same.

    A store is marked as restored while no service is connected, so this sees it in time.
    """

    epoch: UUID | None = None

    async def check(self, connection: Any) -> None:
        """Refuse a connection to a store that became another one."""
        if self.epoch is None:
            return
        found: UUID = await connection.fetchval("SELECT epoch FROM meta")
        if found != self.epoch:
            raise Unavailable(
                f"the store was restored from a backup: its epoch is {found}, this process knows {self.epoch}; "
                "start it again",
                facts={"epoch": str(self.epoch), "found": str(found)},
            )


async def _roll_back(transaction: Any) -> None:
    """Roll back if the connection still can; a lost one has rolled back by itself."""
    try:
        await transaction.rollback()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return


def _texts(found: Iterable[Any]) -> list[str]:
    return [str(row[0]) for row in found]
