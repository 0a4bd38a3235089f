"""The store's contract on SQLite in memory."""

from __future__ import annotations

from pathlib import Path

from runfold_events.clock import ManualClock
from runfold_events.ports import EventStore
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.testing.store_contract import LOCK_TIMEOUT_S, StoreContract


class TestSqliteStoreInMemory(StoreContract):
    async def open_store(
        self, place: Path, clock: ManualClock, *, lock_timeout_s: float = LOCK_TIMEOUT_S
    ) -> EventStore:
        return SqliteStore.open(
            ":memory:", clock=clock, partitions=self.PARTITIONS, lock_timeout_s=lock_timeout_s
        )
