"""What the disk and SQLite do alone: the limits that the other figures stand beside."""

from __future__ import annotations

import os
import sqlite3
import statistics
import time
from pathlib import Path
from typing import Final

from benchmarks.measure import Raw, percentile

_EVENT_BYTES: Final = 600  # a lifecycle event with its envelope
_SYNCS: Final = 200
_COMMITS: Final = 300
_SCHEMA: Final = (
    "CREATE TABLE event (pos INTEGER PRIMARY KEY, stream TEXT NOT NULL, body BLOB NOT NULL) STRICT"
)
_INSERT: Final = "INSERT INTO event (stream, body) VALUES (?, ?)"


def database(folder: Path) -> sqlite3.Connection:
    """A file with our settings: WAL, every commit on the disk."""
    path = folder / f"raw-{time.monotonic_ns()}.sqlite3"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(_SCHEMA)
    return connection


def fdatasync_ms(folder: Path) -> Raw:
    """One 4 KiB append made durable, p50."""
    sync = getattr(os, "fdatasync", os.fsync)
    path = folder / "sync"
    samples: list[float] = []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        for _ in range(_SYNCS):
            began = time.perf_counter_ns()
            os.write(descriptor, bytes(4_096))
            sync(descriptor)
            samples.append((time.perf_counter_ns() - began) / 1e6)
    finally:
        os.close(descriptor)
        path.unlink()
    return Raw("4 KiB append + fdatasync, p50", percentile(samples, 0.5))


def commits_ms(folder: Path) -> list[float]:
    """One row, one durable commit: how long each takes."""
    connection = database(folder)
    samples: list[float] = []
    body = os.urandom(_EVENT_BYTES)
    for number in range(_COMMITS):
        began = time.perf_counter_ns()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_INSERT, (f"default/run/{number}", body))
        connection.execute("COMMIT")
        samples.append((time.perf_counter_ns() - began) / 1e6)
    connection.close()
    return samples


def commit_ms(folder: Path) -> Raw:
    """One row, one durable commit, p50."""
    return Raw("SQLite: 1 row + durable commit, p50", percentile(commits_ms(folder), 0.5))


def rows_ms(folder: Path, rows: int, row_bytes: int = _EVENT_BYTES) -> Raw:
    """``rows`` rows in one durable commit."""
    connection = database(folder)
    body = os.urandom(row_bytes)
    began = time.perf_counter_ns()
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(_INSERT, ((f"default/run/{number}", body) for number in range(rows)))
    connection.execute("COMMIT")
    took = (time.perf_counter_ns() - began) / 1e6
    connection.close()
    return Raw(f"SQLite: {rows:,} rows in one durable commit", took)


def batches_per_s(folder: Path, row_bytes: int, seconds: float = 0.4) -> float:
    """Rows of ``row_bytes``, each in a durable commit of its own, by one process; the median of three tries."""
    return statistics.median(_batches_per_s(folder, row_bytes, seconds) for _ in range(3))


def _batches_per_s(folder: Path, row_bytes: int, seconds: float) -> float:
    connection = database(folder)
    body = os.urandom(row_bytes)
    began, rows = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_INSERT, ("default/run/1", body))
        connection.execute("COMMIT")
        rows += 1
    rate = rows / (time.perf_counter() - began)
    connection.close()
    return rate


def page_ms(folder: Path, rows: int, page: int, row_bytes: int) -> Raw:
    """The newest ``page`` of ``rows`` rows, each one blob, p50."""
    connection = database(folder)
    body = os.urandom(row_bytes)
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(_INSERT, ((f"default/run/{number}", body) for number in range(rows)))
    connection.execute("COMMIT")
    samples: list[float] = []
    for _ in range(50):
        began = time.perf_counter_ns()
        connection.execute(
            "SELECT pos, stream, body FROM event ORDER BY pos DESC LIMIT ?", (page,)
        ).fetchall()
        samples.append((time.perf_counter_ns() - began) / 1e6)
    connection.close()
    return Raw(f"SQLite: {page} blobs of {row_bytes:,} bytes by key, p50", percentile(samples, 0.5))
