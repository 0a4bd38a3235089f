"""``runfold ledger restored`` for a file that was put back from a backup."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from uuid import UUID, uuid4

from runfold_events.clock import Clock, SystemClock
from runfold_events.contract.errors import NotFound
from runfold_events.contract.ids import system_stream
from runfold_events.file_systems import refuse_network_file_system
from runfold_events.ids_source import SystemIds
from runfold_events.ports import Loaded, PartitionRow
from runfold_events.restoring import Restoration, Restorer
from runfold_events.stores.sqlite import forks
from runfold_events.stores.sqlite.connection import open_unrestricted
from runfold_events.stores.sqlite.failures import Translating
from runfold_events.stores.sqlite.lock import FileLock
from runfold_events.stores.sqlite.schema import Identity, prepare
from runfold_events.stores.sqlite.store import LOCK_TIMEOUT_S_DEFAULT
from runfold_events.stores.sqlite.transaction import apply_write, load_heads, partition_row

_GUARD = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = 'meta_update'"


def mark_restored(path: Path, *, clock: Clock | None = None) -> Restoration:
    """Give the store a new epoch and append ``store.restored`` to every partition, all in one transaction.

    Programs that have the file open are not asked: their next append is refused, since they know the epoch before.

    Raises:
        NotFound: there is no file.
        Invalid: it is no store of ours, is of a newer version, or lies on a network file system.
        Unavailable: the file cannot be opened or locked now.
    """
    path = path.absolute()
    if not path.exists():
        raise NotFound(f"there is no ledger at {path}", facts={"path": str(path)})
    refuse_network_file_system(path.parent)
    place = str(path)
    with FileLock(path).acquire(LOCK_TIMEOUT_S_DEFAULT), forks.InUse(), Translating(place):
        connection = open_unrestricted(path)
        try:
            return _mark(connection, prepare(connection, place, None, uuid4), clock or SystemClock())
        finally:
            connection.close()


def _mark(connection: sqlite3.Connection, identity: Identity, clock: Clock) -> Restoration:
    restorer = Restorer(identity.epoch, SystemIds())
    connection.execute("BEGIN IMMEDIATE")
    try:
        _set_epoch(connection, restorer.epoch)
        ends: list[int] = []
        for partition in range(identity.partitions):
            row = partition_row(connection, partition, clock)
            apply_write(connection, row, restorer.write(row, _loaded(connection, row)))
            ends.append(row.next_pos)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return restorer.restoration(tuple(ends))


def _set_epoch(connection: sqlite3.Connection, epoch: UUID) -> None:
    """The one time that it changes: its guard is away for this statement, and nobody sees the file meanwhile."""
    ((guard,),) = connection.execute(_GUARD).fetchall()
    connection.execute("DROP TRIGGER meta_update")
    connection.execute("UPDATE meta SET epoch = ?", (epoch.bytes,))
    connection.execute(guard)


def _loaded(connection: sqlite3.Connection, row: PartitionRow) -> Loaded:
    return Loaded(heads=load_heads(connection, [str(system_stream(row.partition))]), marks={}, holders={})
