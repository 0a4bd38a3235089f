"""All metrics of a parent and its children in one question."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.connection import Connection
from benchmarks.measure import Group, Measured, Raw, Sizes, p50_ms, percentile
from benchmarks.place import Place
from benchmarks.processes import together
from benchmarks.raw import page_ms
from runfold_events.contract.columns import pack_floats, pack_integers
from runfold_events.contract.commands import Command, CompleteRun, CreateRun, LogMetrics
from runfold_events.contract.metrics import Series, encode_batch

SERIES: Final = 10
POINTS: Final = 100
AIM_MS: Final = 200.0
EXPERIMENT: Final = "families"
PARENT: Final = "parent"
_SERIES_BYTES: Final = 900  # about what a series of 100 points takes, encoded
_CHILDREN_A_REQUEST: Final = 100


def fill(place: Place, children: int) -> None:
    """A parent, and children that have ended with ten series of a hundred points each."""
    from runfold import Experiment

    workspace = place.workspace()
    with Experiment(workspace, EXPERIMENT).start_logging(run_id=PARENT):
        pass
    connection = workspace._connection  # pyright: ignore[reportPrivateUsage]  # no public call logs so much at once
    for first in range(0, children, _CHILDREN_A_REQUEST):
        calls: list[tuple[Any, Command]] = []
        for number in range(first, min(first + _CHILDREN_A_REQUEST, children)):
            run_id = f"child-{number:04}"
            stream = connection.run_stream("default", run_id)
            created = CreateRun(run_id=run_id, experiment=EXPERIMENT, parent_run_id=PARENT)
            logged = LogMetrics(run_id=run_id, batch=msgspec.Raw(_batch(number)))
            calls += [(stream, command) for command in (created, logged, CompleteRun(run_id=run_id))]
        connection.call_all(calls, strict=True)
    _ask(place, children)


def _batch(number: int) -> bytes:
    times, steps = pack_integers(_column(1_700_000_000_000)), pack_integers(_column(0))
    return encode_batch(
        [
            Series(
                name=f"m{metric}",
                times=times,
                steps=steps,
                columns={f"m{metric}": pack_floats(_floats(number * SERIES + metric))},
            )
            for metric in range(SERIES)
        ]
    )


def _column(start: int) -> Any:
    from array import array

    return array("q", range(start, start + POINTS))


def _floats(seed: int) -> Any:
    from array import array

    return array("d", (1.0 / (1 + seed + step) for step in range(POINTS)))


def _ask(place: Place, children: int) -> float:
    """One call, in ms; an answer that lacks anything is an error."""
    run = place.workspace().get_run(PARENT)
    began = time.perf_counter_ns()
    metrics = run.get_metrics(recursive=True)
    took = (time.perf_counter_ns() - began) / 1e6
    shapes = {(len(own), len(values)) for own in metrics.values() for values in own.values()}
    if len(metrics) != children or shapes != {(SERIES, POINTS)}:
        raise RuntimeError("not the metrics that were logged")
    return took


def sdk_ms(place: Place, children: int, questions: int) -> float:
    """p50 of ``get_metrics(recursive=True)``."""
    _ask(place, children)
    return percentile([_ask(place, children) for _ in range(questions)], 0.5)


def http_ms(url: str, questions: int) -> float:
    """p50 of the one request behind it over a bare connection, unread."""
    connection = Connection(url)
    path = f"/api/v1/workspaces/default/runs/{PARENT}/metrics?recursive=true"
    return p50_ms(lambda: connection.expect("GET", path), questions)


def _rows(sizes: Sizes, places: list[Place], url: str, raw: Raw | None) -> tuple[Measured, ...]:
    """One row for each way to ask."""
    asked: list[tuple[str, Callable[..., float], tuple[object, ...], float | None]] = [
        (
            f"get_metrics(recursive=True), {place.name}",
            sdk_ms,
            (place, sizes.family, sizes.questions),
            AIM_MS,
        )
        for place in places
    ]
    asked.append(("HTTP, JSON, unread", http_ms, (url, sizes.questions), None))
    measured: list[Measured] = []
    for name, ask, arguments, aim in asked:
        values = tuple(together(ask, [arguments])[0] for _ in range(sizes.repeats))
        measured.append(
            Measured(
                name=name,
                unit="ms",
                values=values,
                raw=None if raw is None else raw.value,
                raw_name="" if raw is None else raw.name,
                aim=aim,
            )
        )
    return tuple(measured)


def measure(sizes: Sizes, places: list[Place], url: str, folder: Path | None = None) -> Group:
    """p50 of some questions; the places hold the same ledger. With ``folder`` SQLite's own limit stands beside them."""
    together(fill, [(places[0], sizes.family)])
    series = sizes.family * SERIES
    about, raw = "One request each.", None
    if folder is not None:
        raw = page_ms(folder, series, series, _SERIES_BYTES)
        about += (
            f" Ratio: to {series:,} blobs of {_SERIES_BYTES} bytes read by key from a plain SQLite table."
        )
    return Group(
        title=f"Metrics of a family: {sizes.family} children with {SERIES} series of {POINTS} points each",
        about=about,
        rows=_rows(sizes, places, url, raw),
    )
