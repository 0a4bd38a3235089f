"""``…/runs/{id}/token``: what an agent gives to the script that it executes."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from runfold_events.contract.errors import RunEnded
from runfold_events.contract.statuses import TERMINAL
from runfold_projections.ports import Views
from runfold_services.api.call import Call
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.routes.runs import RUN
from runfold_services.api.run_tokens import holders_of


class RunTokenAnswer(Struct, frozen=True):
    """A token that is good for the run and what is below it; none where the server asks for none."""

    token: str | None


async def create_run_token(call: Call) -> Answer:
    """Make a token for a run that has not ended."""
    workspace, run_id, actor = call.workspace, call.run_id, call.actor
    credentials, backend = call.runtime.credentials, call.runtime.backend

    async def made(views: Views) -> RunTokenAnswer:
        view = await views.run(workspace, run_id)
        if view.status in TERMINAL:
            raise RunEnded(
                f"run {run_id!r} is {view.status}: it needs no token",
                facts={"run_id": run_id, "status": view.status},
            )
        holders = await holders_of(backend, workspace, run_id)
        return RunTokenAnswer(credentials.run_token(actor, workspace, run_id, holders))

    return await call.ask(made)


OPERATIONS: Final = (
    Operation(
        method="POST",
        path=RUN + "/token",
        name="createRunToken",
        tag="runs",
        summary="A token that is good for this run and what is below it, until soon after its end",
        run=create_run_token,
        answer=RunTokenAnswer,
        is_question=True,
    ),
)
