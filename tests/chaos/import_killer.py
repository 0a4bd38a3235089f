"""Imports a file in one process after the other, each killed a little later, until one comes to the end alive.

    python -m tests.chaos.import_killer FILE PLACE

``PLACE`` is the path of a SQLite store, or the DSN of one in Postgres. Prints one line for each process that was
killed: how many events there were afterwards, and whether the store said that an import is unfinished.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from runfold_events.ids_source import SystemIds
from runfold_events.stores.postgres import PostgresStore
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.transfer import importing
from runfold_events.transfer.importing import ImportLog, import_ledger
from runfold_events.transfer.ports import Movable
from runfold_events.transfer.reading import LedgerFile
from tests.support.killing import die_at, run_and_leave

T = TypeVar("T")
BATCH_LINES: Final = 4
LATER: Final = 1.6  # the next process comes so much further
KILLS_MAX: Final = 40


async def on_store(place: str, work: Callable[[Movable], Coroutine[Any, Any, T]]) -> T:
    """Open, work, close."""
    store = await PostgresStore.open(place) if place.startswith("postgres") else SqliteStore.open(place)
    try:
        return await work(store)
    finally:
        await store.close()


async def take(store: Movable, file: Path) -> None:
    """Import, or go on with it."""
    resume = await ImportLog(store).read_on() is not None
    with file.open("rb") as opened:
        await import_ledger(store, LedgerFile(opened, str(file)), SystemIds(), resume=resume)


async def tell(store: Movable) -> None:
    """What the next one finds."""
    unfinished = await ImportLog(store).read_on() is not None
    print(sum(await store.ends()), "unfinished" if unfinished else "nothing unfinished", flush=True)


def kill_until_done(file: Path, place: str) -> None:
    """Fork, import, die; the store is what remains."""
    point = 3.0
    for _ in range(KILLS_MAX):
        child = os.fork()
        if child == 0:
            run_and_leave(lambda: import_and_die(file, place, round(point)))  # noqa: B023  # done at once
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))
        asyncio.run(on_store(place, tell))
        point *= LATER
    sys.exit("the import never came to its end")


def import_and_die(file: Path, place: str, point: int) -> None:
    """In the child: the import, up to the ``point``-th failpoint that is reached."""
    die_at(point)
    asyncio.run(on_store(place, lambda store: take(store, file)))


if __name__ == "__main__":
    importing.BATCH_LINES_MAX = BATCH_LINES  # type: ignore[misc]
    kill_until_done(Path(sys.argv[1]), sys.argv[2])
