"""Views with much in them: events in memory, folded by the views' own code into SQLite or Postgres.

What a ledger does before and HTTP after is measured elsewhere; so a hundred thousand runs are there in minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from runfold_events.sync import run_sync
from runfold_projections.metrics.codec import ValueCodec
from runfold_projections.projection import ViewStore
from runfold_projections.queries import ViewQueries
from runfold_projections.rebuild import prepare
from runfold_projections.runner import Folder, Runner
from runfold_projections.stores.sqlite import SqliteViewStore
from runfold_projections.testing.history import EXPERIMENT, History, MemorySource
from runfold_projections.views import all_projections

T = TypeVar("T")
Ask = Callable[[Coroutine[Any, Any, Any]], Any]
EVENTS_AT_ONCE: Final = 5_000


class Filled:
    """Views over events that a benchmark makes, and forgets once they are folded."""

    def __init__(
        self, store: ViewStore, ask: Ask, *, partitions: int = 1, codec: ValueCodec = "base"
    ) -> None:
        projections = all_projections(codec)
        self.ask: Final = ask
        self.store: Final = store
        self.source: Final = MemorySource(partitions)
        self.history: Final = History(self.source)
        self.views: Final = ViewQueries(self.source, store, projections)
        self._runner = Runner(self.source, Folder(self.source, store, projections), projections)
        self._folded = [0] * partitions
        ask(prepare(self.source, store, projections))
        self.history.experiment(EXPERIMENT)

    def fold(self) -> None:
        """Fold all that was appended since."""
        self.ask(self._runner.catch_up())
        for partition, events in enumerate(self.source.events):
            done = self._folded[partition]
            events[done:] = [None] * (len(events) - done)  # type: ignore[list-item]  # nobody reads it again
            self._folded[partition] = len(events)

    def fold_much(self) -> None:
        """Fold when there is enough to be worth it."""
        if sum(map(len, self.source.events)) - sum(self._folded) >= EVENTS_AT_ONCE:
            self.fold()


@contextmanager
def filled_sqlite(path: Path, **options: Any) -> Generator[Filled]:
    """In a file of its own."""
    store = SqliteViewStore(str(path))
    try:
        yield Filled(store, run_sync, **options)
    finally:
        run_sync(store.close())


@contextmanager
def filled_postgres(dsn: str, **options: Any) -> Generator[Filled]:
    """In a database that has a schema for views, as the service role."""
    from runfold_projections.stores.postgres import PostgresViewStore

    with asyncio.Runner() as runner:
        store = runner.run(PostgresViewStore.open(dsn))
        try:
            yield Filled(store, runner.run, partitions=16, **options)
        finally:
            runner.run(store.close())
