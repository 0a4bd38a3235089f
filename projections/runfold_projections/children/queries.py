"""Read what stands below a run."""

from __future__ import annotations

from runfold_events.contract.statuses import Status
from runfold_projections.model import ChildCounts
from runfold_projections.projection import ViewSnapshot


async def child_counts(view: ViewSnapshot, workspace: str, run_id: str) -> ChildCounts:
    """Children and descendants by status; empty for a run that has none."""
    rows = await view.fetch("counts", (workspace, run_id))
    return ChildCounts(
        direct={Status(status): direct for status, direct, _ in rows if direct},
        descendants={Status(status): descendants for status, _, descendants in rows if descendants},
    )
