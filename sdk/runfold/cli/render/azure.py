"""Runs and experiments with the keys of ``az ml`` of version 1: what ``--query`` of people from there names.

Keys are snake_case and absent values are left out, as there, except that dicts such as ``tags`` are never absent, so
that ``tags.keys(@)`` works on every run. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from runfold.cli.render.data import plain
from runfold_projections.model import ExperimentView, RunView

TSV_COLUMNS: Final[tuple[str, ...]] = (
    "run_id",
    "run_number",
    "status",
    "start_time_utc",
    "end_time_utc",
    "target",
)
EXPERIMENT_TSV_COLUMNS: Final[tuple[str, ...]] = ("name", "experiment_id", "created_utc", "archived_time")
MINIMAL_TSV_COLUMNS: Final[tuple[str, ...]] = (
    "RunId",
    "RunType",
    "Status",
    "StartTime",
    "EndTime",
    "Target",
    "Tags",
)


def run_data(run: RunView) -> dict[str, Any]:
    """One run."""
    shown: dict[str, Any] = {
        "run_number": run.number,
        "root_run_id": run.root_run_id,
        "experiment_id": str(run.experiment_id),
        "created_utc": _time(run.created_at),
        "user_id": run.created_by,
        "run_id": run.run_id,
        "parent_run_id": run.parent_run_id,
        "status": run.status.value,
        "start_time_utc": _time(run.started_at),
        "end_time_utc": _time(run.ended_at),
        "error": plain(run.error),
        "heartbeat_enabled": True,  # whoever holds a run sends heartbeats; there is no way to do without
        "name": run.name,
        "display_name": run.display_name,
        "description": run.description,
        "data_container_id": f"dcid.{run.run_id}",
        "hidden": run.archived,
        "run_type": run.run_type,
        "run_type_v2": _type_v2(run),
        "properties": dict(run.properties),
        "target": run.target,
        "tags": dict(run.tags),
        "created_by": {"user_name": run.created_by},
        "_experiment_name": run.experiment,
    }
    return {key: value for key, value in shown.items() if value is not None}


def _type_v2(run: RunView) -> dict[str, Any]:
    """Who runs the run: outside of runfold somebody's own program, otherwise an agent."""
    if run.run_type is None:
        return {"orchestrator": "External", "traits": ["unspecified"]}
    return {"orchestrator": "Local", "traits": [run.run_type]}


def minimal_data(run: RunView) -> dict[str, Any]:
    """One run in the seven keys of ``--minimal``, all present."""
    return {
        "RunId": run.run_id,
        "RunType": run.run_type,
        "Status": run.status.value,
        "StartTime": _time(run.started_at),
        "EndTime": _time(run.ended_at),
        "Target": run.target,
        "Tags": dict(run.tags),
    }


def experiment_data(experiment: ExperimentView) -> dict[str, Any]:
    """One experiment."""
    shown: dict[str, Any] = {
        "name": experiment.experiment,
        "experiment_id": str(experiment.experiment_id),
        "description": experiment.description,
        "created_utc": _time(experiment.created_at),
        "archived_time": _time(experiment.archived_at),
        "tags": dict(experiment.tags),
    }
    return {key: value for key, value in shown.items() if value is not None}


def _time(moment: datetime | None) -> str | None:
    text: str | None = plain(moment)
    return text
