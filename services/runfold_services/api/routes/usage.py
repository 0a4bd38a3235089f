"""``…/usage``: what a workspace holds, and how it stands with its quotas."""

from __future__ import annotations

from typing import Any, Final

from runfold_services.api.call import Call
from runfold_services.api.operations import Answer, Operation
from runfold_services.usage import ALL_RUNS, Usage


async def show_usage(call: Call) -> Answer:
    workspace = call.workspace
    meters = call.runtime.quotas.meters(workspace)

    async def usage(views: Any) -> Usage:
        runs = await views.count(workspace, ALL_RUNS)
        return Usage(workspace=workspace, runs=runs, meters=meters)

    return await call.ask(usage)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/workspaces/{workspace}/usage",
        name="showUsage",
        tag="workspaces",
        summary="What a workspace holds and sends, and how it stands with its quotas",
        run=show_usage,
        answer=Usage,
        is_question=True,
    ),
)
