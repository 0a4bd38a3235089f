"""A snapshot of the file on a connection of its own, or on the shared one of a store in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from runfold_events.stores.sqlite.failures import Translating
from runfold_events.stores.sqlite.queries import QUERIES
from runfold_events.stores.sqlite.rows import Row

FETCHED_ROWS: Final = 16  # at once, of those that may carry bodies

OpenSnapshot = Callable[[ExitStack], sqlite3.Connection]


class SqliteSnapshot:
    """Reads as long as its context lasts."""

    def __init__(self, open_snapshot: OpenSnapshot, place: str, partitions: int) -> None:
        self._open_snapshot = open_snapshot
        self._place = place
        self._partitions = partitions
        self._stack = ExitStack()
        self._connection: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        with ExitStack() as stack, Translating(self._place):
            self._connection = self._open_snapshot(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection = None
        self._stack.close()

    def _rows(self, name: str, values: Row = ()) -> list[Row]:
        with Translating(self._place):
            return self._open_connection().execute(QUERIES[name], values).fetchall()

    def _each_row(self, name: str, values: Row = ()) -> Iterator[Row]:
        """The rows of a statement, a few in memory at a time."""
        with Translating(self._place):
            cursor = self._open_connection().execute(QUERIES[name], values)
            while rows := cursor.fetchmany(FETCHED_ROWS):
                yield from rows

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the snapshot is over")
        return self._connection
