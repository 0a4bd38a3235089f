"""Which store a command works on: the embedded ledger's file, or a server's in Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

import click

from runfold.cli.servers import server_extra
from runfold.cli.session import Session
from runfold_events.check import Auditable
from runfold_events.sync import run_sync
from runfold_events.transfer.ports import Movable

if TYPE_CHECKING:
    from runfold_services.postgres_settings import PostgresSettings

T = TypeVar("T")


class LedgerStore(Movable, Auditable, Protocol):
    """A store that can be checked and moved."""


def postgres_of(session: Session, dsn: str | None) -> PostgresSettings | None:
    """Where the store is in Postgres; None: it is the embedded ledger's file."""
    from runfold_services.postgres_settings import postgres_settings_from_environment

    if dsn is not None and (session.options.home is not None or session.options.url is not None):
        raise click.UsageError("--postgres names the store itself: neither --home nor --url goes with it")
    if dsn is None and session.options.home is not None:
        return None
    return postgres_settings_from_environment(dsn=dsn)


def on_store(
    session: Session,
    purpose: str,
    dsn: str | None,
    work: Callable[[LedgerStore], Coroutine[Any, Any, T]],
    *,
    creates: bool = False,
) -> tuple[dict[str, str], T]:
    """Do ``work`` on the store that the options name; returns the place, as answers say it, and what the work gave.

    Args:
        session: of the command.
        purpose: the command's name, for errors.
        dsn: what ``--postgres`` said.
        work: gets the open store.
        creates: an embedded ledger that is not there yet is made.

    Raises:
        Invalid: the options name a server's address, or Postgres needs what is not installed.
        NotFound: there is no embedded ledger in the home.
        Unavailable: the store cannot be opened now.
    """
    settings = postgres_of(session, dsn)
    if settings is not None:
        return {"postgres": place_of(settings.dsn)}, asyncio.run(_on_postgres(settings.dsn, work))
    from runfold.cli.commands.upkeep import opened

    with opened(session, purpose, creates=creates) as (home, tracker):
        return {"home": str(home)}, run_sync(work(tracker.store))


async def _on_postgres(dsn: str, work: Callable[[LedgerStore], Coroutine[Any, Any, T]]) -> T:
    with server_extra():
        from runfold_services.compose.postgres import open_store
    async with open_store(dsn) as store:
        return await work(store)


def place_of(dsn: str) -> str:
    """A database for people: without user and password."""
    parts = urlsplit(dsn)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"
