"""The first page of ten thousand runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from benchmarks.connection import Connection
from benchmarks.measure import Group, Measured, Raw, Sizes, p50_ms
from benchmarks.place import Place
from benchmarks.processes import together
from benchmarks.raw import page_ms
from runfold_events.contract.columns import Column
from runfold_events.contract.commands import Command, CompleteRun, CreateRun, LogMetrics
from runfold_events.contract.metrics import Series, encode_batch

METRICS: Final = 20
PAGE: Final = 50
AIM_MS: Final = 50.0
EXPERIMENT: Final = "ten-thousand"
FILTER: Final = 'tags.group = "g3" and metrics.m7 > 500'
ORDER: Final = "-metrics.m3"
_ROW_BYTES: Final = 3_000  # about what a row of 20 metrics takes as JSON
_RUNS_A_REQUEST: Final = 500
Progress = Callable[[int], None]


def fill(place: Place, runs: int, progress: Progress) -> None:
    """Root runs with a tag and twenty metrics each, through the SDK's own queue."""
    import msgspec

    from runfold import Experiment

    workspace = place.workspace()
    Experiment(workspace, EXPERIMENT)
    connection = workspace._connection  # pyright: ignore[reportPrivateUsage]  # no public call creates so many roots
    for first in range(0, runs, _RUNS_A_REQUEST):
        calls: list[tuple[Any, Command]] = []
        for number in range(first, first + _RUNS_A_REQUEST):
            stream = connection.run_stream("default", f"run-{number:05}")
            batch = encode_batch(
                [_series(f"m{metric}", (number * 37 + metric * 101) % 1_000) for metric in range(METRICS)]
            )
            calls += [
                (
                    stream,
                    CreateRun(
                        run_id=f"run-{number:05}", experiment=EXPERIMENT, tags={"group": f"g{number % 10}"}
                    ),
                ),
                (
                    stream,
                    LogMetrics(run_id=f"run-{number:05}", batch=msgspec.Raw(batch)),
                ),
                (stream, CompleteRun(run_id=f"run-{number:05}")),
            ]
        connection.call_all(calls, strict=True)
        progress(_RUNS_A_REQUEST)
    next(iter(workspace.query(limit=1)))  # the views have folded all of it


def _series(name: str, value: float) -> Series:
    return Series(
        name=name,
        times=Column(dtype="i64", values=[1_700_000_000_000]),
        steps=Column(dtype="i64", values=[1]),
        columns={name: Column(dtype="f64", values=[float(value)])},
    )


def sdk_page_ms(place: Place, questions: int, filter: str | None, order_by: str) -> float:
    """p50 of asking for a page through the SDK, as rows ready to use."""
    workspace = place.workspace()

    def ask() -> None:
        rows = list(workspace.query(filter, order_by, limit=PAGE, experiment=EXPERIMENT))
        if len(rows) != PAGE or len(rows[0].metrics) != METRICS:
            raise RuntimeError("not the page that was asked for")

    return p50_ms(ask, questions)


def http_page_ms(url: str, questions: int, filter: str | None, order_by: str) -> float:
    """p50 of the same page as JSON over a bare connection."""
    connection = Connection(url)
    path = f"/api/v1/workspaces/default/runs?experiment={EXPERIMENT}&limit={PAGE}&order_by={quote(order_by)}"
    if filter is not None:
        path += f"&filter={quote(filter)}"
    return p50_ms(lambda: connection.expect("GET", path), questions)


def measure(sizes: Sizes, places: list[Place], url: str, folder: Path) -> Group:
    """First page, and a filtered and sorted one; p50 of some questions."""
    raw = page_ms(folder, sizes.listed_runs, PAGE, _ROW_BYTES)
    pages = (("first page", None, "-created_at"), (f"{FILTER}, by {ORDER}", FILTER, ORDER))
    rows: list[Measured] = []
    for name, filter, order_by in pages:
        aim = AIM_MS if filter is None else None
        for place in places:
            values = [
                together(sdk_page_ms, [(place, sizes.questions, filter, order_by)])[0]
                for _ in range(sizes.repeats)
            ]
            rows.append(_row(f"{name}: SDK, {place.name}", values, raw, aim))
        values = [
            together(http_page_ms, [(url, sizes.questions, filter, order_by)])[0]
            for _ in range(sizes.repeats)
        ]
        rows.append(_row(f"{name}: HTTP, JSON", values, raw, aim))
    return Group(
        title=f"Lists: {PAGE} of {sizes.listed_runs:,} runs with {METRICS} metrics each",
        about="Ratio: to 50 blobs of 3,000 bytes read by key from a plain SQLite table.",
        rows=tuple(rows),
    )


def _row(name: str, values: list[float], raw: Raw, aim: float | None) -> Measured:
    return Measured(name=name, unit="ms", values=tuple(values), raw=raw.value, raw_name=raw.name, aim=aim)
