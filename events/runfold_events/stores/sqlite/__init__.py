"""The event store on SQLite: the embedded default."""

from runfold_events.stores.sqlite.connection import connect
from runfold_events.stores.sqlite.lock import FileLock
from runfold_events.stores.sqlite.store import SqliteStore

__all__ = ["FileLock", "SqliteStore", "connect"]
