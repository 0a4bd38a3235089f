"""``…/runs/{id}/children``: list, count, create many at once."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from runfold_events.contract import limits
from runfold_events.contract.commands import CreateRun
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.submission import Accepted, Outcome
from runfold_projections.model import ChildCounts, Page
from runfold_services.api.bodies import ChildFields, ChildrenAnswer, CreateChildrenBody
from runfold_services.api.call import Call, merged_token
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.parameters import ChildListParams, run_query
from runfold_services.api.problems import RefusedCommand
from runfold_services.api.routes.runs import RUN


async def list_children(call: Call) -> Answer:
    workspace = call.workspace
    place = {"ancestor_run_id" if call.query.recursive else "parent_run_id": call.run_id}
    query = run_query(call.query, include_children=True, **place)
    return await call.ask(lambda views: views.runs(workspace, query))


async def count_children(call: Call) -> Answer:
    workspace, run_id = call.workspace, call.run_id
    return await call.ask(lambda views: views.child_counts(workspace, run_id))


async def create_children(call: Call) -> Answer:
    """Ids derive from the Idempotency-Key and a child's place, so a repeated request completes and never doubles."""
    body: CreateChildrenBody = call.body
    wanted = _wanted(body)
    experiment = body.experiment or await _experiment_of(call)
    commands = [_creation(call, body, child, index, experiment) for index, child in enumerate(wanted)]
    for command in commands:
        await call.runtime.scopes.check_creation(call, command)
    outcomes = await call.submit(commands, hold=body.hold, fresh=True) if commands else []
    token = merged_token(outcomes)
    answer = ChildrenAnswer(
        token=token or "",
        run_ids=tuple(command.run_id for command in commands),
        created=sum(1 for index, outcome in enumerate(outcomes) if _is_new(outcome, index, commands)),
    )
    return call.answer(answer, status=201 if answer.created else 200, token=token)


def _is_new(outcome: Outcome, index: int, commands: list[CreateRun]) -> bool:
    """Whether this request created the run; raises the refusal of a child, with its place in the facts."""
    if isinstance(outcome, Accepted):
        return not outcome.repeated and any(event.type == "run.created" for event in outcome.events)
    facts = outcome.facts | {"index": index, "run_id": commands[index].run_id}
    raise RefusedCommand(replace(outcome, facts=facts))


def _wanted(body: CreateChildrenBody) -> list[ChildFields]:
    by_tag = body.tag_key is not None or body.tag_values is not None
    if sum((body.count is not None, by_tag, body.children is not None)) != 1:
        raise Invalid(
            "give one of count, tag_key with tag_values, or children",
            facts={"field": "count", "limit": ["count", "tag_key and tag_values", "children"]},
        )
    if by_tag and (body.tag_key is None or body.tag_values is None):
        field = "tag_key" if body.tag_key is None else "tag_values"
        raise Invalid(f"{field} is missing", facts={"field": field, "limit": "tag_key and tag_values"})
    size = body.count or len(body.tag_values or body.children or ())
    if size > limits.CHILDREN_PER_REQUEST_MAX:
        raise LimitExceeded(
            f"one request may create {limits.CHILDREN_PER_REQUEST_MAX} children; it asks for {size}",
            facts={"field": "children", "limit": limits.CHILDREN_PER_REQUEST_MAX, "size": size},
        )
    if body.count is not None:
        return [ChildFields()] * body.count
    if body.tag_key is not None and body.tag_values is not None:
        return [ChildFields(tags={body.tag_key: value}) for value in body.tag_values]
    return list(body.children or ())


async def _experiment_of(call: Call) -> str:
    workspace, run_id = call.workspace, call.run_id
    return (await call.look_up(lambda views: views.run(workspace, run_id))).experiment


def _creation(
    call: Call, body: CreateChildrenBody, child: ChildFields, index: int, experiment: str
) -> CreateRun:
    return CreateRun(
        run_id=child.run_id or call.sender.run_id(index),
        experiment=experiment,
        start=body.start,
        parent_run_id=call.run_id,
        name=child.name,
        display_name=child.display_name,
        description=child.description,
        tags=child.tags,
        properties=child.properties,
        target=child.target,
        run_type=child.run_type,
    )


def _operation(**fields: Any) -> Operation:
    return Operation(tag="children", **fields)


OPERATIONS: Final = (
    _operation(
        method="GET",
        path=RUN + "/children",
        name="listChildren",
        summary="Children of a run (with recursive: all descendants), page by page",
        run=list_children,
        query=ChildListParams,
        answer=Page,
        is_question=True,
    ),
    _operation(
        method="POST",
        path=RUN + "/children",
        name="createChildren",
        summary="Create many children of a run at once",
        run=create_children,
        body=CreateChildrenBody,
        answer=ChildrenAnswer,
        statuses=(201, 200),
        is_command=True,
        is_question=True,
    ),
    _operation(
        method="GET",
        path=RUN + "/children/counts",
        name="countChildren",
        summary="Children and descendants of a run by status",
        run=count_children,
        answer=ChildCounts,
        is_question=True,
    ),
)
