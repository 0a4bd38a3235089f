"""A database with an empty event store and a place for views, and views in it that are closed when the test ends."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from runfold_projections.testing.history import MemorySource
from tests.support.postgres_views import TEMPLATE, Fold, Folded
from tests.support.stack import StackForTest


@pytest.fixture
def dsn(stack: StackForTest) -> str:
    """Of the owner."""
    return stack.database(TEMPLATE)


@pytest.fixture
def fold(dsn: str) -> Generator[Fold]:
    opened: list[Folded] = []

    def open_one(source: MemorySource | None = None, *more: Any, **options: Any) -> Folded:
        opened.append(Folded(dsn, source, *more, runner=runner, **options))
        return opened[-1]

    with asyncio.Runner() as runner:
        yield open_one
        for folded in opened:
            folded.close()
