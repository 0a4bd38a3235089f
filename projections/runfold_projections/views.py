"""Views of an embedded program: whoever reads folds first, so an answer holds all that was committed before it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from runfold_events.contract.tokens import Token
from runfold_events.stores.sqlite import forks
from runfold_projections.artifacts.fold import ArtifactsProjection
from runfold_projections.children.fold import ChildrenProjection
from runfold_projections.experiments.fold import ExperimentsProjection
from runfold_projections.history.fold import HistoryProjection
from runfold_projections.metrics.codec import ValueCodec
from runfold_projections.metrics.fold import MetricsProjection
from runfold_projections.positions import check_epoch, has_reached, not_reached, position_of
from runfold_projections.projection import EventSource, Projection, ViewStore
from runfold_projections.queries import ViewQueries
from runfold_projections.rebuild import Progress, Rebuild, prepare
from runfold_projections.runner import (
    BATCH_BODY_BYTES_MAX,
    BATCH_EVENTS_MAX,
    Folder,
    Runner,
)
from runfold_projections.runs.fold import RunsProjection
from runfold_projections.stores.sqlite import SqliteViewStore


def all_projections(value_codec: ValueCodec = "base") -> list[Projection]:
    """One of each, new: they remember what they have folded. ``value_codec``: how values of metrics are packed."""
    return [
        RunsProjection(),
        ChildrenProjection(),
        MetricsProjection(value_codec),
        ExperimentsProjection(),
        HistoryProjection(),
        ArtifactsProjection(),
    ]


class SqliteSource(EventSource, Protocol):
    """An event store that says where its file is; ``":memory:"`` when it has none."""

    @property
    def path(self) -> str: ...


def open_sqlite_views(store: SqliteSource, value_codec: ValueCodec = "base") -> EmbeddedViews:
    """Views over a SQLite event store, kept in the same file (in memory: beside it)."""
    return EmbeddedViews(store, SqliteViewStore(str(store.path)), all_projections(value_codec))


class EmbeddedViews(ViewQueries):
    """The ``Views`` port over a ledger in this process. Safe to use from several threads."""

    def __init__(
        self,
        source: EventSource,
        store: ViewStore,
        projections: Sequence[Projection] | None = None,
        *,
        batch_events_max: int = BATCH_EVENTS_MAX,
        batch_body_bytes_max: int = BATCH_BODY_BYTES_MAX,
    ) -> None:
        projections = all_projections() if projections is None else list(projections)
        super().__init__(source, store, projections)
        self._folder = Folder(
            source,
            store,
            projections,
            batch_events_max=batch_events_max,
            batch_body_bytes_max=batch_body_bytes_max,
        )
        self._runner = Runner(source, self._folder, projections)
        self._all = projections
        self._is_prepared = False
        # One thread of a process folds; the others would only read the same events and find them folded.
        self._folding = threading.Lock()
        forks.follow(self)

    def before_fork(self) -> None:
        """Folding ends before a fork begins: it uses the store, which forks wait for."""

    def after_fork(self) -> None:
        """A thread of the parent may have been folding; it is not here to finish."""
        self._folding = threading.Lock()

    async def freshen(self) -> None:
        """Fold what has been committed since."""
        await self.catch_up()

    async def catch_up(self, until: Token | None = None) -> int:
        """Fold up to ``until``, or to the store's present end; returns the number of events folded.

        Tables that an older version of a projection made are built anew first.
        """
        with self._folding:
            if not self._is_prepared:
                await self._prepare()
            return await self._runner.catch_up(until)

    async def _prepare(self) -> None:
        outdated = await prepare(self._source, self._store, self._all)
        if outdated:
            await Rebuild(self._source, self._store, self._folder, outdated).run()
        self._is_prepared = True

    async def rebuild(self, names: Sequence[str] = (), progress: Progress | None = None) -> int:
        """Fold the named views (none named: all) again from position 0, beside the ones in use; then switch.

        Returns the number of events folded. Goes on where an interrupted rebuild stood.
        """
        chosen = [projection for projection in self._all if not names or projection.name in names]
        with self._folding:
            return await Rebuild(self._source, self._store, self._folder, chosen).run(progress)

    async def reach(self, at: Token | None, wait_s: float = 5.0) -> Token:
        """See :class:`~runfold_projections.ports.Views`. Nothing to wait for here: what is committed can be folded."""
        await self.catch_up()
        position = await self.position()
        if at is not None:
            check_epoch(at, position)
            if not has_reached(at, position):
                raise not_reached(at, position)
        return position

    async def position(self) -> Token:
        """Where the views stand, without folding."""
        return position_of(await self._store.catalogue(), self._source, self._all)

    async def close(self) -> None:
        """Release connections; twice is fine."""
        await self._store.close()
