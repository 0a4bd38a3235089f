"""``/api/v1/processes/{process_id}``: the lease of a process that holds runs."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from runfold_events.contract.errors import Invalid
from runfold_services.api.bodies import HeartbeatBody
from runfold_services.api.call import Call
from runfold_services.api.operations import Answer, Operation
from runfold_services.service import HeartbeatAnswer


async def heartbeat(call: Call) -> Answer:
    """Renew the lease; the answer names the runs it holds that somebody asked to cancel."""
    process_id, numbers = _process_id(call), call.body.last_numbers
    backend = call.runtime.backend
    return call.answer(await call.runtime.threads.commit(lambda: backend.heartbeat(process_id, numbers)))


async def release(call: Call) -> Answer:
    """End the lease at once."""
    process_id = _process_id(call)
    backend = call.runtime.backend
    await call.runtime.threads.commit(lambda: backend.release(process_id))
    call.runtime.upkeep.wake()
    return Answer(status=204)


def _process_id(call: Call) -> UUID:
    text = call.path["process_id"]
    try:
        return UUID(text)
    except ValueError:
        raise Invalid(
            f"a process id is a UUID; got {text[:80]!r}",
            facts={"field": "process_id", "limit": "a UUID", "size": text[:80]},
        ) from None


OPERATIONS: Final = (
    Operation(
        method="PUT",
        path="/api/v1/processes/{process_id}",
        name="heartbeat",
        tag="processes",
        summary="Renew the lease of a process",
        run=heartbeat,
        body=HeartbeatBody,
        body_is_optional=True,
        answer=HeartbeatAnswer,
    ),
    Operation(
        method="DELETE",
        path="/api/v1/processes/{process_id}",
        name="releaseProcess",
        tag="processes",
        summary="End the lease of a process; runs that nobody else holds are marked lost",
        run=release,
        statuses=(204,),
    ),
)
