"""Create a store, bring an older one up to date, and refuse what is not ours."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from runfold_events.contract import limits
from runfold_events.contract.envelope import CHAIN_START
from runfold_events.contract.errors import Invalid
from runfold_events.contract.ids import check_partitions

SCHEMA_VERSION: Final = 1
_HERE: Final = files("runfold_events.stores.postgres")


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


async def migrate(owner: asyncpg.Connection[Any], *, service_role: str) -> list[str]:
    """Apply the numbered migrations that are missing, one transaction each; returns their names."""
    version = await _version(owner)
    if version is None:
        raise Invalid("the database holds no runfold store; create one first", facts={"field": "database"})
    check_version(version)
    applied: list[str] = []
    for name in migrations(version):
        async with owner.transaction():
            await owner.execute("SET LOCAL search_path = runfold")
            await owner.execute(sql(f"migrations/{name}"))
            await owner.execute(sql("functions.sql"))
            await _grant(owner, service_role)
            await owner.execute("UPDATE meta SET schema_version = $1", int(name.split("_", 1)[0]))
        applied.append(name)
    return applied


def migrations(above: int) -> list[str]:
    """Names of the migrations that lead to versions above ``above``, in order: ``NNNN_{pre,post}_what.sql``."""
    folder = _HERE.joinpath("migrations")
    entries = folder.iterdir() if folder.is_dir() else ()
    names = sorted(entry.name for entry in entries if entry.name.endswith(".sql"))
    return [name for name in names if int(name.split("_", 1)[0]) > above]


def check_version(version: int) -> None:
    """Raise :class:`Invalid` when a newer program wrote this store."""
    if version > SCHEMA_VERSION:
        raise Invalid(
            f"the store has schema version {version}; this program knows {SCHEMA_VERSION}: upgrade runfold",
            facts={"field": "schema_version", "limit": SCHEMA_VERSION, "size": version},
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
    "load_decision",
    "append",
    "announce",
    "reserve_run_numbers",
    "renew_lease",
    "end_lease",
    "note_published",
    "share_partitions",
    "leave_role",
)
