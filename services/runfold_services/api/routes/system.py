"""Health, projections, and the description of the API itself."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from runfold_events.contract.envelope import JSON
from runfold_events.contract.errors import Unavailable
from runfold_projections.model import ProjectionState
from runfold_services import metrics as m
from runfold_services.api.bodies import HealthAnswer, SystemAnswer
from runfold_services.api.call import Call
from runfold_services.api.negotiation import encode
from runfold_services.api.operations import Answer, Operation


async def live(call: Call) -> Answer:
    """The process answers; nothing else is looked at."""
    return call.answer(HealthAnswer(call.runtime.status))


async def ready(call: Call) -> Answer:
    """The server takes requests and every projection folds."""
    if call.runtime.status != "ok":
        raise Unavailable(f"the server is {call.runtime.status}", facts={"status": call.runtime.status})
    backend = call.runtime.backend
    states = await call.runtime.threads.query(backend.views.states)
    stopped = sorted({state.projection for state in states if state.error is not None})
    if stopped:
        raise Unavailable(
            f"stopped on an event that cannot be folded: {', '.join(stopped)}", facts={"projections": stopped}
        )
    return call.answer(HealthAnswer("ok"))


async def metrics(call: Call) -> Answer:
    """What this process counts, for Prometheus. No name of a run, a user or a workspace is in it."""
    runtime = call.runtime
    leases = await runtime.threads.query(runtime.backend.live_leases)
    own = m.process_samples("api", is_ready=runtime.status == "ok", started_at=runtime.started_at)
    queued, refused = runtime.committer.queued.commands, runtime.quotas.refused
    body = m.exposition([*own, *m.api_samples(runtime.tally, queued, leases, refused)])
    return Answer(body=body, content_type=m.CONTENT_TYPE)


async def list_projections(call: Call) -> Answer:
    backend = call.runtime.backend
    return call.answer(await call.runtime.threads.query(backend.views.states))


async def show_system(call: Call) -> Answer:
    runtime = call.runtime
    media, backend = call.format, runtime.backend

    async def work() -> Answer:
        token = await backend.token()
        answer = SystemAnswer(
            version=version("runfold"),
            started_at=datetime.fromtimestamp(runtime.started_at, UTC),
            epoch=token.epoch,
            ends=tuple(token.ends.get(partition, 0) for partition in range(backend.partitions)),
            leases=await backend.live_leases(),
            queued_commands=runtime.committer.queued.commands,
            followers=runtime.live.count,
            actor=call.actor.name,
            admin=call.actor.admin,
        )
        return Answer(body=encode(answer, media), content_type=media)

    return await runtime.threads.query(work)


async def show_openapi(call: Call) -> Answer:
    from runfold_services.api.openapi import description
    from runfold_services.api.routes import OPERATIONS as ALL

    return Answer(body=description(ALL), content_type=JSON)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/health/live",
        name="live",
        tag="system",
        summary="The process is alive",
        run=live,
        answer=HealthAnswer,
        is_open=True,
    ),
    Operation(
        method="GET",
        path="/health/ready",
        name="ready",
        tag="system",
        summary="The server can do its work",
        run=ready,
        answer=HealthAnswer,
        is_open=True,
    ),
    Operation(
        method="GET",
        path="/metrics",
        name="metrics",
        tag="system",
        summary="What the process counts, for Prometheus",
        run=metrics,
        answer_type=m.CONTENT_TYPE,
        is_open=True,
    ),
    Operation(
        method="GET",
        path="/api/v1/system",
        name="showSystem",
        tag="system",
        summary="What this server is, what its store holds, and who asks",
        run=show_system,
        answer=SystemAnswer,
    ),
    Operation(
        method="GET",
        path="/api/v1/system/projections",
        name="listProjections",
        tag="system",
        summary="Where every projection stands",
        run=list_projections,
        answer=list[ProjectionState],
    ),
    Operation(
        method="GET",
        path="/schema/openapi.json",
        name="openapi",
        tag="system",
        summary="This description",
        run=show_openapi,
        answer_type=JSON,
    ),
)
