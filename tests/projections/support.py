"""Views over events in memory, and short ways to fold and look at them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from runfold_events.sync import run_sync
from runfold_projections.dump import dump
from runfold_projections.projection import Projection, Row, ViewStore
from runfold_projections.runner import BATCH_BODY_BYTES_MAX, BATCH_EVENTS_MAX
from runfold_projections.stores.sqlite import SqliteViewStore
from runfold_projections.testing.history import History, MemorySource
from runfold_projections.views import EmbeddedViews, all_projections


class Folded:
    """Views of a source; ``history`` appends to it."""

    def __init__(
        self,
        source: MemorySource | None = None,
        path: Path | str = ":memory:",
        projections: Sequence[Projection] | None = None,
        *,
        batch_events_max: int = BATCH_EVENTS_MAX,
        batch_body_bytes_max: int = BATCH_BODY_BYTES_MAX,
    ) -> None:
        self.source = source or MemorySource()
        self.history = History(self.source)
        self.store: ViewStore = SqliteViewStore(path)
        self.projections = list(projections or all_projections())
        self.views = EmbeddedViews(
            self.source,
            self.store,
            self.projections,
            batch_events_max=batch_events_max,
            batch_body_bytes_max=batch_body_bytes_max,
        )

    def catch_up(self) -> int:
        """Fold what is there."""
        return run_sync(self.views.catch_up())

    def dump(self) -> dict[str, list[Row]]:
        """All rows of all views, after folding what is there."""
        self.catch_up()
        return run_sync(dump(self.store, self.projections))

    def rows(self, table: str) -> list[Row]:
        """The rows of one table, such as ``runs.label``."""
        return self.dump()[table]

    def close(self) -> None:
        """Release everything; twice is fine."""
        run_sync(self.store.close())

    def __del__(self) -> None:
        with suppress(AttributeError):  # not even made
            self.close()


def refolded(
    source: MemorySource,
    *,
    batch_events_max: int = BATCH_EVENTS_MAX,
    batch_body_bytes_max: int = BATCH_BODY_BYTES_MAX,
) -> dict[str, list[Row]]:
    """The rows that a fold of everything from the first event gives, in a store of its own."""
    folded = Folded(source, batch_events_max=batch_events_max, batch_body_bytes_max=batch_body_bytes_max)
    try:
        return folded.dump()
    finally:
        folded.close()
