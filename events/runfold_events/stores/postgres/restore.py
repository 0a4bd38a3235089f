"""``runfold ledger restored``: the step after every restore of the database from a backup."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg

from runfold_events.contract.ids import system_stream
from runfold_events.ids_source import SystemIds
from runfold_events.restoring import Restoration, Restorer
from runfold_events.stores.postgres import rows
from runfold_events.stores.postgres.schema import check_version, lock_schema, no_store, wait_for_rest
from runfold_events.stores.postgres.transactions import PostgresTransaction


async def mark_restored(owner: asyncpg.Connection[Any]) -> Restoration:
    """Give the store a new epoch and append ``store.restored`` to every partition, all in one transaction.

    Services that were connected before would go on in the epoch that they know, so none may be. Those that connect
    meanwhile wait, and find the new epoch.

    Raises:
        Invalid: there is no store, or it is of another version than this program.
        Unavailable: services are connected.
    """
    async with owner.transaction():
        await lock_schema(owner)
        if await owner.fetchval("SELECT to_regclass('runfold.meta')") is None:
            raise no_store()
        await owner.execute("SET LOCAL search_path = runfold")
        await owner.execute("LOCK TABLE meta IN ACCESS EXCLUSIVE MODE")
        await wait_for_rest(owner, "marking a store as restored")
        meta = await owner.fetchrow("SELECT schema_version, epoch, partitions FROM meta")
        if meta is None:
            raise no_store()
        check_version(meta["schema_version"])
        restorer = Restorer(UUID(int=meta["epoch"].int), SystemIds())
        await owner.execute("SELECT set_config('runfold.restoring', 'yes', true)")
        await owner.execute("UPDATE meta SET epoch = $1", restorer.epoch)
        ends = [await _append(owner, restorer, partition) for partition in range(meta["partitions"])]
    return restorer.restoration(tuple(ends))


async def _append(owner: asyncpg.Connection[Any], restorer: Restorer, partition: int) -> int:
    found = await owner.fetchrow("SELECT * FROM lock_partition($1)", partition)
    if found is None:
        raise no_store()
    row = rows.partition_row_of(partition, found)
    transaction = PostgresTransaction(owner, row)
    await transaction.write(restorer.write(row, await transaction.load({system_stream(partition)}, ())))
    return row.next_pos
