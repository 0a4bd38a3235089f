"""Access to the tables of one generation through one connection."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from runfold_events.failpoints import reach
from runfold_projections.projection import Generation, Parameters, Row
from runfold_projections.statements import named_statements
from runfold_projections.stores.postgres.spelled import bound, for_many, numbered, spelled

# The types of a statement's parameters, by the file and its name; the same for every generation of a version.
_types: Final[dict[tuple[str, str], tuple[str, ...]]] = {}


@cache
def statements(path: str, prefix: str) -> dict[str, str]:
    """The named statements of a file, for the tables of one prefix."""
    return {name: spelled(sql, prefix) for name, sql in named_statements(path).items()}


class PostgresTables:
    """See :class:`~runfold_projections.projection.ViewTransaction`."""

    __slots__ = ("_connection", "_path", "_prefix", "_statements")

    def __init__(self, connection: Any, generation: Generation) -> None:
        self._connection = connection
        self._prefix = generation.prefix
        self._path = f"{generation.projection}/statements.sql"
        self._statements = statements(self._path, generation.prefix)

    async def fetch(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """See the port."""
        return _rows(await self._connection.fetch(self._statements[statement], *parameters))

    async def fetch_many(self, statement: str, keys: Sequence[Parameters]) -> list[Row]:
        """See the port."""
        if len(keys) < 2:
            return await self.fetch(statement, keys[0]) if keys else []
        sql = for_many(self._statements[statement], await self._types_of(statement))
        return [tuple(row)[:-1] for row in await self._connection.fetch(sql, *_columns(keys))]

    async def fetch_compiled(self, sql: str, parameters: Parameters) -> list[Row]:
        """See the port."""
        sql = spelled(numbered(sql, parameters), self._prefix)
        return _rows(await self._connection.fetch(sql, *map(bound, parameters)))

    async def execute(self, statement: str, parameters: Parameters = ()) -> int:
        """See the port."""
        reach(f"views.{statement}")
        return changed(await self._connection.execute(self._statements[statement], *parameters))

    async def execute_many(self, statement: str, rows: Sequence[Parameters]) -> None:
        """See the port. All rows in one statement: they are different rows of the table."""
        if not rows:
            return
        reach(f"views.{statement}")
        sql = self._statements[statement]
        if len(rows) == 1:
            await self._connection.execute(sql, *rows[0])
        else:
            sql = for_many(sql, await self._types_of(statement))
            await self._connection.execute(sql, *_columns(rows))

    async def _types_of(self, statement: str) -> tuple[str, ...]:
        key = (self._path, statement)
        types = _types.get(key)
        if types is None:
            prepared = await self._connection.prepare(self._statements[statement])
            types = _types[key] = tuple(f"{t.schema}.{t.name}" for t in prepared.get_parameters())
        return types


def changed(status: str) -> int:
    """The number of rows that a statement changed, out of what the server says: ``UPDATE 1``."""
    return int(status.rpartition(" ")[2])


def _rows(records: Sequence[Any]) -> list[Row]:
    return [tuple(record) for record in records]


def _columns(rows: Sequence[Parameters]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))
