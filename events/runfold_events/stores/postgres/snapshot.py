"""One moment of a store in Postgres, read on a connection of its own while others write."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

import asyncpg

# A snapshot locks nothing, so it may stand still longer than a writer; for ever, it would keep dead rows alive.
SNAPSHOT_IDLE_MS_MAX: Final = 600_000

OpenConnection = Callable[[], AbstractAsyncContextManager[Any]]


class PostgresSnapshot:
    """A REPEATABLE READ transaction that only reads and lasts as long as its context."""

    def __init__(self, open_connection: OpenConnection, partitions: int) -> None:
        self._open = open_connection
        self._partitions = partitions
        self._stack = AsyncExitStack()
        self._connection: asyncpg.Connection[Any] | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self._open())
            await stack.enter_async_context(
                connection.transaction(isolation="repeatable_read", readonly=True)
            )
            await connection.execute(
                f"SET LOCAL statement_timeout = 0; "
                f"SET LOCAL idle_in_transaction_session_timeout = {SNAPSHOT_IDLE_MS_MAX}"
            )
            self._connection = connection
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection = None
        await self._stack.__aexit__(kind, error, trace)

    async def _rows(self, query: str, *values: object) -> list[Any]:
        return list(await self._open_connection().fetch(query, *values))

    def _open_connection(self) -> asyncpg.Connection[Any]:
        if self._connection is None:
            raise RuntimeError("the snapshot is over")
        return self._connection
