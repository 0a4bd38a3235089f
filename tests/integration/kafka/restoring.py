"""A store that is set back to an earlier state, and what its owner does about it, as the logs around it see them."""

from __future__ import annotations

from uuid import uuid4

from runfold_events.contract.events import StoreRestored
from runfold_events.ids_source import SystemIds
from runfold_events.work import Work
from tests.integration.kafka.scene import Scene


async def set_back(scene: Scene, *, to_pos: int) -> None:
    """As far as the relay can see: restore an earlier state of the database."""
    await scene.sql(
        "ALTER TABLE runfold.events DISABLE TRIGGER ALL",
        f"DELETE FROM runfold.events WHERE pos >= {to_pos}",
        "ALTER TABLE runfold.events ENABLE ALWAYS TRIGGER events_delete",
        f"UPDATE runfold.partitions SET next_pos = {to_pos}, "
        f"chain_head = (SELECT chain FROM runfold.events WHERE pos = {to_pos - 1})",
        "DELETE FROM runfold.heads WHERE stream NOT IN (SELECT stream FROM runfold.events)",
        f"UPDATE runfold.published SET pos = least(pos, {to_pos}) RETURNING 1",
    )


async def new_epoch(scene: Scene) -> None:
    """What ``runfold ledger restored`` does."""
    previous = scene.store.epoch
    await scene.sql(
        "SELECT set_config('runfold.restoring', 'yes', false)",
        f"UPDATE runfold.meta SET epoch = '{uuid4()}' RETURNING 1",
    )
    scene.store = await scene.open_store()
    for partition in range(scene.partitions):
        async with scene.store.transaction(partition) as transaction:
            stream = f"_system/{partition}"
            loaded = await transaction.load({stream}, ())
            work = Work(scene.store.epoch, transaction.row, loaded, SystemIds(), {})
            work.append_system(stream, StoreRestored(previous_epoch=previous), uuid4(), None)
            await transaction.write(work.write())
