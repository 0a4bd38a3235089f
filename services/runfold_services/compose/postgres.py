"""A service over Postgres: store, views and what folds them. Imported by servers alone, since it needs asyncpg."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from runfold_events.clock import Clock, SystemClock
from runfold_events.contract import limits
from runfold_events.contract.errors import PositionNotReached
from runfold_events.contract.submission import Outcome, Submission
from runfold_events.contract.tokens import Token, merged_tokens
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.sharing import Sharing
from runfold_events.stores.postgres import PostgresStore
from runfold_projections.positions import has_reached
from runfold_projections.rebuild import Progress, Rebuild, prepare
from runfold_projections.runner import Folder
from runfold_projections.server_views import ServerViews
from runfold_projections.stores.postgres import PostgresViewStore
from runfold_projections.views import all_projections
from runfold_services.compose.files import open_files
from runfold_services.files.port import FileStore
from runfold_services.postgres_settings import PostgresSettings
from runfold_services.projector import Projector, ProjectorSettings
from runfold_services.roles import ProjectorRole
from runfold_services.settings import value_codec
from runfold_services.tracker import Tracker

T = TypeVar("T")


class ServerTracker(Tracker):
    """A tracker over Postgres. Lives on the event loop that it was opened on."""

    def __init__(
        self,
        store: PostgresStore,
        views: ServerViews,
        clock: Clock,
        files: FileStore,
        *,
        lease_s: float,
        fresh_wait_s: float,
        projector: Projector | None,
    ) -> None:
        ledger = Ledger(store, SystemIds(), partitions_at_once=True)
        super().__init__(ledger, views, clock, files, lease_s=lease_s)
        self.store = store
        self._sharing = Sharing(ledger, store)
        self.projector = projector
        self._fresh_wait_s = fresh_wait_s
        self._answered: Token | None = None
        self._reached: Token | None = None  # a position that the views are known to have reached
        if projector is not None:
            self.on_append = projector.wake

    async def submit(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """See :class:`Tracker`; remembers up to where it has answered."""
        outcomes = await super().submit(submissions)
        self._remember(outcomes)
        return outcomes

    async def submit_free(self, submissions: Sequence[Submission]) -> list[Outcome | None]:
        """See :class:`~runfold_services.backend.Backend`."""
        try:
            outcomes = await self._sharing.handle(submissions)
        finally:
            self.on_append()
        self._remember([outcome for outcome in outcomes if outcome is not None])
        return outcomes

    def _remember(self, outcomes: Sequence[Outcome]) -> None:
        token = merged_tokens(outcome.token for outcome in outcomes if outcome.token is not None)
        if token is not None:
            self._answered = token if self._answered is None else self._answered.merge(token)

    async def latest(self) -> Token:
        """See :class:`~runfold_services.backend.Backend`."""
        if self._answered is None or (
            self._reached is not None and has_reached(self._answered, self._reached)
        ):
            return await self.views.reach(None)
        try:
            self._reached = await self.views.reach(self._answered, self._fresh_wait_s)
        except PositionNotReached:
            return await self.views.reach(None)
        return self._reached

    async def _log_cursors(self) -> Mapping[int, int]:
        """See :class:`Tracker`."""
        return {row.partition: row.next_offset for row in await self.store.rows()}

    async def apart(self, work: Callable[[], T]) -> T:
        """See :class:`Tracker`. The event loop answers others meanwhile."""
        return await asyncio.to_thread(work)

    async def close(self) -> None:
        """Release everything; nothing is folded first, since projectors go on where they stand."""
        if self.projector is not None:
            await self.projector.stop()
        try:
            await self.views.close()
        finally:
            await self.store.close()


async def open_server(
    postgres: PostgresSettings,
    *,
    projects: bool = False,
    clock: Clock | None = None,
    lease_s: float = limits.LEASE_S,
    files: str | None = None,
    home: Path | None = None,
) -> ServerTracker:
    """The service over an event store and its views: what an API process serves.

    Args:
        postgres: where store and views are.
        projects: fold in this process, too. Otherwise a projector does, in a process of its own.
        clock: for what the lease keeper says.
        lease_s: how long a process may be silent before its runs are marked NotResponding.
        files: where contents of files are kept, see :func:`~runfold_services.compose.files.open_files`.
        home: the runfold home, for ``files`` that name no place.

    Raises:
        Invalid: there is no store, or no place for views.
        Unavailable: Postgres does not answer, or the views are of a newer version.
    """
    kept = open_files(files, home)
    async with contextlib.AsyncExitStack() as opened:
        store = await PostgresStore.open(postgres.dsn, connections_max=postgres.connections_max)
        opened.push_async_callback(store.close)
        view_store = await PostgresViewStore.open(
            postgres.views_dsn or postgres.dsn, connections_max=postgres.connections_max
        )
        opened.push_async_callback(view_store.close)
        projections = all_projections(value_codec())
        projector = None
        if projects:
            projector = Projector(store, view_store, projections, store)
            await projector.start()
            opened.push_async_callback(projector.stop)
        else:
            await prepare(store, view_store, projections)
        views = ServerViews(store, view_store, projections)
        opened.pop_all()
    return ServerTracker(
        store,
        views,
        clock or SystemClock(),
        kept,
        lease_s=lease_s,
        fresh_wait_s=postgres.fresh_wait_s,
        projector=projector,
    )


@asynccontextmanager
async def open_projector(
    dsn: str,
    *,
    views_dsn: str | None = None,
    settings: ProjectorSettings | None = None,
    connections_max: int = 4,
) -> AsyncGenerator[Projector]:
    """A projector of the store at ``dsn``, not started; its connections are closed at the end of the block.

    Raises:
        Invalid: there is no store, or no place for views.
        Unavailable: Postgres does not answer.
    """
    store = await PostgresStore.open(dsn, connections_max=connections_max)
    try:
        view_store = await PostgresViewStore.open(views_dsn or dsn, connections_max=connections_max)
        try:
            yield Projector(store, view_store, all_projections(value_codec()), store, settings)
        finally:
            await view_store.close()
    finally:
        await store.close()


@asynccontextmanager
async def open_projector_role(postgres: PostgresSettings) -> AsyncGenerator[ProjectorRole]:
    """The same as a role of its own process."""
    async with open_projector(postgres.dsn, views_dsn=postgres.views_dsn) as projector:
        yield ProjectorRole(projector)


@asynccontextmanager
async def open_store(dsn: str, *, connections_max: int = 4) -> AsyncGenerator[PostgresStore]:
    """The event store at ``dsn`` alone, for what works on the store itself.

    Raises:
        Invalid: there is no store.
        Unavailable: Postgres does not answer.
    """
    store = await PostgresStore.open(dsn, connections_max=connections_max)
    try:
        yield store
    finally:
        await store.close()


async def rebuild_views(
    dsn: str,
    names: tuple[str, ...] = (),
    *,
    views_dsn: str | None = None,
    progress: Progress | None = None,
) -> int:
    """Fold the named views (none named: all) again from the first event; returns the number of events folded.

    Projectors go on meanwhile. Goes on where an interrupted rebuild stood.
    """
    store = await PostgresStore.open(dsn)
    try:
        view_store = await PostgresViewStore.open(views_dsn or dsn)
        try:
            chosen = [p for p in all_projections(value_codec()) if not names or p.name in names]
            folder = Folder(store, view_store, chosen)
            return await Rebuild(store, view_store, folder, chosen).run(progress)
        finally:
            await view_store.close()
    finally:
        await store.close()
