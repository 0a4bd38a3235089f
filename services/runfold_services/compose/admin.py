"""What the owner of a database does: make a store in it, bring it up to date, mark it as restored.

Services never hold these rights.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import UUID

import asyncpg
from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, NotFound, RunfoldError, Unauthorized
from runfold_events.restoring import Restoration
from runfold_events.stores.postgres import create_store, mark_restored, migrate
from runfold_events.stores.postgres.dsn import check_dsn, place_of
from runfold_events.stores.postgres.failures import translated
from runfold_events.stores.postgres.schema import ADMINISTRATION
from runfold_projections.stores.postgres import create_views_schema

SERVICE_ROLE: Final = "runfold_service"
CONNECT_S_MAX: Final = 10.0


class Prepared(Struct, frozen=True, kw_only=True):
    """What was found or made."""

    place: str  # host, port and database
    epoch: UUID
    partitions: int
    schema_version: int
    service_role: str
    is_new: bool
    migrations: tuple[str, ...] = ()


async def prepare_ledger(
    owner_dsn: str,
    *,
    service_role: str = SERVICE_ROLE,
    partitions: int = limits.PARTITIONS_SERVER_DEFAULT,
    creates: bool = True,
) -> Prepared:
    """Make the store and the place for views in a database, or bring what is there up to date.

    Args:
        owner_dsn: the database, as a role that may create schemas and, if ``service_role`` is missing, roles.
        service_role: the role that services act as. Made without login if it is missing; the owner becomes a member.
        partitions: P of a new store.
        creates: False: only bring up to date what is there.

    Raises:
        Invalid: there is no store and ``creates`` is False, ``partitions`` is no power of two, or the role may not.
        Unavailable: Postgres does not answer.
    """
    async with _owner(owner_dsn) as owner:
        # Two that prepare at once: the second finds what the first has made.
        await owner.execute("SELECT pg_advisory_lock(hashtextextended('runfold prepare', 0))")
        is_new = await owner.fetchval("SELECT to_regclass('runfold.meta')") is None
        if is_new and not creates:
            raise Invalid(
                "the database holds no runfold store; `runfold ledger create` makes one",
                facts={"field": "postgres"},
            )
        await _ensure_role(owner, service_role)
        applied: list[str] = []
        if is_new:
            await create_store(owner, service_role=service_role, partitions=partitions)
        else:
            applied = await migrate(owner, service_role=service_role)
        await create_views_schema(owner, service_role=service_role)
        meta = await owner.fetchrow("SELECT epoch, partitions, schema_version FROM runfold.meta")
    if meta is None:
        raise Invalid("the store has no identity: its creation did not end", facts={"field": "postgres"})
    return Prepared(
        place=place_of(owner_dsn),
        epoch=UUID(int=meta["epoch"].int),
        partitions=meta["partitions"],
        schema_version=meta["schema_version"],
        service_role=service_role,
        is_new=is_new,
        migrations=tuple(applied),
    )


async def restore_ledger(owner_dsn: str) -> Restoration:
    """Mark the store as restored from a backup: a new epoch, and ``store.restored`` in every partition.

    Raises:
        Invalid: there is no store, it is of another version, or the role may not.
        Unavailable: Postgres does not answer, or services are connected.
    """
    async with _owner(owner_dsn) as owner:
        return await mark_restored(owner)


async def _ensure_role(owner: asyncpg.Connection[Any], role: str) -> None:
    if await owner.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
        return
    quoted = await owner.fetchval("SELECT quote_ident($1)", role)
    # Roles belong to the server, not to the database: somebody else may make it at this moment.
    try:
        await owner.execute(f"CREATE ROLE {quoted} NOLOGIN")
    except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        return
    await owner.execute(f"GRANT {quoted} TO CURRENT_USER")


@asynccontextmanager
async def _owner(dsn: str) -> AsyncGenerator[asyncpg.Connection[Any]]:
    """A connection of the owner; the engine's errors become ours."""
    try:
        connection = await asyncpg.connect(
            check_dsn(dsn), timeout=CONNECT_S_MAX, server_settings={"application_name": ADMINISTRATION}
        )
        try:
            yield connection
        finally:
            await connection.close()
    except asyncpg.InsufficientPrivilegeError as error:
        raise Invalid(
            f"the role of this DSN may not do that ({error}); give the DSN of the database's owner",
            facts={"field": "postgres"},
        ) from error
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise Unauthorized(
            f"Postgres at {place_of(dsn)} refuses the credentials of the DSN: {error}",
            code="postgres_credentials",
            facts={"field": "postgres"},
        ) from error
    except asyncpg.InvalidCatalogNameError as error:
        raise NotFound(
            f"{error}; make it first: CREATE DATABASE, as its owner", facts={"field": "postgres"}
        ) from error
    except RunfoldError:
        raise
    except Exception as error:
        passing = translated(error)
        if passing is None:
            raise
        raise passing from error


def as_role(dsn: str, role: str) -> str:
    """The same database, with the rights of ``role`` from the first statement on."""
    parts = urlsplit(dsn)
    query = f"{parts.query}&role={quote(role)}" if parts.query else f"role={quote(role)}"
    return urlunsplit(parts._replace(query=query))


async def is_service(dsn: str) -> bool:
    """True when a DSN's role cannot change the store's tables: then it needs no other role.

    Raises:
        Unavailable: Postgres does not answer.
    """
    async with _owner(dsn) as connection:
        found = await connection.fetchval(
            "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('runfold.events')"
        )
    return found is False
