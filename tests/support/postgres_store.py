"""Postgres stores for tests: in a database of the test's own, opened as the service role, with a clock that moves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from runfold_events.stores.postgres import PostgresStore, create_store
from runfold_events.stores.postgres.store import PostgresTimeouts
from tests.support.stack import Template

SERVICE_ROLE: Final = "runfold_service_under_test"
SERVICE_PASSWORD: Final = "not-a-secret"  # of a database that lives as long as one test

# As in schema functions.sql, with a shift: what a test calls "time goes on".
SHIFTED_CLOCK: Final = """
CREATE OR REPLACE FUNCTION runfold.now_us() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + {shift_us}
$$
"""


def as_service(dsn: str) -> str:
    """The same database as the service role."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{SERVICE_ROLE}:{SERVICE_PASSWORD}@{host}"))


def template(partitions: int) -> Template:
    """A database with an empty store, copied for every test that wants one."""

    def fill(dsn: str) -> None:
        asyncio.run(make_store(dsn, partitions))

    return Template(f"store_{partitions}", fill)


def place_dsn(place: Path, dsn: str) -> None:
    """Let the file ``place`` name a store, for those who know stores by a path."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(dsn, encoding="utf-8")


async def make_store(dsn: str, partitions: int) -> None:
    """Create a store in the empty database of ``dsn``, which names its owner."""
    owner = await asyncpg.connect(dsn)
    try:
        # Tests of one run share the server's roles; whoever comes first makes it.
        await owner.execute("SELECT pg_advisory_lock(20)")
        if not await owner.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", SERVICE_ROLE):
            await owner.execute(f"CREATE ROLE {SERVICE_ROLE} LOGIN PASSWORD '{SERVICE_PASSWORD}'")
        await owner.execute("SELECT pg_advisory_unlock(20)")
        await create_store(owner, service_role=SERVICE_ROLE, partitions=partitions)
    finally:
        await owner.close()


async def shift_clock(dsn: str, seconds: float) -> None:
    """Let the store's clock be ``seconds`` ahead."""
    owner = await asyncpg.connect(dsn)
    try:
        await owner.execute(SHIFTED_CLOCK.format(shift_us=round(seconds * 1_000_000)))
    finally:
        await owner.close()


async def open_named_in(place: str | Path, *, timeouts: PostgresTimeouts | None = None) -> PostgresStore:
    """The store whose owner's DSN stands in the file ``place``, opened as the service role."""
    dsn = await asyncio.to_thread(Path(place).read_text, "utf-8")
    return await PostgresStore.open(as_service(dsn), timeouts=timeouts)
