"""What is done inside a transaction that holds rows of partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runfold_events.failpoints import reach
from runfold_events.ports import Loaded, PartitionRow, Write, WriterKey
from runfold_events.stores.postgres import rows


class _Loading:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def load(self, streams: Iterable[str], writers: Iterable[WriterKey]) -> Loaded:
        """See the port."""
        reach("postgres.load.before")
        found = await self._connection.fetch(
            "SELECT * FROM load_decision($1, $2, $3)", list(set(streams)), *columns(list(set(writers)), 2)
        )
        reach("postgres.load.after")
        return rows.loaded_of(found)

    async def _drop_holders(self, dropped: Sequence[WriterKey]) -> None:
        if dropped:
            await self._connection.execute("SELECT drop_holders($1, $2)", *columns(dropped, 2))


class PostgresTransaction(_Loading):
    """See :class:`~runfold_events.ports.PartitionTransaction`."""

    def __init__(self, connection: Any, row: PartitionRow) -> None:
        super().__init__(connection)
        self.row = row

    async def write(self, write: Write) -> None:
        """See the port."""
        rows.check_dense(write.events, self.row)
        reach("postgres.append.before")
        await self._drop_holders(write.drop)
        await self._connection.execute(
            "SELECT append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
            self.row.partition,
            self.row.next_pos,
            _chain_head(self.row, write),
            write.next_offset,
            *_changes([write]),
            list(write.erase),
            *rows.log_mark_values(write.last_record),
        )
        reach("postgres.append.after")


class PostgresSharedTransaction(_Loading):
    """See :class:`~runfold_events.ports.SharedTransaction`."""

    def __init__(self, connection: Any, locked: Mapping[int, PartitionRow]) -> None:
        super().__init__(connection)
        self.rows = locked

    async def write(self, writes: Mapping[int, Write]) -> None:
        """See the port."""
        for partition, write in writes.items():
            rows.check_dense(write.events, self.rows[partition])
            if write.erase or write.next_offset is not None:
                raise ValueError("a shared transaction erases nothing and moves no cursor")
        all_writes = list(writes.values())
        reach("postgres.append.before")
        await self._drop_holders([key for write in all_writes for key in write.drop])
        await self._connection.execute(
            "SELECT append_shared($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            list(writes),
            [self.rows[partition].next_pos for partition in writes],
            [len(write.events) for write in all_writes],
            [_chain_head(self.rows[partition], write) for partition, write in writes.items()],
            *_changes(all_writes),
        )
        reach("postgres.append.after")


def columns(entries: Sequence[Any], count: int) -> list[list[Any]]:
    """Entries turned into ``count`` lists, for ``unnest``."""
    return [[entry[index] for entry in entries] for index in range(count)]


def _chain_head(row: PartitionRow, write: Write) -> bytes:
    return write.events[-1].chain if write.events else row.chain_head


def _changes(writes: Sequence[Write]) -> tuple[Any, ...]:
    """The parameters that ``append`` and ``append_shared`` have in common."""
    marks = [mark for write in writes for mark in write.marks]
    return (
        [rows.event_row(event) for write in writes for event in write.events],
        [rows.head_row(head) for write in writes for head in write.heads],
        [rows.mark_row(mark) for mark in marks],
        [mark.announced for mark in marks],
        *columns([key for write in writes for key in write.hold], 2),
        [stream for write in writes for stream in write.lost],
        [stream for write in writes for stream in write.found],
        [stream for write in writes for stream in write.ended],
    )
