"""Read run summaries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec

from runfold_events.contract.statuses import Status
from runfold_projections.model import MetricSummary, RunView
from runfold_projections.projection import Row, ViewSnapshot
from runfold_projections.runs.row import RunRow, decode_error, decode_params, decode_path, decode_tags
from runfold_projections.values import as_datetime, decode_cells, float_of


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
    if len(columns) == len(COLUMNS):
        return _whole_view(row, metrics)
    values = {**_NEVER_ASKED, **dict(zip(columns, row, strict=True))}
    return _whole_view([values[name] for name in COLUMNS], metrics)


def _whole_view(row: Sequence[Any], metrics: dict[str, MetricSummary]) -> RunView:
    """The same of a row with all columns. Long lists are made here: to take each by its name costs twice as much."""
    (
        _,
        workspace,
        run_id,
        experiment,
        experiment_id,
        number,
        status,
        status_details,
        parent_run_id,
        root_run_id,
        path,
        name,
        display_name,
        description,
        run_type,
        target,
        created_at,
        started_at,
        ended_at,
        created_by,
        archived,
        erased,
        error,
        cancel_reason,
        tags,
        properties,
        params,
        rejections,
        lost_commands,
        lost_values,
        updated_at,
    ) = row
    return RunView(
        workspace=workspace,
        run_id=run_id,
        experiment=experiment,
        experiment_id=_uuid(experiment_id),
        number=number,
        status=_STATUSES[status],
        status_details=status_details,
        parent_run_id=parent_run_id,
        root_run_id=root_run_id,
        path=decode_path(path),
        name=name,
        display_name=display_name,
        description=description,
        run_type=run_type,
        target=target,
        created_at=_time(created_at),
        started_at=None if started_at is None else _time(started_at),
        ended_at=None if ended_at is None else _time(ended_at),
        created_by=created_by,
        archived=bool(archived),
        erased=bool(erased),
        error=decode_error(error),
        cancel_reason=cancel_reason,
        tags=decode_tags(tags),
        properties=decode_tags(properties),
        params=decode_params(params),
        metrics=metrics,
        rejections=rejections,
        lost_commands=lost_commands,
        lost_values=lost_values,
        updated_at=_time(updated_at),
    )


@lru_cache(maxsize=1_024)
def _uuid(data: bytes) -> UUID:
    """An experiment's id; many runs have the same."""
    return UUID(bytes=data)


@lru_cache(maxsize=1_024)
def _time(time_us: int) -> datetime:
    """Times of a run, and of runs that were made together, are often the same."""
    return as_datetime(time_us)


_STATUSES: Final = {status.value: status for status in Status}
