"""A process that stood still inside a transaction finds its session cut: whatever asyncpg makes of that, it is passing.

Taken for anything else, the command that was in its hands would be answered as broken, or kept as poison.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import pytest

from runfold_events.contract.errors import Unavailable
from runfold_events.ports import Write
from runfold_events.stores.postgres import PostgresStore
from runfold_events.stores.postgres.store import PostgresTimeouts
from runfold_projections.stores.postgres import PostgresViewStore, ViewTimeouts
from runfold_services.process import new_loop_factory
from tests.support.postgres_store import as_service
from tests.support.postgres_views import TEMPLATE
from tests.support.stack import StackForTest

CUT_MS: Final = 40
TURNS: Final = 15  # to both sides of the moment at which the engine cuts the session

Use = Callable[[float], Coroutine[Any, Any, None]]


async def stand_still(seconds: float) -> None:
    """As SIGSTOP does: the event loop goes on only afterwards, and has then to read what the engine said meanwhile."""
    await asyncio.sleep(seconds / 2)
    time.sleep(seconds / 2)  # noqa: ASYNC251 - nothing else of this process goes on either
    await asyncio.sleep(0)


async def use_store(dsn: str) -> None:
    store = await PostgresStore.open(dsn, timeouts=PostgresTimeouts(idle_in_transaction_ms=CUT_MS))

    async def decide(seconds: float) -> None:
        async with store.transaction(0) as transaction:
            await transaction.load({"w/run/r"}, ())
            await stand_still(seconds)
            await transaction.load({"w/run/r"}, ())
            await transaction.write(Write())

    try:
        await take_turns(decide)
        assert await store.ends() == (0,) * store.partitions
    finally:
        await store.close()


async def use_views(dsn: str) -> None:
    store = await PostgresViewStore.open(dsn, timeouts=ViewTimeouts(idle_in_transaction_ms=CUT_MS))

    async def fold(seconds: float) -> None:
        async with store.transaction() as session:
            await session.catalogue()
            await stand_still(seconds)
            await session.catalogue()

    try:
        await take_turns(fold)
    finally:
        await store.close()


async def take_turns(use: Use) -> None:
    """Every turn succeeds or is ``Unavailable``; nothing else comes out."""
    luck = random.Random(7)
    cut = 0
    for _ in range(TURNS):
        try:
            await use(luck.uniform(0.8, 1.6) * CUT_MS / 1_000)
        except Unavailable:
            cut += 1
    assert cut > 0


@pytest.mark.parametrize("use", [use_store, use_views])
@pytest.mark.parametrize("factory", [None, new_loop_factory()], ids=["asyncio", "best"])
def test_a_session_that_was_cut_is_passing(
    stack: StackForTest,
    use: Callable[[str], Coroutine[Any, Any, None]],
    factory: Callable[[], asyncio.AbstractEventLoop] | None,
) -> None:
    dsn = as_service(stack.database(TEMPLATE))
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(use(dsn))
