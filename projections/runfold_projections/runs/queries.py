"""Read run summaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec

from runfold_events.contract.statuses import Status
from runfold_projections.model import MetricSummary, RunView
from runfold_projections.projection import Row, ViewSnapshot
from runfold_projections.runs.row import RunRow, decode_error, decode_params, decode_path, decode_tags
from runfold_projections.values import as_datetime, decode_cells, float_of, optional_datetime


async def find_run(view: ViewSnapshot, workspace: str, run_id: str) -> RunView | None:
    """One run with everything."""
    rows = await view.fetch("run_by_id", (workspace, run_id))
    if not rows:
        return None
    run_key = rows[0][0]
    metrics = await read_summaries(view, await view.fetch("answers_of_run", (run_key,)))
    return run_view(rows[0], metrics.get(run_key, {}))


async def run_exists(view: ViewSnapshot, workspace: str, run_id: str) -> bool:
    """True for an erased run, too."""
    return bool(await view.fetch("run_key", (workspace, run_id)))


async def run_and_descendants(view: ViewSnapshot, workspace: str, run_id: str) -> list[str]:
    """The run first, then what stands below it, oldest first; empty when there is no such run."""
    return [row[0] for row in await view.fetch("run_and_descendants", (workspace, run_id))]


async def read_summaries(view: ViewSnapshot, rows: Sequence[Row]) -> dict[int, dict[str, MetricSummary]]:
    """Metric summaries by run key, out of rows of (run key, how many have no answer, answers).

    A long list has ten thousand of them. Nearly all are read as they were written, all of a run at once.
    """
    inexact = [(run_key,) for run_key, missing, _ in rows if missing]
    found = summaries(await view.fetch_many("metrics_of_run", inexact))
    for run_key, missing, answers in rows:
        if not missing:
            found[run_key] = _decode_summaries(f"{{{answers}}}")
    return found


def summaries(rows: Sequence[Row]) -> dict[int, dict[str, MetricSummary]]:
    """Metric summaries by run key, out of their columns."""
    found: dict[int, dict[str, MetricSummary]] = {}
    times: dict[int, datetime] = {}  # metrics of a run are mostly logged together
    for run_key, name, kind, count, nan_count, least, greatest, latest, step, time_ms in rows:
        time = times.get(time_ms)
        if time is None:
            time = times[time_ms] = as_datetime(time_ms * 1_000)
        # In the order of the struct's fields: names cost as much as all the rest.
        summary = MetricSummary(
            decode_cells(latest)[0],
            count,
            step,
            time,
            None if least is None else float_of(least),
            None if greatest is None else float_of(greatest),
            nan_count,
            kind,
        )
        of_run = found.get(run_key)
        if of_run is None:
            of_run = found[run_key] = {}
        of_run[name] = summary
    return found


_decode_summaries = msgspec.json.Decoder(dict[str, MetricSummary]).decode
COLUMNS: Final = RunRow.__struct_fields__
_NEVER_ASKED: Final = {"description": None, "error": None, "tags": "{}", "properties": "{}", "params": "{}"}


def run_view(row: Row, metrics: dict[str, MetricSummary], columns: Sequence[str] = COLUMNS) -> RunView:
    """The view of a row that holds ``columns``; only those that have a default may be left out."""
    values: dict[str, Any] = dict(zip(columns, row, strict=True))
    if len(columns) < len(COLUMNS):
        values = {**_NEVER_ASKED, **values}
    del values["run_key"]
    for name, read in _READ.items():
        values[name] = read(values[name])
    return RunView(metrics=metrics, **values)


@lru_cache(maxsize=1_024)
def _uuid(data: bytes) -> UUID:
    """An experiment's id; many runs have the same."""
    return UUID(bytes=data)


_READ: Final[dict[str, Callable[[Any], Any]]] = {
    "experiment_id": _uuid,
    "status": {status.value: status for status in Status}.__getitem__,
    "path": decode_path,
    "archived": bool,
    "erased": bool,
    "error": decode_error,
    "tags": decode_tags,
    "properties": decode_tags,
    "params": decode_params,
    "created_at": as_datetime,
    "updated_at": as_datetime,
    "started_at": optional_datetime,
    "ended_at": optional_datetime,
}
