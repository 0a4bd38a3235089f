"""What one ``log()`` costs the program that calls it, at 1,000 calls a second."""

from __future__ import annotations

import time
from typing import Final

from benchmarks.measure import Group, Measured, Raw, Sizes, percentile_rows
from benchmarks.place import Place
from benchmarks.processes import together

CALLS_PER_S: Final = 1_000


def log_calls_us(place: Place, calls: int) -> list[float]:
    """How long each call took, in µs; they are paced by sleeping."""
    with place.experiment().start_logging() as run:
        run.log("loss", 0.5, step=0)  # the first call of a metric prepares its column
        samples: list[float] = []
        began = time.perf_counter()
        for number in range(1, calls + 1):
            ahead = began + number / CALLS_PER_S - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
            before = time.perf_counter_ns()
            run.log("loss", 0.5, step=number)
            samples.append((time.perf_counter_ns() - before) / 1e3)
    return samples


def measure(sizes: Sizes, places: list[Place], commit: Raw) -> Group:
    """p50 and p99, over both transports."""
    rows: list[Measured] = []
    raw = Raw(commit.name, commit.value * 1_000)
    for place in places:
        repeats = [together(log_calls_us, [(place, sizes.log_calls)])[0] for _ in range(sizes.repeats)]
        rows += percentile_rows(f"log() {place.name}", repeats, "µs", raw)
    return Group(
        title="log()",
        about=f"One call of {sizes.log_calls:,} at {CALLS_PER_S:,} a second; a background thread delivers meanwhile. "
        "Ratio: to one durable SQLite commit.",
        rows=tuple(rows),
    )
