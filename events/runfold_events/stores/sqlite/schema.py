"""Creating a store, recognising one, and bringing its schema up to date. Always on a connection of its own."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from importlib.resources import files
from typing import Final
from uuid import UUID

from msgspec import Struct

from runfold_events.contract.envelope import CHAIN_START
from runfold_events.contract.errors import Invalid, Unavailable
from runfold_events.contract.ids import check_partitions
from runfold_events.stores.sqlite.queries import resource

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x52464C44  # "RFLD" in the file's header says whose it is
_MIGRATION: Final = re.compile(r"(\d{4})_\w+\.sql\Z")


class Identity(Struct, frozen=True):
    """What is fixed when a store is created."""

    epoch: UUID
    partitions: int


def prepare(
    connection: sqlite3.Connection, place: str, partitions: int | None, new_epoch: Callable[[], UUID]
) -> Identity:
    """Create the store or migrate it, and return its identity. The caller holds the file lock.

    Raises:
        Invalid: the file is something else, is of a newer version, or has another number of partitions.
    """
    if partitions is not None:
        check_partitions(partitions)
    if _is_empty(connection):
        _create(connection, Identity(new_epoch(), partitions or 1))
    _check_ours(connection, place)
    _migrate(connection, place)
    return _check_identity(connection, place, partitions)


def use_write_ahead_log(connection: sqlite3.Connection, place: str) -> None:
    """Switch the file to WAL; it stays so."""
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise Unavailable(
            f"{place} cannot use a write-ahead log (journal mode {mode}); is it on a local disk?",
            facts={"path": place},
        )


def _is_empty(connection: sqlite3.Connection) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return bool(tables == 0) and _application_id(connection) == 0


def _application_id(connection: sqlite3.Connection) -> int:
    (value,) = connection.execute("PRAGMA application_id").fetchone()
    return int(value)


def _create(connection: sqlite3.Connection, identity: Identity) -> None:
    meta = "INSERT INTO meta (one, epoch, partitions, schema_version) VALUES (1, ?, ?, ?)"
    row = "INSERT INTO partitions (partition, chain_head) VALUES (?, ?)"
    try:
        # One transaction: a crash leaves an empty file, which the next one fills.
        connection.executescript(f"BEGIN IMMEDIATE;\n{resource('schema.sql')}")
        connection.execute(meta, (identity.epoch.bytes, identity.partitions, SCHEMA_VERSION))
        connection.executemany(row, ((partition, CHAIN_START) for partition in range(identity.partitions)))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check_ours(connection: sqlite3.Connection, place: str) -> None:
    if _application_id(connection) != APPLICATION_ID:
        raise Invalid(
            f"{place} is a SQLite file of another program, not a runfold store; choose another path",
            facts={"field": "path", "size": place},
        )


def _migrate(connection: sqlite3.Connection, place: str) -> None:
    (version,) = connection.execute("SELECT schema_version FROM meta").fetchone()
    if version > SCHEMA_VERSION:
        raise Invalid(
            f"{place} was written by a newer runfold (schema {version}, known here up to {SCHEMA_VERSION}): "
            "upgrade runfold",
            facts={"field": "schema_version", "limit": SCHEMA_VERSION, "size": version},
        )
    for number, script in migrations():
        if number > version:
            apply_migration(connection, number, script)


def apply_migration(connection: sqlite3.Connection, number: int, script: str) -> None:
    """Apply one migration and note its number, all or nothing."""
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}")
        connection.execute("UPDATE meta SET schema_version = ?", (number,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def migrations() -> list[tuple[int, str]]:
    """Number and text of all migrations, in order; the first makes the first schema there was."""
    folder = files(__package__ or "").joinpath("migrations")
    found = ((_MIGRATION.match(entry.name), entry) for entry in folder.iterdir())
    return sorted((int(match[1]), entry.read_text("utf-8")) for match, entry in found if match)


def _check_identity(connection: sqlite3.Connection, place: str, partitions: int | None) -> Identity:
    epoch, stored = connection.execute("SELECT epoch, partitions FROM meta").fetchone()
    if partitions is not None and partitions != stored:
        raise Invalid(
            f"{place} has {stored} partitions, not {partitions}; they are fixed when a store is created",
            facts={"field": "partitions", "limit": stored, "size": partitions},
        )
    return Identity(UUID(bytes=epoch), stored)
