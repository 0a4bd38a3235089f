"""A distributed set-up: ``runfold serve`` of each role over a real Kafka and Postgres on this machine."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import asyncpg
from rich.console import Console

from benchmarks import families, latency, raw_servers, throughput, workers
from benchmarks.fleet import Fleet, Watch, fleet
from benchmarks.flood import begin_runs, records_of, strangers
from benchmarks.measure import Group, Measured, Raw, Sizes, percentile
from benchmarks.memory import touch_us
from benchmarks.place import Place, scratch
from benchmarks.progress import bar
from benchmarks.raw import fdatasync_ms
from runfold_services.compose.postgres import open_server
from runfold_services.postgres_settings import PostgresSettings

_BASICS: Final = "The machine's own limits, measured in the same minutes. One client each."


def run(console: Console, sizes: Sizes, stack: Path | None = None) -> list[Group]:
    """All groups; servers, databases and topics are temporary and gone afterwards.

    ``stack``: the folder of servers to share with others who run meanwhile; None: servers of its own.
    """
    # A new topic's leaders may not know it yet; aiokafka asks again, and says so each time.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with scratch() as folder, bar(console) as shown:
        steps = 6 + 3 * sizes.repeats + len(sizes.flood) * (1 + sizes.repeats)
        task = shown.add_task("servers", total=steps)

        def tell(what: str, done: int = 0, total: int = 0) -> None:
            shown.update(task, description=what)

        def advance(what: str = "") -> None:
            shown.advance(task)
            shown.update(task, description=what or "measuring")

        with fleet(stack or folder / "stack", tell) as mine:
            advance("runs")
            return asyncio.run(_measure(mine, sizes, folder, advance))


async def _measure(mine: Fleet, sizes: Sizes, folder: Path, advance: Callable[..., Any]) -> list[Group]:
    connection = await asyncpg.connect(mine.owner_dsn)
    tracker = await open_server(PostgresSettings(dsn=mine.dsn))
    try:
        watch = Watch(connection)
        writers = await begin_runs(mine, watch, sizes.flood_runs)
        advance("limits")
        basics, commit, copies = await _limits(mine, connection, sizes, folder)
        # The disk is not to write their hundreds of MB beside what comes next.
        await asyncio.to_thread(os.sync)
        advance("latency")
        paced = await latency.measure(mine, tracker.views, writers[0], sizes, commit, advance)
        flooded = await throughput.measure(mine, watch, writers, tracker.views, sizes, copies, advance)
        advance("workers")
        worked = await workers.measure(mine, watch, tracker.views, sizes, folder / "spools", advance)
        advance("families")
        url = mine.urls["api"]
        family = await asyncio.to_thread(families.measure, sizes, [Place(url=url)], url)
        return [basics, paced, *flooded, worked, family]
    finally:
        await tracker.close()
        await connection.close()


async def _limits(
    mine: Fleet, connection: asyncpg.Connection[Any], sizes: Sizes, folder: Path
) -> tuple[Group, Raw, dict[int, Raw]]:
    """The group, and of it the limits that other rows stand beside."""
    again = range(sizes.repeats)
    syncs = [fdatasync_ms(folder) for _ in again]
    commits = [await raw_servers.commits_ms(connection, sizes.raw_commits) for _ in again]
    touched = [await asyncio.to_thread(touch_us, sizes.flood_memory_bytes) for _ in again]
    rows = [
        Measured(name=syncs[0].name, unit="ms", values=tuple(sync.value for sync in syncs)),
        Measured(name="a page of memory, touched", unit="µs", values=tuple(touched)),
        Measured(
            name="Postgres: 1 row + durable commit, p50",
            unit="ms",
            values=tuple(percentile(samples, 0.5) for samples in commits),
        ),
    ]
    copies: dict[int, Raw] = {}
    for points, commands in sizes.flood:
        copied = [await raw_servers.copied_per_s(connection, points, sizes.raw_rows) for _ in again]
        made = await asyncio.to_thread(records_of, strangers(64), commands // 4, points)
        produced = [await raw_servers.produced_per_s(mine.kafka, made) for _ in again]
        decoded = [raw_servers.decoded_per_s(points, sizes.raw_rows) for _ in again]
        label = f"of {points:,} point{'s' if points > 1 else ''}"
        rows += [
            Measured(name=copied[0].name, unit="rows/s", values=tuple(one.value for one in copied)),
            Measured(name=f"aiokafka: records {label} produced", unit="records/s", values=tuple(produced)),
            Measured(name=f"msgspec: batches {label} decoded", unit="batches/s", values=tuple(decoded)),
        ]
        copies[points] = Raw(copied[0].name, rows[-3].median)
    group = Group(title="Limits", about=_BASICS, rows=tuple(rows))
    return group, raw_servers.commit_of(commits[-1]), copies
