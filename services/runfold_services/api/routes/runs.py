"""``…/runs``: create, find, show, change, erase."""

from __future__ import annotations

from typing import Any, Final

import uuid_utils
from msgspec import UNSET

from runfold_events.contract.commands import (
    ArchiveRun,
    Command,
    CreateRun,
    EraseRun,
    RestoreRun,
    UpdateRun,
)
from runfold_events.contract.errors import Invalid
from runfold_events.ports import WriterMark
from runfold_projections.model import HistoryEntry, Page, RunGroups, RunQuery, RunView
from runfold_services.api.bodies import (
    CountAnswer,
    CreateRunBody,
    CreateRunInBody,
    RunGroupsBody,
    RunQueryBody,
    UpdateRunBody,
    WriteAnswer,
)
from runfold_services.api.call import Call
from runfold_services.api.negotiation import encode
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.parameters import EraseParams, HistoryParams, RunListParams, check_query, run_query

RUNS: Final = "/api/v1/workspaces/{workspace}/runs"
RUN: Final = RUNS + "/{run_id}"
_OF_EXPERIMENT: Final = "/api/v1/workspaces/{workspace}/experiments/{experiment}/runs"


async def create_run(call: Call) -> Answer:
    body: CreateRunInBody = call.body
    return await _create(call, body, body.experiment)


async def create_run_of_experiment(call: Call) -> Answer:
    return await _create(call, call.body, call.experiment)


async def _create(call: Call, body: CreateRunBody, experiment: str) -> Answer:
    run_id = body.run_id or _new_run_id(call)
    command = CreateRun(
        run_id=run_id,
        experiment=experiment,
        start=body.start,
        resume=body.resume,
        parent_run_id=body.parent_run_id,
        name=body.name,
        display_name=body.display_name,
        description=body.description,
        tags=body.tags,
        properties=body.properties,
        target=body.target,
        run_type=body.run_type,
    )
    answer = await call.write(command, hold=body.hold, fresh=not body.resume, created="run.created")
    if answer.status == 201:
        answer.location = f"/api/v1/workspaces/{call.workspace}/runs/{run_id}"
    return answer


def _new_run_id(call: Call) -> str:
    """The same for a repeated Idempotency-Key, else a new one in order of time."""
    sender = call.sender
    if sender.key is None and not sender.is_process:
        return str(uuid_utils.uuid7())
    return sender.run_id(0)


async def list_runs(call: Call) -> Answer:
    return await _page(call, run_query(call.query))


async def list_runs_of_experiment(call: Call) -> Answer:
    if call.query.experiment not in {None, call.experiment}:
        raise Invalid("the path names another experiment", facts={"field": "experiment"})
    return await _page(call, run_query(call.query, experiment=call.experiment))


async def query_runs(call: Call) -> Answer:
    return await _page(call, check_query(call.body))


async def _page(call: Call, query: RunQuery) -> Answer:
    workspace = call.workspace
    return await call.ask(lambda views: views.runs(workspace, query))


async def count_runs(call: Call) -> Answer:
    workspace, query = call.workspace, call.body

    async def count(views: Any) -> CountAnswer:
        return CountAnswer(await views.count(workspace, query))

    return await call.ask(count)


async def group_runs(call: Call) -> Answer:
    workspace, query = call.workspace, call.body
    return await call.ask(lambda views: views.groups(workspace, query, query.by))


async def show_run(call: Call) -> Answer:
    workspace, run_id = call.workspace, call.run_id
    return await call.ask(lambda views: views.run(workspace, run_id))


async def update_run(call: Call) -> Answer:
    """Name and archiving are two commands on one stream, in this order; each is atomic."""
    body: UpdateRunBody = call.body
    commands: list[Command] = []
    if body.display_name is not UNSET or body.description is not UNSET:
        commands.append(
            UpdateRun(run_id=call.run_id, display_name=body.display_name, description=body.description)
        )
    if body.archived is not UNSET:
        commands.append((ArchiveRun if body.archived else RestoreRun)(run_id=call.run_id))
    if not commands:
        raise Invalid("nothing to change", facts={"field": "body", "limit": list(body.__struct_fields__)})
    return await call.write(*commands)


async def erase_run(call: Call) -> Answer:
    return await call.write(EraseRun(run_id=call.run_id, reason=call.query.reason))


async def show_history(call: Call) -> Answer:
    workspace, run_id, params = call.workspace, call.run_id, call.query
    return await call.ask(
        lambda views: views.history(workspace, run_id, from_seq=params.from_seq, limit=params.limit)
    )


async def list_writers(call: Call) -> Answer:
    """Asked of the store, not of a view: it proves completeness of what the store has."""
    workspace, run_id, media = call.workspace, call.run_id, call.format
    backend = call.runtime.backend

    async def work() -> Answer:
        return Answer(body=encode(await backend.writers(workspace, run_id), media), content_type=media)

    return await call.runtime.threads.query(work)


def _operation(**fields: Any) -> Operation:
    return Operation(tag="runs", **fields)


_CREATE: Final[dict[str, Any]] = {
    "method": "POST",
    "answer": WriteAnswer,
    "statuses": (201, 200),
    "is_command": True,
}
_QUESTION: Final[dict[str, Any]] = {"method": "GET", "is_question": True}

OPERATIONS: Final = (
    _operation(
        path=RUNS,
        name="listRuns",
        summary="Runs of a workspace, page by page",
        run=list_runs,
        query=RunListParams,
        answer=Page,
        **_QUESTION,
    ),
    _operation(
        path=RUNS, name="createRun", summary="Create a run", run=create_run, body=CreateRunInBody, **_CREATE
    ),
    _operation(
        path=_OF_EXPERIMENT,
        name="listRunsOfExperiment",
        summary="Runs of an experiment, page by page",
        run=list_runs_of_experiment,
        query=RunListParams,
        answer=Page,
        **_QUESTION,
    ),
    _operation(
        path=_OF_EXPERIMENT,
        name="createRunOfExperiment",
        summary="Create a run in an experiment",
        run=create_run_of_experiment,
        body=CreateRunBody,
        **_CREATE,
    ),
    _operation(
        method="POST",
        path=RUNS + ":query",
        name="queryRuns",
        summary="Runs of a workspace, page by page, with the query in the body",
        run=query_runs,
        body=RunQueryBody,
        body_is_optional=True,
        answer=Page,
        is_question=True,
    ),
    _operation(
        method="POST",
        path=RUNS + ":count",
        name="countRuns",
        summary="How many runs match a query",
        run=count_runs,
        body=RunQueryBody,
        body_is_optional=True,
        answer=CountAnswer,
        is_question=True,
    ),
    _operation(
        method="POST",
        path=RUNS + ":groups",
        name="groupRuns",
        summary="How many of the runs that match a query have which value of a field",
        run=group_runs,
        body=RunGroupsBody,
        answer=RunGroups,
        is_question=True,
    ),
    _operation(path=RUN, name="showRun", summary="One run", run=show_run, answer=RunView, **_QUESTION),
    _operation(
        method="PATCH",
        path=RUN,
        name="updateRun",
        summary="Change display name or description of a run, archive or restore it",
        run=update_run,
        body=UpdateRunBody,
        answer=WriteAnswer,
        is_command=True,
    ),
    _operation(
        method="DELETE",
        path=RUN,
        name="eraseRun",
        summary="Erase the bodies of all of a run's events; only an admin may",
        run=erase_run,
        query=EraseParams,
        answer=WriteAnswer,
        is_command=True,
        is_admin=True,
    ),
    _operation(
        path=RUN + "/history",
        name="showHistory",
        summary="The audit trail of a run in order; metric batches are not listed",
        run=show_history,
        query=HistoryParams,
        answer=list[HistoryEntry],
        **_QUESTION,
    ),
    _operation(
        method="GET",
        path=RUN + "/writers",
        name="listWriters",
        summary="Per writer: the highest number, gaps, declared losses; proves that nothing is missing",
        run=list_writers,
        answer=list[WriterMark],
    ),
)
