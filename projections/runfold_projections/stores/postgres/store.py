"""The Postgres adapter of :class:`~runfold_projections.projection.ViewStore`.

Projectors of several processes fold different partitions at once: each writes rows of its own, and of two that fold the
same one the compare-and-set of the checkpoint, the first statement of a batch, lets one pass. Readers see one moment:
their transaction is REPEATABLE READ, so that a page and its position agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from runfold_events.contract.errors import Invalid, Unavailable
from runfold_events.failpoints import reach
from runfold_events.stores.postgres.failures import RETRY_AFTER_S, translated
from runfold_projections.projection import Catalogue, ViewSession
from runfold_projections.statements import schema_statements
from runfold_projections.stores.postgres.connection import ViewTimeouts, create_pool
from runfold_projections.stores.postgres.schema import SCHEMA
from runfold_projections.stores.postgres.session import PostgresSession

# A snapshot that was begun before a generation was retired has touched its tables by then, or has ended.
RETIRED_S_MIN: Final = 60.0


class PostgresViewStore:
    """The tables of all views, in the schema ``runfold_views`` of one database."""

    def __init__(self, pool: asyncpg.Pool[Any], timeouts: ViewTimeouts) -> None:
        self._pool = pool
        self._timeouts = timeouts
        self._is_closed = False

    @classmethod
    async def open(
        cls, dsn: str, *, connections_max: int = 8, timeouts: ViewTimeouts | None = None
    ) -> PostgresViewStore:
        """Connect as the service role, and make the catalogue's tables if there are none yet.

        Raises:
            Invalid: the database has no schema for views, or the role may not use it.
            Unavailable: Postgres does not answer.
        """
        timeouts = timeouts or ViewTimeouts()
        try:
            store = cls(await create_pool(dsn, connections_max, timeouts), timeouts)
        except Exception as error:
            passing = translated(error)
            if passing is None:
                raise
            raise passing from error
        try:
            await store._prepare()
        except (asyncpg.InvalidSchemaNameError, asyncpg.InsufficientPrivilegeError) as error:
            await store.close()
            raise Invalid(
                f"the role cannot keep views in schema {SCHEMA} of this database ({error}); its owner runs "
                "create_views_schema first",
                facts={"field": "dsn"},
            ) from None
        except BaseException:
            await store.close()
            raise
        return store

    async def _prepare(self) -> None:
        async with self._connection() as connection:
            if await connection.fetchval("SELECT to_regclass('view_checkpoints') IS NOT NULL"):
                return
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", SCHEMA)
                for sql in schema_statements("stores/postgres/schema.sql"):
                    await connection.execute(sql)

    @asynccontextmanager
    async def transaction(self, *, alone: bool = False) -> AsyncGenerator[ViewSession]:
        """See the port."""
        async with self._connection() as connection:
            began = connection.transaction(isolation="read_committed")
            await began.start()
            try:
                session = PostgresSession(connection)
                if alone:
                    await session.be_alone()
                yield session
                reach("views.commit.before")
            except BaseException:
                await _roll_back(began)
                raise
            await began.commit()
            reach("views.commit.after")

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[ViewSession]:
        """See the port."""
        async with self._connection() as connection:
            began = connection.transaction(isolation="repeatable_read", readonly=True)
            await began.start()
            try:
                yield PostgresSession(connection)
            finally:
                await _roll_back(began)  # nothing was written

    async def catalogue(self) -> Catalogue:
        """See the port. One statement sees one moment: it needs no transaction around it."""
        async with self._connection() as connection:
            return await PostgresSession(connection).catalogue()

    async def drop_retired(self, since_s: float = RETIRED_S_MIN) -> int:
        """Drop the tables of generations that were replaced; returns how many generations went."""
        async with self._connection() as connection, connection.transaction():
            return await PostgresSession(connection).drop_retired(since_s)

    def is_engine_failure(self, error: BaseException) -> bool:
        """See the port."""
        return isinstance(translated(error), Unavailable) or isinstance(error, Unavailable)

    async def close(self) -> None:
        """See the port."""
        self._is_closed = True
        try:
            await asyncio.wait_for(self._pool.close(), self._timeouts.acquire_s)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Any]:
        """A connection of the pool; the engine's errors become the port's."""
        if self._is_closed:
            raise Unavailable("the views are closed", facts={"retry_after": RETRY_AFTER_S})
        try:
            async with self._pool.acquire(timeout=self._timeouts.acquire_s) as connection:
                yield connection
        except asyncpg.UndefinedTableError as error:
            # The generation was replaced a long time ago, for this snapshot; a new one reads the one in use.
            raise Unavailable(
                f"the view was rebuilt meanwhile: {error}", facts={"retry_after": 0.0}
            ) from error
        except Exception as error:
            passing = translated(error)
            if passing is None:
                raise
            raise passing from error


async def _roll_back(transaction: Any) -> None:
    """Roll back if the connection still can; a lost one has rolled back by itself."""
    try:
        await transaction.rollback()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return
