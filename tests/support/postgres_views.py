"""Views in Postgres for tests: a database of the test's own, opened as the service role, folded when they are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

import asyncpg

from runfold_events.contract.tokens import Token
from runfold_projections.dump import dump
from runfold_projections.projection import EventSource, Projection, Row
from runfold_projections.rebuild import Rebuild, prepare
from runfold_projections.runner import BATCH_BODY_BYTES_MAX, BATCH_EVENTS_MAX, Folder, Runner
from runfold_projections.server_views import ServerViews
from runfold_projections.stores.postgres import PostgresViewStore, ViewTimeouts, create_views_schema
from runfold_projections.testing.history import History, MemorySource
from runfold_projections.views import all_projections
from tests.support.postgres_store import SERVICE_ROLE, as_service, make_store
from tests.support.stack import Template

T = TypeVar("T")
PARTITIONS: Final = 4


def fill(dsn: str) -> None:
    """An empty event store, and views without an event, as a projector leaves them that has found nothing to do."""
    asyncio.run(_fill(dsn))


async def _fill(dsn: str) -> None:
    await make_store(dsn, PARTITIONS)
    owner = await asyncpg.connect(dsn)
    try:
        await create_views_schema(owner, service_role=SERVICE_ROLE)
    finally:
        await owner.close()
    store = await PostgresViewStore.open(as_service(dsn))
    await store.close()


TEMPLATE: Final = Template("store_and_views", fill)


class FoldedViews(ServerViews):
    """Server views whose projector runs whenever somebody asks."""

    def __init__(
        self,
        source: EventSource,
        store: PostgresViewStore,
        projections: Sequence[Projection] | None = None,
        *,
        batch_events_max: int = BATCH_EVENTS_MAX,
        batch_body_bytes_max: int = BATCH_BODY_BYTES_MAX,
    ) -> None:
        self.projections = list(projections or all_projections())
        super().__init__(source, store, self.projections)
        self.source = source
        self.store = store
        self.folder = Folder(
            source,
            store,
            self.projections,
            batch_events_max=batch_events_max,
            batch_body_bytes_max=batch_body_bytes_max,
        )
        self._runner = Runner(source, self.folder, self.projections)
        self._is_prepared = False

    async def freshen(self) -> None:
        await self.catch_up()

    async def reach(self, at: Token | None, wait_s: float = 5.0) -> Token:
        await self.catch_up()
        return await super().reach(at, wait_s)

    async def catch_up(self) -> int:
        if not self._is_prepared:
            outdated = await prepare(self.source, self.store, self.projections)
            if outdated:
                await self.rebuild([projection.name for projection in outdated])
            self._is_prepared = True
        return await self._runner.catch_up()

    async def rebuild(self, names: Sequence[str] = (), progress: Any = None) -> int:
        chosen = [p for p in self.projections if not names or p.name in names]
        return await Rebuild(self.source, self.store, self.folder, chosen).run(progress)

    async def dump(self) -> dict[str, list[Row]]:
        """All rows of all views, after folding what is there."""
        await self.catch_up()
        return await dump(self.store, self.projections)


async def open_views(
    dsn: str,
    source: EventSource,
    projections: Sequence[Projection] | None = None,
    *,
    timeouts: ViewTimeouts | None = None,
    **bounds: int,
) -> FoldedViews:
    """Views in the database whose owner's DSN is given, over ``source``."""
    store = await PostgresViewStore.open(as_service(dsn), timeouts=timeouts)
    return FoldedViews(source, store, projections, **bounds)


class Folded:
    """Views of a history in memory, and an event loop to drive them; everything here is synchronous."""

    def __init__(
        self,
        dsn: str,
        source: MemorySource | None = None,
        projections: Sequence[Projection] | None = None,
        *,
        runner: asyncio.Runner | None = None,
        timeouts: ViewTimeouts | None = None,
        **bounds: int,
    ) -> None:
        self._runner = runner or asyncio.Runner()
        self._owns_runner = runner is None
        self.source = source or MemorySource()
        self.history = History(self.source)
        self.views = self.run(open_views(dsn, self.source, projections, timeouts=timeouts, **bounds))
        self.store = self.views.store

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, on this object's loop."""
        return self._runner.run(coroutine)

    def catch_up(self) -> int:
        """Fold what is there."""
        return self.run(self.views.catch_up())

    def dump(self) -> dict[str, list[Row]]:
        """All rows of all views, after folding what is there."""
        return self.run(self.views.dump())

    def close(self) -> None:
        """Release everything."""
        self.run(self.views.close())
        if self._owns_runner:
            self._runner.close()


class Fold(Protocol):
    """Opens views over a source; all of one test share a database and an event loop."""

    def __call__(self, source: MemorySource | None = None, *more: Any, **options: Any) -> Folded: ...
