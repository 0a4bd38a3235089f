"""The contract of views, on SQLite: in a file and in memory, over one partition and over several."""

from __future__ import annotations

from pathlib import Path

from runfold_projections.stores.sqlite import SqliteViewStore
from runfold_projections.testing.history import MemorySource
from runfold_projections.testing.views_contract import OpenViews, PartitionedViewsContract, ViewsContract
from runfold_projections.views import EmbeddedViews


class TestViewsInFile(ViewsContract):
    def open_views(self, place: Path, source: MemorySource) -> OpenViews:
        return EmbeddedViews(source, SqliteViewStore(place))


class TestViewsInMemory(ViewsContract):
    def open_views(self, place: Path, source: MemorySource) -> OpenViews:
        return EmbeddedViews(source, SqliteViewStore(":memory:"))


class TestPartitionedViewsInFile(PartitionedViewsContract):
    def open_views(self, place: Path, source: MemorySource) -> OpenViews:
        return EmbeddedViews(source, SqliteViewStore(place), batch_events_max=3)


class TestPartitionedViewsInMemory(PartitionedViewsContract):
    def open_views(self, place: Path, source: MemorySource) -> OpenViews:
        return EmbeddedViews(source, SqliteViewStore(":memory:"))
