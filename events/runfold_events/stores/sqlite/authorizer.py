"""What a connection may do, decided by SQLite when a statement is prepared: no cost per execution.

Triggers keep events unchanged whoever comes; the authorizer keeps the service's own connections from removing the
triggers, or from anything else than their few kinds of statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

VIEW_PREFIX: Final = "view_"
SCHEMA_TABLES: Final = frozenset({"sqlite_master", "sqlite_temp_master"})

Authorizer = Callable[[int, str | None, str | None, str | None, str | None], int]


class Role(Enum):
    """Who uses a connection."""

    EVENTS = "events"  # appends events and keeps the tables beside them
    VIEWS = "views"  # reads everything, owns the tables named view_*
    READER = "reader"  # reads everything


_ALL: Final = "*"
_INSERTS: Final = frozenset({"events", "heads", "writer_marks", "leases", "holders", "held", "run_numbers"})
_DELETES: Final = frozenset({"leases", "holders", "held"})
_UPDATES: Final[Mapping[str, frozenset[str]]] = {
    "events": frozenset({"body", "salt"}),
    "partitions": frozenset({"next_offset", "next_pos", "chain_head"}),
    "run_numbers": frozenset({"next_number"}),
    "heads": frozenset({_ALL}),
    "writer_marks": frozenset({_ALL}),
    "leases": frozenset({_ALL}),
    "held": frozenset({_ALL}),
}

_HARMLESS: Final = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_SAVEPOINT,
        sqlite3.SQLITE_RECURSIVE,
    }
)
_PRAGMAS_READ: Final = frozenset(
    {"data_version", "table_info", "index_list", "integrity_check", "user_version"}
)
_VIEW_DDL_NAME_FIRST: Final = frozenset({sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_DROP_TABLE})
_VIEW_DDL_NAME_SECOND: Final = frozenset(
    {sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_DROP_INDEX, sqlite3.SQLITE_ALTER_TABLE}
)
_WRITES: Final = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})


def authorizer(role: Role) -> Authorizer:
    """The callback for ``sqlite3.Connection.set_authorizer``."""
    allowed = {Role.EVENTS: _events_may, Role.VIEWS: _views_may, Role.READER: _nothing_more}[role]

    def decide(
        action: int, first: str | None, second: str | None, database: str | None, inner: str | None
    ) -> int:
        if action in _HARMLESS or allowed(action, first or "", second or ""):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_UPDATE and first in SCHEMA_TABLES:
            # Asked when json_each is first used. A statement that names the schema table is refused by SQLite itself.
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and second != "load_extension":
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_PRAGMA and first in _PRAGMAS_READ and _only_reads(first, second):
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    return decide


def _only_reads(pragma: str | None, argument: str | None) -> bool:
    return argument is None or pragma in {"table_info", "index_list"}


def _events_may(action: int, first: str, second: str) -> bool:
    if action == sqlite3.SQLITE_INSERT:
        return first in _INSERTS
    if action == sqlite3.SQLITE_DELETE:
        return first in _DELETES
    if action == sqlite3.SQLITE_UPDATE:
        columns = _UPDATES.get(first, frozenset())
        return second in columns or _ALL in columns
    return False


def _views_may(action: int, first: str, second: str) -> bool:
    if action in _WRITES:
        # Creating a table writes the schema table too; SQLite itself refuses statements that name it.
        return first.startswith(VIEW_PREFIX) or first in SCHEMA_TABLES
    if action in _VIEW_DDL_NAME_FIRST:
        return first.startswith(VIEW_PREFIX)
    if action == sqlite3.SQLITE_ALTER_TABLE or action in _VIEW_DDL_NAME_SECOND:
        return second.startswith(VIEW_PREFIX)
    if action == sqlite3.SQLITE_REINDEX:  # part of CREATE INDEX
        return first.startswith(VIEW_PREFIX)
    return False


def _nothing_more(action: int, first: str, second: str) -> bool:
    return False
