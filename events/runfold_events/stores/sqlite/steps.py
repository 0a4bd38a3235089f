"""One step of a transaction: a statement with a failpoint on each side, where a test can kill the process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final

from runfold_events.failpoints import is_armed, reach
from runfold_events.stores.sqlite.queries import QUERIES

Row = tuple[Any, ...]


class Step:
    """A named statement; failpoints ``sqlite.{name}.before``, ``.row`` (of many) and ``.after``."""

    __slots__ = ("_after", "_before", "_row", "sql")

    def __init__(self, name: str) -> None:
        self.sql = QUERIES[name]
        self._before = f"sqlite.{name}.before"
        self._row = f"sqlite.{name}.row"
        self._after = f"sqlite.{name}.after"

    def run(self, connection: sqlite3.Connection, values: Row = ()) -> None:
        """Execute once."""
        reach(self._before)
        connection.execute(self.sql, values)
        reach(self._after)

    def run_many(self, connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
        """Execute once for each row."""
        reach(self._before)
        connection.executemany(self.sql, self._reaching(rows) if is_armed() else rows)
        reach(self._after)

    def rows(self, connection: sqlite3.Connection, values: Row = ()) -> list[Row]:
        """Execute and fetch everything, so that no statement stays open and keeps an old snapshot alive."""
        reach(self._before)
        rows = connection.execute(self.sql, values).fetchall()
        reach(self._after)
        return rows

    def _reaching(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            reach(self._row)
            yield row


BEGIN: Final = Step("begin")
COMMIT: Final = Step("commit")
ROLLBACK: Final = Step("rollback")
