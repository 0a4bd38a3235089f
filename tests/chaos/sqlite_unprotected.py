"""Controls: the store with one protection taken away. What a fault test finds here proves that it can see."""

from __future__ import annotations

import sqlite3

from runfold_events.failpoints import reach
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.stores.sqlite.writer import Writer


class NoTransactionWriter(Writer):
    """Every statement commits itself. The points where a test can kill stay."""

    def _begin(self, connection: sqlite3.Connection) -> None:
        reach("sqlite.begin.before")
        reach("sqlite.begin.after")

    def _commit(self, connection: sqlite3.Connection) -> None:
        reach("sqlite.commit.before")
        reach("sqlite.commit.after")


class NoTransactionStore(SqliteStore):
    """A store without transactions."""

    writer_class = NoTransactionWriter
