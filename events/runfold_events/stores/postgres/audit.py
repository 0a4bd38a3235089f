"""A snapshot of the store, read as it is, for the check of the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runfold_events.check import End, StoredEvent, StreamNumber
from runfold_events.stores.postgres import rows
from runfold_events.stores.postgres.catalogue import expected_catalogue
from runfold_events.stores.postgres.schema import sql
from runfold_events.stores.postgres.snapshot import PostgresSnapshot

FINDINGS_MAX: Final = 100  # of one kind

_STRAYS: Final = "SELECT count(*) FROM events WHERE partition NOT BETWEEN 0 AND $1 - 1"
_HEADS: Final = """
SELECT stream, h.stream_seq, e.last
FROM heads AS h
FULL JOIN (SELECT stream, max(stream_seq) AS last FROM events GROUP BY stream) AS e USING (stream)
WHERE h.stream_seq IS DISTINCT FROM e.last LIMIT $1
"""
# What somebody who is not the owner may do to a table besides reading it.
_RIGHTS: Final = """
SELECT c.relname, coalesce(r.rolname, 'everybody'), right_.privilege_type
FROM pg_class AS c
CROSS JOIN LATERAL aclexplode(c.relacl) AS right_
LEFT JOIN pg_roles AS r ON r.oid = right_.grantee
WHERE c.relnamespace = 'runfold'::regnamespace AND right_.grantee <> c.relowner AND right_.privilege_type <> 'SELECT'
ORDER BY 1, 2, 3
"""


class PostgresAudit(PostgresSnapshot):
    """``Audit`` of the store."""

    async def end(self, partition: int) -> End | None:
        """See ``Audit``."""
        found = await self._rows(
            "SELECT next_pos, chain_head FROM partitions WHERE partition = $1", partition
        )
        return End(*found[0]) if found else None

    async def events(self, partition: int, from_pos: int, events_max: int) -> list[StoredEvent]:
        """See ``Audit``."""
        found = await self._rows(
            # The columns are a constant of this package; values are parameters.
            f"SELECT {rows.EVENT_COLUMNS} FROM events WHERE partition = $1 AND pos >= $2 ORDER BY pos LIMIT $3",  # noqa: S608
            partition,
            from_pos,
            events_max,
        )
        return [StoredEvent(event.pos, event, event.chain) for event in (rows.event_of(row) for row in found)]

    async def stream_numbers(self, after: tuple[str, int], rows_max: int) -> list[StreamNumber]:
        """See ``Audit``."""
        found = await self._rows(
            "SELECT stream, stream_seq, partition, pos FROM events WHERE (stream, stream_seq) > ($1, $2::bigint) "
            "ORDER BY stream, stream_seq LIMIT $3",
            *after,
            rows_max,
        )
        return [StreamNumber(*row) for row in found]

    async def erasures(self) -> Mapping[str, int]:
        """See ``Audit``."""
        found = await self._rows(
            "SELECT stream, max(pos) FROM events WHERE type = 'run.erased' GROUP BY stream"
        )
        return {row[0]: row[1] for row in found}

    async def findings(self) -> list[str]:
        """See ``Audit``: the schema, rights, events outside all partitions, heads that contradict."""
        return [
            *await self._schema_findings(),
            *await self._right_findings(),
            *await self._stray_findings(),
            *await self._head_findings(),
        ]

    async def _schema_findings(self) -> list[str]:
        expected = expected_catalogue()
        found = {row[0]: row[1] for row in await self._rows(sql("catalogue.sql"))}
        return [
            *(f"{name} is missing from the schema" for name in sorted(expected.keys() - found.keys())),
            *(f"{name} is not part of the schema" for name in sorted(found.keys() - expected.keys())),
            *(
                f"{name} differs from the schema"
                for name in sorted(expected.keys() & found.keys())
                if expected[name] != found[name]
            ),
        ]

    async def _right_findings(self) -> list[str]:
        return [f"{role} may {right} on {table}" for table, role, right in await self._rows(_RIGHTS)]

    async def _stray_findings(self) -> list[str]:
        ((count,),) = await self._rows(_STRAYS, self._partitions)
        return [f"{count} events lie in no partition"] if count else []

    async def _head_findings(self) -> list[str]:
        return [
            f"the head of {stream} is at number {number or 0}, its last event at {last or 0}"
            for stream, number, last in await self._rows(_HEADS, FINDINGS_MAX)
        ]
