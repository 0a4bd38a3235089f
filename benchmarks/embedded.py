"""The embedded default: SDK on the file, and ``runfold up`` over it on loopback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress

from benchmarks import bulk, families, lifecycle, lists, logging_cost, points
from benchmarks.measure import Group, Measured, Raw, Sizes, percentile
from benchmarks.place import Place, scratch
from benchmarks.processes import server
from benchmarks.progress import bar as progress_bar
from benchmarks.raw import commits_ms, fdatasync_ms

Work = Callable[[], Group]
_BASICS: Final = "The machine's own limits, measured in the same minutes"


def run(console: Console, sizes: Sizes, stack: Path | None = None) -> list[Group]:
    """All groups; the ledgers are temporary and gone afterwards. ``stack`` is not needed."""
    with scratch() as folder:
        os.environ["XDG_STATE_HOME"] = str(folder / "state")  # where spools for servers are kept
        with server(folder / "server") as url:
            return _groups(console, sizes, folder, url)


def _groups(console: Console, sizes: Sizes, folder: Path, url: str) -> list[Group]:
    places = [Place(home=str(folder / "embedded")), Place(url=url)]
    commits = [commits_ms(folder) for _ in range(sizes.repeats)]
    commit = Raw("SQLite: 1 row + durable commit, p50", percentile(commits[-1], 0.5))
    steps: list[tuple[str, Work]] = [
        ("log()", lambda: logging_cost.measure(sizes, places, commit)),
        ("points", lambda: points.measure(sizes, places, url, folder)),
        ("commands", lambda: lifecycle.measure(sizes, places, url, commit)),
        ("children", lambda: bulk.measure(sizes, places, folder)),
    ]
    groups = [_basics(folder, commits)]
    with progress_bar(console) as bar:
        task = bar.add_task("", total=len(steps) + 2)
        for name, work in steps:
            bar.update(task, description=name)
            groups.append(work())
            bar.advance(task)
        bar.update(task, description="lists")
        groups.append(_lists(bar, sizes, folder))
        bar.advance(task)
        bar.update(task, description="families")
        groups.append(_families(sizes, folder))
        bar.advance(task)
    return groups


def _families(sizes: Sizes, folder: Path) -> Group:
    """In a ledger of their own, like the lists."""
    with server(folder / "families") as url:
        places = [Place(home=str(folder / "families")), Place(url=url)]
        return families.measure(sizes, places, url, folder)


def _lists(bar: Progress, sizes: Sizes, folder: Path) -> Group:
    """In a ledger of their own, so that what the other steps wrote is in nobody's way."""
    with server(folder / "lists") as url:
        place = Place(home=str(folder / "lists"))
        task = bar.add_task(f"  writing {sizes.listed_runs:,} runs", total=sizes.listed_runs)
        lists.fill(place, sizes.listed_runs, lambda count: bar.advance(task, count))
        bar.update(task, visible=False)
        return lists.measure(sizes, [place, Place(url=url)], url, folder)


def _basics(folder: Path, commits: list[list[float]]) -> Group:
    syncs = [fdatasync_ms(folder) for _ in commits]
    rows = (
        Measured(name=syncs[0].name, unit="ms", values=tuple(sync.value for sync in syncs)),
        Measured(
            name="SQLite: 1 row + durable commit, p50",
            unit="ms",
            values=tuple(percentile(samples, 0.5) for samples in commits),
        ),
        Measured(
            name="SQLite: 1 row + durable commit, p99",
            unit="ms",
            values=tuple(percentile(samples, 0.99) for samples in commits),
        ),
    )
    return Group(title="Disk", about=_BASICS, rows=rows)
