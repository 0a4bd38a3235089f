"""Create a store, bring an older one up to date, and refuse what is not ours."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.envelope import CHAIN_START
from runfold_events.contract.errors import Invalid, Unavailable
from runfold_events.contract.ids import check_partitions

SCHEMA_VERSION: Final = 1
SERVICES: Final = "runfold"  # how the sessions of services name themselves, or begin to
ADMINISTRATION: Final = "runfold administration"
DDL_LOCK_S_MAX: Final = 5.0  # services wait behind a change that waits: it gives up soon
REST_S_MAX: Final = 5.0  # how long sessions of services that have just stopped may take to be gone
_REST_POLL_S: Final = 0.1
_HERE: Final = files("runfold_events.stores.postgres")
_MIGRATION: Final = re.compile(r"(\d{4})_(pre_|post_)?\w+\.sql\Z")


class Migration(Struct, frozen=True):
    """One step from a schema version to the next."""

    number: int  # the version that it leads to
    name: str
    script: str
    needs_rest: bool = (
        False  # services of the version before cannot work with the outcome: they must be stopped
    )


def sql(name: str) -> str:
    """A file of this package."""
    return _HERE.joinpath(name).read_text(encoding="utf-8")


async def create_store(
    owner: asyncpg.Connection[Any], *, service_role: str, partitions: int = limits.PARTITIONS_SERVER_DEFAULT
) -> UUID:
    """Make a new store in the connected database, in schema ``runfold``; returns its epoch.

    Args:
        owner: a connection of the role that will own the tables.
        service_role: the role that services connect as. It must exist; it gets SELECT, and EXECUTE on the functions.
        partitions: P, fixed for ever.

    Raises:
        Invalid: there is a store already, or ``partitions`` is no power of two.
    """
    check_partitions(partitions)
    async with owner.transaction():
        await lock_schema(owner)
        if await _version(owner) is not None:
            raise Invalid("the database holds a runfold store already", facts={"field": "database"})
        await owner.execute("CREATE SCHEMA IF NOT EXISTS runfold")
        await owner.execute("SET LOCAL search_path = runfold")
        await owner.execute(sql("schema.sql"))
        await owner.execute(sql("functions.sql"))
        await _grant(owner, service_role)
        epoch = uuid4()
        await owner.execute(
            "INSERT INTO meta (schema_version, epoch, partitions) VALUES ($1, $2, $3)",
            SCHEMA_VERSION,
            epoch,
            partitions,
        )
        await owner.executemany(
            "INSERT INTO partitions (partition, chain_head) VALUES ($1, $2)",
            [(partition, CHAIN_START) for partition in range(partitions)],
        )
    return epoch


async def migrate(
    owner: asyncpg.Connection[Any], *, service_role: str, known: Sequence[Migration] | None = None
) -> list[str]:
    """Apply the numbered migrations that are missing, one transaction each; returns their names.

    One process at a time: a second one waits and finds nothing left to do. What was applied stays when a later one
    fails, and the next call goes on from there.

    Args:
        owner: a connection of the role that owns the tables.
        service_role: gets the rights on what is new.
        known: the migrations of this program.

    Raises:
        Invalid: there is no store, or a newer program has migrated it.
        Unavailable: services are connected that a migration must not meet.
        LockNotAvailableError: of asyncpg; a lock was not free in time.
    """
    known = migrations() if known is None else known
    applied: list[str] = []
    while True:
        async with owner.transaction():
            await lock_schema(owner)
            version = await _version(owner)
            if version is None:
                raise no_store()
            check_not_newer(version, max((one.number for one in known), default=0))
            step = next((one for one in known if one.number > version), None)
            if step is None:
                return applied
            if step.needs_rest:
                await wait_for_rest(owner, f"migration {step.name}")
            await _apply(owner, step, service_role)
        applied.append(step.name)


async def _apply(owner: asyncpg.Connection[Any], step: Migration, service_role: str) -> None:
    await owner.execute("SET LOCAL search_path = runfold")
    await owner.execute(f"SET LOCAL lock_timeout = {round(DDL_LOCK_S_MAX * 1_000)}")
    await owner.execute(step.script)
    await owner.execute(sql("functions.sql"))
    await _grant(owner, service_role)
    # The first one makes the table, and has no row to update.
    await owner.execute("UPDATE meta SET schema_version = $1", step.number)


def migrations() -> list[Migration]:
    """All migrations in order; the first makes the first schema there was.

    ``NNNN_pre_what.sql`` adds and may meet services of the version before at work; ``NNNN_post_what.sql`` takes away
    or changes what those use, and waits until they are stopped.
    """
    found: list[Migration] = []
    for entry in _HERE.joinpath("migrations").iterdir():
        match = _MIGRATION.match(entry.name)
        if match is not None:
            script = entry.read_text(encoding="utf-8")
            found.append(Migration(int(match[1]), entry.name, script, match[2] == "post_"))
    return sorted(found, key=lambda one: one.number)


async def lock_schema(owner: asyncpg.Connection[Any]) -> None:
    """Let nobody else create, migrate or mark a store in this database until the transaction ends."""
    await owner.execute("SELECT pg_advisory_xact_lock(hashtextextended('runfold schema', 0))")


async def wait_for_rest(owner: asyncpg.Connection[Any], purpose: str) -> None:
    """Wait until no service is connected to this database.

    Raises:
        Unavailable: some still are.
    """
    end = time.monotonic() + REST_S_MAX
    while True:
        await owner.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees what it saw first
        count: int = await owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND application_name LIKE $1 AND application_name <> $2",
            f"{SERVICES}%",
            ADMINISTRATION,
        )
        if not count:
            return
        if time.monotonic() > end:
            raise Unavailable(
                f"{purpose} must not meet services at work, and {count} of their sessions are connected: stop api, "
                "decider, relay and projector, then run it again",
                facts={"sessions": count},
            )
        await asyncio.sleep(_REST_POLL_S)


def check_version(version: int) -> None:
    """Raise :class:`Invalid` unless this program can work with a store of schema ``version``."""
    check_not_newer(version, SCHEMA_VERSION)
    if version < SCHEMA_VERSION:
        raise Invalid(
            f"the store has schema version {version}, this program needs {SCHEMA_VERSION}: run "
            "`runfold ledger migrate` with this version of runfold first",
            facts={"field": "schema_version", "limit": SCHEMA_VERSION, "size": version},
        )


def check_not_newer(version: int, known: int) -> None:
    """Raise :class:`Invalid` when a newer program has made or migrated the store."""
    if version > known:
        raise Invalid(
            f"the store has schema version {version}; this program knows {known}: upgrade runfold",
            facts={"field": "schema_version", "limit": known, "size": version},
        )


def no_store() -> Invalid:
    """What to say about a database without a store."""
    return Invalid(
        "the database holds no runfold store; `runfold ledger create` makes one", facts={"field": "postgres"}
    )


async def _version(connection: asyncpg.Connection[Any]) -> int | None:
    if await connection.fetchval("SELECT to_regclass('runfold.meta')") is None:
        return None
    version: int | None = await connection.fetchval("SELECT schema_version FROM runfold.meta")
    return version


async def _grant(owner: asyncpg.Connection[Any], service_role: str) -> None:
    """SELECT and the functions, nothing else: the service cannot even lock a row but by ``lock_partition``."""
    role: str = await owner.fetchval("SELECT quote_ident($1)", service_role)
    for statement in (
        "REVOKE ALL ON SCHEMA runfold FROM PUBLIC",
        "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA runfold FROM PUBLIC",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA runfold FROM {role}",
        f"GRANT USAGE ON SCHEMA runfold TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA runfold TO {role}",
        *(f"GRANT EXECUTE ON FUNCTION {name} TO {role}" for name in SERVICE_FUNCTIONS),
    ):
        await owner.execute(statement)


SERVICE_FUNCTIONS: Final = (
    "now_us",
    "lock_partition",
    "lock_free_partitions",
    "load_decision",
    "drop_holders",
    "append",
    "append_shared",
    "announce",
    "reserve_run_numbers",
    "reserve_numbers_of_new",
    "renew_lease",
    "end_lease",
    "note_published",
    "share_partitions",
    "leave_role",
)
