"""A snapshot of the file, read as it is, for the check of the ledger."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from functools import cache
from typing import Final

from runfold_events.check import End, StoredEvent, StreamNumber
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.stores.sqlite.authorizer import VIEW_PREFIX
from runfold_events.stores.sqlite.connection import MEMORY
from runfold_events.stores.sqlite.queries import QUERIES, resource
from runfold_events.stores.sqlite.rows import POSITION_SHIFT, Row, event_of, position
from runfold_events.stores.sqlite.snapshot import SqliteSnapshot

FINDINGS_MAX: Final = 100  # of one kind
_CHAIN_COLUMN: Final = 25  # of `audit_events`, whose first column is the position


class SqliteAudit(SqliteSnapshot):
    """``Audit`` of the file."""

    async def end(self, partition: int) -> End | None:
        """See ``Audit``."""
        rows = self._rows("partition_row", (partition,))
        return End(rows[0][1], rows[0][2]) if rows else None

    async def events(self, partition: int, from_pos: int, events_max: int) -> list[StoredEvent]:
        """See ``Audit``."""
        first, end = position(partition, from_pos), position(partition + 1, 0)
        rows = self._rows("audit_events", (first, end, events_max))
        return [
            StoredEvent(row[0] - position(partition, 0), _readable(row[1:]), row[_CHAIN_COLUMN])
            for row in rows
        ]

    async def stream_numbers(self, after: tuple[str, int], rows_max: int) -> list[StreamNumber]:
        """See ``Audit``."""
        rows = self._rows("audit_stream_numbers", (*after, rows_max))
        return [
            StreamNumber(stream, seq, where >> POSITION_SHIFT, where & (1 << POSITION_SHIFT) - 1)
            for stream, seq, where in rows
        ]

    async def erasures(self) -> Mapping[str, int]:
        """See ``Audit``."""
        return dict(self._rows("audit_erasures"))

    async def findings(self) -> list[str]:
        """See ``Audit``: SQLite's own check, the schema, events outside all partitions, heads that contradict."""
        return [
            *(f"integrity_check: {text}" for (text,) in self._rows("audit_integrity") if text != "ok"),
            *self._schema_findings(),
            *self._stray_findings(),
            *self._head_findings(),
        ]

    def _schema_findings(self) -> list[str]:
        expected, found = expected_schema(), _schema_of(self._rows("audit_schema"))
        return [
            *(f"{name} is missing from the schema" for name in sorted(expected.keys() - found.keys())),
            *(f"{name} is not part of the schema" for name in sorted(found.keys() - expected.keys())),
            *(
                f"{name} differs from the schema"
                for name in sorted(expected.keys() & found.keys())
                if expected[name] != found[name]
            ),
        ]

    def _stray_findings(self) -> list[str]:
        ((count,),) = self._rows("audit_strays", (position(self._partitions, 0),))
        return [f"{count} events lie in no partition"] if count else []

    def _head_findings(self) -> list[str]:
        return [
            f"the head of {stream} is at number {number}, its last event at {last or 0}"
            for stream, number, last in self._rows("audit_heads", (FINDINGS_MAX,))
        ]


def lenient_text(data: bytes) -> str:
    """Text as it is stored, also where it is no UTF-8 any more: damage is to be named, not to stop the check."""
    return data.decode("utf-8", "surrogateescape")


@cache
def expected_schema() -> Mapping[str, str]:
    """``{"trigger events_delete": definition, …}`` of a store as this version makes it."""
    connection = sqlite3.connect(MEMORY, isolation_level=None)
    try:
        connection.executescript(resource("schema.sql"))
        return _schema_of(connection.execute(QUERIES["audit_schema"]).fetchall())
    finally:
        connection.close()


def _schema_of(rows: list[Row]) -> Mapping[str, str]:
    return {
        f"{kind} {name}": re.sub(r"\s+", " ", text)
        for kind, name, table, text in rows
        if text is not None and not table.startswith((VIEW_PREFIX, "sqlite_"))
    }


def _readable(row: Row) -> RecordedEvent | None:
    try:
        return event_of(row)
    except (ValueError, TypeError):
        return None
