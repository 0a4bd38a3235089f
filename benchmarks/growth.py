"""How cost grows: with the runs of a list, and with the points of one run; and how much memory it takes."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks import many, reading, storage
from benchmarks.filled import Filled, filled_sqlite
from benchmarks.measure import Group, Measured, Sizes
from benchmarks.place import scratch
from benchmarks.processes import together
from benchmarks.progress import bar
from runfold_projections.model import CurveQuery

_MIB: Final = 1024.0 if sys.platform != "darwin" else 1024.0**2  # of what getrusage counts in
_STAGE_POINTS: Final = 50_000


def run(console: Console, sizes: Sizes, stack: Path | None = None) -> list[Group]:
    """Views in SQLite files, each size in a process of its own, so that its memory is its own."""
    runs: list[Measured] = []
    points: list[Measured] = []
    with scratch() as folder, bar(console) as shown:
        task = shown.add_task("", total=len(sizes.growth_runs) + len(sizes.growth_points))
        for size in sizes.growth_runs:
            shown.update(task, description=f"{size:,} runs")
            (found,) = together(_with_runs, [(folder, size, sizes.questions)])
            runs += found
            shown.advance(task)
        for size in sizes.growth_points:
            shown.update(task, description=f"{size:,} points")
            (found,) = together(_with_points, [(folder, size, sizes.questions)])
            points += found
            shown.advance(task)
    return [
        Group(
            title="As runs become more",
            about=f"Runs with {many.METRICS} metrics, {many.PARAMS} params and {many.TAGS} tags each, folded into "
            "SQLite; then pages of 50 as JSON, p50. Memory is the most the process had, the events it made included.",
            rows=tuple(runs),
        ),
        Group(
            title="As the points of a run become more",
            about=f"One metric, {_STAGE_POINTS:,} points a batch, folded into SQLite; then curves as JSON, p50.",
            rows=tuple(points),
        ),
    ]


def _with_runs(folder: Path, runs: int, questions: int) -> list[Measured]:
    path = folder / "runs.db"
    with filled_sqlite(path) as filled:
        began = time.perf_counter()
        reading.fill_runs(filled, runs)
        rate = runs / (time.perf_counter() - began)
        rows = [_row(f"{runs:,} runs: folded", "runs/s", rate)]
        rows += [
            _row(f"{runs:,} runs: {q.name}", "ms", reading.page_p50_ms(filled, q, questions))
            for q in many.QUESTIONS
            if q.name in {"first page", "by a common tag and a metric", "sorted by a metric"}
        ]
    return [*rows, *_sizes(path, f"{runs:,} runs")]


def _with_points(folder: Path, points: int, questions: int) -> list[Measured]:
    path = folder / "points.db"
    with filled_sqlite(path) as filled:
        rate = _fill(filled, points)
        rows = [_row(f"{points:,} points: folded", "points/s", rate)]
        for name, query, _ in reading.curve_questions(points):
            rows.append(
                _row(f"{points:,} points: {name}", "ms", reading.curve_p50_ms(filled, query, questions))
            )
        whole = CurveQuery(runs=(reading.CURVE_RUN,), names=("loss",), points_max=1_000)
        rows.append(
            _row(
                f"{points:,} points: all of it, 1,000 buckets",
                "ms",
                reading.curve_p50_ms(filled, whole, questions),
            )
        )
    return [*rows, *_sizes(path, f"{points:,} points")]


def _fill(filled: Filled, points: int) -> float:
    """Points a second of the folds alone: what makes the events is left out."""
    filled.history.create(reading.CURVE_RUN)
    took = 0.0
    for first in range(0, points, _STAGE_POINTS):
        filled.history.metrics(reading.CURVE_RUN, storage.series(first, min(_STAGE_POINTS, points - first)))
        began = time.perf_counter()
        filled.fold()
        took += time.perf_counter() - began
    return points / took


def _sizes(path: Path, name: str) -> list[Measured]:
    """The process's memory and the file, which goes."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB
    file = path.stat().st_size / 1024**2
    for leftover in path.parent.glob(f"{path.name}*"):
        leftover.unlink()
    return [_row(f"{name}: memory", "MiB", memory), _row(f"{name}: file", "MiB", file)]


def _row(name: str, unit: str, value: float) -> Measured:
    return Measured(name=name, unit=unit, values=(value,))
