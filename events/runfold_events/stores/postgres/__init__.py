"""The event store in Postgres."""

from runfold_events.stores.postgres.restore import mark_restored
from runfold_events.stores.postgres.schema import create_store, migrate
from runfold_events.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore", "create_store", "mark_restored", "migrate"]
