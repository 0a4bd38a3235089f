"""What views keep and answer: storage, curves, lists and children, on SQLite and on Postgres."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from rich.console import Console

from benchmarks import reading, storage
from benchmarks.filled import filled_postgres, filled_sqlite
from benchmarks.fleet import Fleet, fleet, new_database
from benchmarks.measure import Group, Measured, Sizes
from benchmarks.place import Place, scratch
from benchmarks.processes import server
from benchmarks.progress import bar
from runfold_services.compose.admin import as_role


def run(console: Console, sizes: Sizes, stack: Path | None = None) -> list[Group]:
    """All groups; files and databases are temporary. ``stack``: the folder of servers to share."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with scratch() as folder, bar(console) as shown:
        task = shown.add_task("servers", total=2 * sizes.many_runs)

        def tell(what: str, done: int = 0, total: int = 0) -> None:
            shown.update(task, description=what)

        def advance(count: int) -> None:
            shown.advance(task, count)

        with fleet(stack or folder / "stack", tell) as mine:
            tell("storage")
            stored = storage.measure(sizes, folder, lambda: _database(mine))
            tell("curves")
            curves: list[Measured] = []
            with filled_sqlite(folder / "curve.db") as filled:
                curves += reading.curve_rows(filled, sizes, "SQLite")
            with filled_postgres(_database(mine)[0]) as filled:
                curves += reading.curve_rows(filled, sizes, "Postgres")
            tell("children")
            children = _children(mine, sizes, folder)
            tell("runs, SQLite")
            with filled_sqlite(folder / "lists.db") as filled:
                lists = reading.list_rows(filled, sizes, "SQLite", advance)
            (folder / "lists.db").unlink()
            tell("runs, Postgres")
            with filled_postgres(_database(mine)[0]) as filled:
                lists += reading.list_rows(filled, sizes, "Postgres", advance)
    return [stored, *reading.groups(sizes, curves, lists, children)]


def _database(mine: Fleet) -> tuple[str, str]:
    """A new database; its DSN as the service, and as the owner."""
    owner = asyncio.run(new_database(mine.postgres))
    return as_role(owner, "runfold_service"), owner


def _children(mine: Fleet, sizes: Sizes, folder: Path) -> list[Measured]:
    with server(folder / "children") as url:
        places = [
            ("embedded", Place(home=str(folder / "family"))),
            ("HTTP over SQLite", Place(url=url)),
            ("HTTP over Postgres", Place(url=mine.urls["api"])),
        ]
        return reading.children_rows(places, sizes)
