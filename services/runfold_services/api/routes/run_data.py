"""``…/runs/{id}/{params,tags,properties,artifacts}``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from runfold_events.contract.commands import (
    AddProperties,
    Command,
    LogParams,
    Params,
    Properties,
    RecordArtifact,
    RemoveTags,
    SetTags,
    Tags,
)
from runfold_events.contract.errors import Invalid
from runfold_projections.model import RunView
from runfold_projections.ports import Views
from runfold_services.api.bodies import ArtifactBody, ParamsBody, PropertiesBody, TagsBody, WriteAnswer
from runfold_services.api.call import Call
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.routes.runs import RUN


async def show_params(call: Call) -> Answer:
    return await _part(call, lambda run: run.params)


async def show_tags(call: Call) -> Answer:
    return await _part(call, lambda run: run.tags)


async def show_properties(call: Call) -> Answer:
    return await _part(call, lambda run: run.properties)


async def _part(call: Call, part: Callable[[RunView], Any]) -> Answer:
    workspace, run_id = call.workspace, call.run_id

    async def question(views: Views) -> Any:
        return part(await views.run(workspace, run_id))

    return await call.ask(question)


async def log_params(call: Call) -> Answer:
    return await call.write(LogParams(run_id=call.run_id, params=call.body.params))


async def add_properties(call: Call) -> Answer:
    return await call.write(AddProperties(run_id=call.run_id, properties=call.body.properties))


async def change_tags(call: Call) -> Answer:
    """Setting and removing are two commands on one stream, in this order; each is atomic."""
    body: TagsBody = call.body
    commands: list[Command] = []
    if body.set:
        commands.append(SetTags(run_id=call.run_id, tags=body.set))
    if body.remove:
        commands.append(RemoveTags(run_id=call.run_id, keys=body.remove))
    if not commands:
        raise Invalid("nothing to change", facts={"field": "body", "limit": ["set", "remove"]})
    return await call.write(*commands)


async def record_artifact(call: Call) -> Answer:
    body: ArtifactBody = call.body
    command = RecordArtifact(
        run_id=call.run_id,
        path=body.path,
        sha256=body.sha256,
        size_bytes=body.size_bytes,
        content_type=body.content_type,
    )
    return await call.write(command, created="run.artifact_recorded")


def _show(what: str, summary: str, run: Any, answer: Any) -> Operation:
    return Operation(
        method="GET",
        path=f"{RUN}/{what}",
        name=f"show{what.title()}",
        tag="runs",
        summary=summary,
        run=run,
        answer=answer,
        is_question=True,
    )


def _change(method: Any, what: str, name: str, summary: str, run: Any, body: type) -> Operation:
    return Operation(
        method=method,
        path=f"{RUN}/{what}",
        name=name,
        tag="runs",
        summary=summary,
        run=run,
        body=body,
        answer=WriteAnswer,
        statuses=(201, 200) if what == "artifacts" else (200,),
        is_command=True,
    )


OPERATIONS: Final = (
    _show("params", "Parameters of a run", show_params, Params),
    _show("tags", "Tags of a run", show_tags, Tags),
    _show("properties", "Properties of a run", show_properties, Properties),
    _change("POST", "params", "logParams", "Log write-once parameters", log_params, ParamsBody),
    _change("PATCH", "tags", "changeTags", "Set tags, then remove tags", change_tags, TagsBody),
    _change(
        "POST", "properties", "addProperties", "Add write-once properties", add_properties, PropertiesBody
    ),
    _change(
        "POST",
        "artifacts",
        "recordArtifact",
        "Record a file that is stored elsewhere; write-once per path",
        record_artifact,
        ArtifactBody,
    ),
)
