"""A snapshot of the store for its export."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from runfold_events.check import End
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.ids import SYSTEM_PREFIX
from runfold_events.ports import WriterMark
from runfold_events.stores.postgres import rows
from runfold_events.stores.postgres.snapshot import OpenConnection, PostgresSnapshot
from runfold_events.transfer.ports import StreamEnd

FETCHED_EVENTS: Final = 16  # at once: each may carry a large body
FETCHED_STREAMS: Final = 1_000

# Sorted by bytes, whatever the database's own order of texts is: the order of lines is the same from every store.
_STREAMS: Final = """
SELECT stream, max(events) FROM (
    SELECT stream, stream_seq AS events FROM heads
    UNION ALL SELECT stream, 0 FROM writer_marks
    UNION ALL SELECT stream, 0 FROM announcements
    UNION ALL SELECT experiment_stream, 0 FROM run_numbers
) AS known
WHERE starts_with(stream, $1) AND NOT starts_with(stream, $2)
GROUP BY stream ORDER BY stream COLLATE "C"
"""
_TOTALS: Final = """
SELECT
    coalesce(sum(stream_seq) FILTER (WHERE starts_with(stream, $1) AND NOT starts_with(stream, $2)), 0)::bigint,
    coalesce(sum(stream_seq), 0)::bigint
FROM heads
"""
_MARKS: Final = """
SELECT stream, writer_id, coalesce(m.highest, 0), m.digest, coalesce(m.gaps, '{}'), coalesce(m.lost, '{}'),
    coalesce(m.refused_creation, false), coalesce(a.number, 0)
FROM (SELECT * FROM writer_marks WHERE stream = ANY ($1)) AS m
FULL JOIN (SELECT * FROM announcements WHERE stream = ANY ($1)) AS a USING (stream, writer_id)
ORDER BY stream COLLATE "C", writer_id
"""
_RUN_NUMBERS: Final = (
    "SELECT experiment_stream, next_number FROM run_numbers WHERE experiment_stream = ANY ($1)"
)
_OF_MANY: Final = 'stream = ANY ($1) ORDER BY stream COLLATE "C", stream_seq'
_OF_ONE: Final = "stream = $1 ORDER BY stream_seq"  # in the order of an index: nothing is sorted first


class PostgresExport(PostgresSnapshot):
    """``Snapshot`` of the store."""

    def __init__(self, open_connection: OpenConnection, partitions: int, workspace: str | None) -> None:
        super().__init__(open_connection, partitions)
        self._prefix = "" if workspace is None else f"{workspace}/"

    async def ends(self) -> tuple[End, ...]:
        """See ``Snapshot``."""
        found = await self._rows("SELECT next_pos, chain_head FROM partitions ORDER BY partition")
        return tuple(End(*row) for row in found)

    async def totals(self) -> tuple[int, int]:
        """See ``Snapshot``."""
        ((mine, everything),) = await self._rows(_TOTALS, self._prefix, SYSTEM_PREFIX)
        return mine, everything

    async def streams(self) -> AsyncIterator[StreamEnd]:
        """See ``Snapshot``."""
        cursor = self._open_connection().cursor(
            _STREAMS, self._prefix, SYSTEM_PREFIX, prefetch=FETCHED_STREAMS
        )
        async for stream, events in cursor:
            yield StreamEnd(stream, events)

    async def events(self, streams: Sequence[str]) -> AsyncIterator[RecordedEvent]:
        """See ``Snapshot``."""
        where, value = (_OF_ONE, streams[0]) if len(streams) == 1 else (_OF_MANY, list(streams))
        # All parts are constants of this package; the value is a parameter.
        query = f"SELECT {rows.EVENT_COLUMNS} FROM events WHERE {where}"  # noqa: S608
        async for row in self._open_connection().cursor(query, value, prefetch=FETCHED_EVENTS):
            yield rows.event_of(row)

    async def marks(self, streams: Sequence[str]) -> list[WriterMark]:
        """See ``Snapshot``."""
        return [rows.mark_of(row) for row in await self._rows(_MARKS, list(streams))]

    async def run_numbers(self, streams: Sequence[str]) -> dict[str, int]:
        """See ``Snapshot``."""
        return {row[0]: row[1] for row in await self._rows(_RUN_NUMBERS, list(streams))}
