"""What a point takes on disk: float32-like losses with step and time, in ledger and view, indexes included."""

from __future__ import annotations

import math
import sqlite3
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.filled import Filled
from benchmarks.measure import Group, Measured, Sizes
from benchmarks.place import Place
from benchmarks.processes import together
from runfold_events.contract.columns import pack_floats, pack_integers
from runfold_events.contract.commands import Command, LogMetrics
from runfold_events.contract.metrics import Series, encode_batch
from runfold_projections.metrics.chunks import CHUNK_POINTS
from runfold_projections.metrics.codec import ValueCodec

RUN: Final = "stored"
VIEW_BYTES_MAX: Final = 4.5
PCODEC_BYTES_MAX: Final = 4.0
LEDGER_BYTES_MAX: Final = 16.0
BATCHES: Final = (100, 1_000)
_REQUEST_COMMANDS: Final = 200
_FIRST_MS: Final = 1_700_000_000_000


def series(first: int, count: int) -> Series:
    """Points of a loss that falls and is noisy, as a program with 32-bit floats logs it, some 10 ms apart."""
    import numpy as np

    steps = np.arange(first, first + count)
    noise = np.random.default_rng(first).normal(0, 0.05, count)
    values = (2.5 * np.exp(-steps / 20_000) + 0.1 + noise).astype(np.float32).astype(np.float64)
    times = _FIRST_MS + steps * 10 + np.random.default_rng(first + 1).integers(0, 5, count)
    return Series(
        name="loss",
        times=pack_integers(array("q", times.tolist())),
        steps=pack_integers(array("q", steps.tolist())),
        columns={"loss": pack_floats(array("d", values.tolist()))},
    )


def fill_ledger(place: Place, points: int, batch: int) -> None:
    """Log points through the SDK's own queue, as batches of a size."""
    workspace = place.workspace()
    with place.experiment().start_logging(run_id=RUN):
        connection = workspace._connection  # pyright: ignore[reportPrivateUsage]  # no public call cuts batches
        stream = connection.run_stream("default", RUN)
        for first in range(0, points, batch * _REQUEST_COMMANDS):
            starts = range(first, min(points, first + batch * _REQUEST_COMMANDS), batch)
            commands: list[tuple[Any, Command]] = [
                (stream, LogMetrics(run_id=RUN, batch=msgspec.Raw(encode_batch([series(start, batch)]))))
                for start in starts
            ]
            connection.call_all(commands, strict=True)


def sqlite_bytes(path: Path) -> dict[str, int]:
    """Bytes of pages by table; indexes count for their table. Of an empty ledger's pages next to nothing remains."""
    found: dict[str, int] = {}
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(
            "SELECT m.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_master m ON m.name = s.name GROUP BY 1"
        )
        for name, size in rows:
            found[name] = int(size)
    finally:
        connection.close()
    return found


def ledger_bytes_a_point(path: Path, points: int) -> float:
    """All that is no view."""
    return sum(n for name, n in sqlite_bytes(path).items() if not name.startswith("view_")) / points


def view_bytes_a_point(filled: Filled, points: int, size_of: Callable[[str], float]) -> float:
    """The tables of the metrics view after so many points; ``size_of`` tells the bytes of a table with its indexes."""
    whole = math.ceil(points / CHUNK_POINTS) * CHUNK_POINTS  # a tail is never longer than a chunk
    filled.history.create(RUN)
    for first in range(0, whole, CHUNK_POINTS // 4):
        filled.history.metrics(RUN, series(first, CHUNK_POINTS // 4))
        filled.fold_much()
    filled.fold()
    return size_of("view_metrics_") / whole


def sqlite_view(folder: Path, points: int, codec: ValueCodec) -> float:
    """Bytes a point of the view in SQLite."""
    from benchmarks.filled import filled_sqlite

    path = folder / f"stored-{codec}.db"

    def size_of(prefix: str) -> float:
        return sum(n for name, n in sqlite_bytes(path).items() if name.startswith(prefix))

    with filled_sqlite(path, codec=codec) as filled:
        found = view_bytes_a_point(filled, points, size_of)
    path.unlink()
    return found


def postgres_view(dsn: str, owner_dsn: str, points: int, codec: ValueCodec) -> float:
    """Bytes a point of the view in Postgres; its tables hold nothing else."""
    import asyncio

    import asyncpg

    from benchmarks.filled import filled_postgres

    async def total(prefix: str) -> float:
        connection = await asyncpg.connect(owner_dsn)
        try:
            await connection.execute("VACUUM")
            found = await connection.fetchval(
                "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = "
                "c.relnamespace WHERE n.nspname = 'runfold_views' AND c.relkind = 'r' AND starts_with(c.relname, $1)",
                prefix,
            )
            return float(found)
        finally:
            await connection.close()

    with filled_postgres(dsn, codec=codec) as filled:
        return view_bytes_a_point(filled, points, lambda prefix: asyncio.run(total(prefix)))


def row(name: str, value: float, aim: float) -> Measured:
    """A size needs no repeats: it is the same each time."""
    return Measured(name=name, unit="bytes/point", values=(value,), aim=aim)


def measure(sizes: Sizes, folder: Path, postgres: Callable[[], tuple[str, str]] | None = None) -> Group:
    """Ledger and view on SQLite, the view on Postgres too; ``postgres`` makes a database: DSN of service and owner."""
    rows: list[Measured] = []
    for batch in BATCHES:
        home = folder / f"ledger-{batch}"
        together(fill_ledger, [(Place(home=str(home)), sizes.stored_points, batch)])
        value = ledger_bytes_a_point(home / "ledger.db", sizes.stored_points)
        rows.append(row(f"ledger, SQLite, batches of {batch:,}", value, LEDGER_BYTES_MAX))
    codecs: tuple[tuple[ValueCodec, float], ...] = (("base", VIEW_BYTES_MAX), ("pcodec", PCODEC_BYTES_MAX))
    for codec, aim in codecs:
        rows.append(row(f"view, SQLite, {codec}", sqlite_view(folder, sizes.stored_points, codec), aim))
        if postgres is not None:
            dsn, owner = postgres()
            rows.append(
                row(f"view, Postgres, {codec}", postgres_view(dsn, owner, sizes.stored_points, codec), aim)
            )
    return Group(
        title=f"Bytes a point: {sizes.stored_points:,} points of a float32-like loss with step and time",
        about="Whole pages of tables and their indexes (SQLite: dbstat; Postgres: pg_total_relation_size). Postgres "
        "keeps what is long in pieces of 2 KB, and beside each table maps of some pages, which count here. Rows that "
        "are no more, such as tails whose points are in chunks, are gone, as its own vacuum has it after a minute.",
        rows=tuple(rows),
    )
