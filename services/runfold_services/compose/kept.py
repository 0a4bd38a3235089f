"""What a store kept of the command topic, for who has its database at hand."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from runfold_events.stores.postgres import PostgresStore
from runfold_events.unreadable import EntryPage, EntryQuery, EntryRecord, find_entry, list_entries


class KeptRecords:
    """Entries of a store, for who has the database at hand."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self.partitions = store.partitions

    async def page(self, query: EntryQuery) -> EntryPage:
        """See :func:`~runfold_events.unreadable.list_entries`."""
        return await list_entries(self._store, query)

    async def find(self, name: str) -> EntryRecord:
        """See :func:`~runfold_events.unreadable.find_entry`."""
        return await find_entry(self._store, name)


@asynccontextmanager
async def open_kept_records(dsn: str) -> AsyncGenerator[KeptRecords]:
    """The entries of the store at ``dsn``, which may be the service role's.

    Raises:
        Invalid: there is no store.
        Unavailable: Postgres does not answer.
    """
    store = await PostgresStore.open(dsn, connections_max=2)
    try:
        yield KeptRecords(store)
    finally:
        await store.close()
