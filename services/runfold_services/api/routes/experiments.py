"""``/api/v1/workspaces`` and ``…/experiments``."""

from __future__ import annotations

from typing import Any, Final

from runfold_events.contract.commands import EnsureExperiment, UpdateExperiment
from runfold_projections.model import ExperimentView
from runfold_services.api.bodies import EnsureExperimentBody, UpdateExperimentBody, WriteAnswer
from runfold_services.api.call import Call
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.parameters import ExperimentListParams

_PATH: Final = "/api/v1/workspaces/{workspace}/experiments"


async def list_workspaces(call: Call) -> Answer:
    return await call.ask(lambda views: views.workspaces())


async def list_experiments(call: Call) -> Answer:
    workspace, archived = call.workspace, call.query.include_archived
    return await call.ask(lambda views: views.experiments(workspace, include_archived=archived))


async def show_experiment(call: Call) -> Answer:
    workspace, name = call.workspace, call.experiment
    return await call.ask(lambda views: views.experiment(workspace, name))


async def ensure_experiment(call: Call) -> Answer:
    body: EnsureExperimentBody = call.body
    command = EnsureExperiment(experiment=body.experiment, description=body.description, tags=body.tags)
    return await call.write(command, created="experiment.created")


async def update_experiment(call: Call) -> Answer:
    body: UpdateExperimentBody = call.body
    command = UpdateExperiment(
        experiment=call.experiment,
        set_tags=body.set_tags,
        remove_tags=body.remove_tags,
        description=body.description,
        archived=body.archived,
    )
    return await call.write(command)


def _operation(**fields: Any) -> Operation:
    return Operation(tag="experiments", **fields)


OPERATIONS: Final = (
    _operation(
        method="GET",
        path="/api/v1/workspaces",
        name="listWorkspaces",
        summary="Workspaces that have something in them",
        run=list_workspaces,
        answer=list[str],
        is_question=True,
    ),
    _operation(
        method="GET",
        path=_PATH,
        name="listExperiments",
        summary="Experiments of a workspace, newest activity first",
        run=list_experiments,
        query=ExperimentListParams,
        answer=list[ExperimentView],
        is_question=True,
    ),
    _operation(
        method="POST",
        path=_PATH,
        name="ensureExperiment",
        summary="Create an experiment unless it exists",
        run=ensure_experiment,
        body=EnsureExperimentBody,
        answer=WriteAnswer,
        statuses=(201, 200),
        is_command=True,
    ),
    _operation(
        method="GET",
        path=_PATH + "/{experiment}",
        name="showExperiment",
        summary="One experiment",
        run=show_experiment,
        answer=ExperimentView,
        is_question=True,
    ),
    _operation(
        method="PATCH",
        path=_PATH + "/{experiment}",
        name="updateExperiment",
        summary="Change tags or description of an experiment, archive or reactivate it",
        run=update_experiment,
        body=UpdateExperimentBody,
        answer=WriteAnswer,
        is_command=True,
    ),
)
