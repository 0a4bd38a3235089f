"""A store in Postgres whose coroutines never suspend, for suites that drive stores without an event loop.

It lives on a loop in a thread of its own; each call waits there for its result. So tests written for the embedded store
run on it unchanged.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, Final, TypeVar

from runfold_events.stores.postgres import PostgresStore
from tests.support.postgres_store import as_service, shift_clock
from tests.support.stack import run_sql

T = TypeVar("T")
_PLAIN: Final = frozenset({"epoch", "partitions"})


class DrivenLoop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="driven-loop")
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Its result; the caller's thread waits."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    """What libraries left behind ends here, and not when the interpreter does."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class DrivenStore:
    """:class:`~runfold_events.ports.EventStore` over a store on another thread's loop."""

    def __init__(self, loop: DrivenLoop, dsn: str) -> None:
        self._loop = loop
        self._inner: Any = loop.run(PostgresStore.open(as_service(dsn)))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return found if name in _PLAIN else _waiting(self._loop, found)

    @asynccontextmanager
    async def transaction(self, partition: int) -> AsyncGenerator[Any]:
        began = self._inner.transaction(partition)
        transaction = self._loop.run(began.__aenter__())
        try:
            yield _DrivenTransaction(self._loop, transaction)
        except BaseException as error:
            if not self._loop.run(began.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            self._loop.run(began.__aexit__(None, None, None))


class _DrivenTransaction:
    def __init__(self, loop: DrivenLoop, inner: Any) -> None:
        self.row = inner.row
        self.load = _waiting(loop, inner.load)
        self.write = _waiting(loop, inner.write)


def _waiting(loop: DrivenLoop, method: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., Any]:
    @wraps(method)
    async def called(*args: Any, **kwargs: Any) -> T:
        return loop.run(method(*args, **kwargs))

    return called


class ShiftedClock:
    """The store's own clock, which goes on by itself and which a test may move."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._shift_s = 0.0

    def now_us(self) -> int:
        return time.time_ns() // 1_000 + round(self._shift_s * 1_000_000)

    def advance(self, seconds: float) -> None:
        """Move by ``seconds``, also backwards."""
        self._shift_s += seconds
        asyncio.run(shift_clock(self._dsn, self._shift_s))


def poison(dsn: str, kind: str) -> None:
    """Have the engine refuse any event of a type whose actor is ``poison``."""
    asyncio.run(
        run_sql(
            dsn,
            "CREATE FUNCTION runfold.poison() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'poisoned' USING ERRCODE = 'data_exception'; END $$",
            "CREATE TRIGGER poison BEFORE INSERT ON runfold.events FOR EACH ROW "
            f"WHEN (NEW.actor = 'poison' AND NEW.type = '{kind}') EXECUTE FUNCTION runfold.poison()",
            "SELECT true",
        )
    )
