"""Everything that can be asked of one workspace, to compare what two sets of views answer."""

from __future__ import annotations

from typing import Any

import msgspec

from runfold_projections.model import RunQuery
from runfold_projections.ports import Views

PAGE_ROWS = 3  # small, so that paging is asked too


async def answers(views: Views, workspace: str) -> dict[str, Any]:
    """Lists, pages, run views, metrics, audit trails, children and experiments, as plain data.

    What has no order of its own, since it comes from several partitions, is sorted.
    """
    everything = RunQuery(include_children=True, include_archived=True, limit=PAGE_ROWS)
    runs = await _all_pages(views, workspace, everything)
    told: dict[str, Any] = {
        "workspaces": await views.workspaces(),
        "experiments": sorted(
            await views.experiments(workspace, include_archived=True), key=lambda one: one.experiment
        ),
        "runs": runs,
        "root runs": await _all_pages(views, workspace, RunQuery(order_by="created_at", limit=PAGE_ROWS)),
        "count": await views.count(workspace, everything),
        "by metric": await _all_pages(
            views,
            workspace,
            RunQuery(filter="has(metrics.loss)", order_by="metrics.loss", include_children=True),
        ),
    }
    for run in runs:
        told[f"run {run.run_id}"] = {
            "run": await views.run(workspace, run.run_id),
            "children": await views.child_counts(workspace, run.run_id),
            "series": sorted(
                await views.series(workspace, run.run_id, recursive=True),
                key=lambda one: (one.run_id, one.name),
            ),
            "metrics": await views.metrics(workspace, run.run_id),
            "history": await views.history(workspace, run.run_id),
        }
    plain: dict[str, Any] = msgspec.to_builtins(told)
    return plain


async def _all_pages(views: Views, workspace: str, query: RunQuery) -> list[Any]:
    rows: list[Any] = []
    page = await views.runs(workspace, query)
    rows += page.rows
    while page.next is not None:
        page = await views.runs(workspace, msgspec.structs.replace(query, page=page.next))
        rows += page.rows
    return rows
