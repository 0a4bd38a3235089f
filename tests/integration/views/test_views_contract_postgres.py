"""The contract of views, on Postgres: over one partition and over several."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from runfold_projections.testing.history import MemorySource
from runfold_projections.testing.views_contract import OpenViews, PartitionedViewsContract, ViewsContract
from tests.support.postgres_views import TEMPLATE, open_views
from tests.support.stack import StackForTest

T = TypeVar("T")


class OnPostgres(ViewsContract):
    """Views in a database of the test's own."""

    _runner: asyncio.Runner
    _dsn: str
    BATCH_EVENTS_MAX = 2_048

    @pytest.fixture(autouse=True)
    def loop_and_database(self, stack: StackForTest) -> Generator[None]:
        self._dsn = stack.database(TEMPLATE)
        with asyncio.Runner() as self._runner:
            yield

    def open_views(self, place: Path, source: MemorySource) -> OpenViews:
        return self._runner.run(open_views(self._dsn, source, batch_events_max=self.BATCH_EVENTS_MAX))

    def ask(self, question: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(question)


class TestViewsInPostgres(OnPostgres):
    pass


class TestPartitionedViewsInPostgres(OnPostgres, PartitionedViewsContract):
    BATCH_EVENTS_MAX = 3
