"""The schema that views live in, and who may do what there.

The service role owns what it makes in the schema ``runfold_views``: it creates and drops tables there as generations
come and go. In the event store's own schema, ``runfold``, it keeps the little that the store gave it.
"""

from __future__ import annotations

from typing import Any, Final

import asyncpg

SCHEMA: Final = "runfold_views"


async def create_views_schema(owner: asyncpg.Connection[Any], *, service_role: str) -> None:
    """Let ``service_role`` keep views in the connected database. Doing it twice changes nothing.

    Args:
        owner: a connection of a role that may create schemas in the database.
        service_role: the role that services connect as. It must exist. It cannot drop the schema itself.
    """
    role: str = await owner.fetchval("SELECT quote_ident($1)", service_role)
    async with owner.transaction():
        for statement in (
            f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
            f"REVOKE ALL ON SCHEMA {SCHEMA} FROM PUBLIC",
            f"GRANT USAGE, CREATE ON SCHEMA {SCHEMA} TO {role}",
        ):
            await owner.execute(statement)
