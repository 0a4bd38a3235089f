"""Read experiments."""

from __future__ import annotations

from uuid import UUID

import msgspec

from runfold_events.contract.commands import Tags
from runfold_events.contract.statuses import Status
from runfold_projections.model import ExperimentView
from runfold_projections.projection import Row, ViewSnapshot
from runfold_projections.values import as_datetime


async def experiments(view: ViewSnapshot, workspace: str, include_archived: bool) -> list[ExperimentView]:
    """All experiments of a workspace, newest activity first; equals by name."""
    rows = await view.fetch("all_experiments", (workspace,))
    found = [await _experiment(view, row) for row in rows if include_archived or row[5] is None]
    return sorted(found, key=lambda one: (-one.last_activity_at.timestamp(), one.experiment))


async def experiment(view: ViewSnapshot, workspace: str, name: str) -> ExperimentView | None:
    """One experiment; None when there is none of that name."""
    rows = await view.fetch("experiment_by_name", (workspace, name))
    return await _experiment(view, rows[0]) if rows else None


async def workspaces(view: ViewSnapshot) -> list[str]:
    """All workspaces that have an experiment, which every run has."""
    return [row[0] for row in await view.fetch("workspaces")]


async def _experiment(view: ViewSnapshot, row: Row) -> ExperimentView:
    key, workspace, name, description, tags, archived_at, created_at, created_by, updated_at, run_at = row
    counts = await view.fetch("counts", (key,))
    return ExperimentView(
        workspace=workspace,
        experiment=name,
        experiment_id=UUID(bytes=key),
        description=description,
        tags=msgspec.json.decode(tags, type=Tags),
        archived=archived_at is not None,
        archived_at=None if archived_at is None else as_datetime(archived_at),
        created_at=as_datetime(created_at),
        created_by=created_by,
        last_activity_at=as_datetime(max(updated_at, run_at or 0)),
        runs={Status(status): runs for status, runs in counts},
    )
