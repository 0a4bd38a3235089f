"""The ledger's suite runs on both engines."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.support.driven_store import DrivenLoop
from tests.support.ledgers import Engine, PostgresEngine, SqliteEngine, using


@pytest.fixture(scope="session")
def driven_loop() -> Generator[DrivenLoop]:
    """Where stores in Postgres live that are driven without a loop."""
    loop = DrivenLoop()
    yield loop
    loop.close()


@pytest.fixture(params=["sqlite", "postgres"], autouse=True)
def engine(request: pytest.FixtureRequest) -> Generator[Engine]:
    """Where the stores of a test live."""
    if request.param == "sqlite":
        with using(SqliteEngine()) as engine:
            yield engine
    else:
        stack = request.getfixturevalue("stack")
        with using(PostgresEngine(stack, request.getfixturevalue("driven_loop"))) as engine:
            yield engine
