"""``/api/v1/processes/{process_id}``: the lease of a process that holds runs."""

from __future__ import annotations

from typing import Final

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.ids import check_run_id, check_workspace_name
from runfold_services.api.bodies import HeartbeatBody
from runfold_services.api.call import Call
from runfold_services.api.operations import Answer, Operation
from runfold_services.service import HeartbeatAnswer

STREAMS_MAX: Final = limits.COMMANDS_PER_REQUEST_MAX  # in one heartbeat


async def heartbeat(call: Call) -> Answer:
    """Renew the lease; the answer names the runs it holds that somebody asked to cancel."""
    process_id = call.process_id
    numbers = await call.runtime.scopes.own_streams(call, _checked(call.body.last_numbers))
    backend = call.runtime.backend
    return call.answer(await call.runtime.threads.commit(lambda: backend.heartbeat(process_id, numbers)))


async def release(call: Call) -> Answer:
    """End the lease at once."""
    process_id = call.process_id
    backend = call.runtime.backend
    await call.runtime.threads.commit(lambda: backend.release(process_id))
    call.runtime.upkeep.wake()
    return Answer(status=204)


def _checked(numbers: dict[str, int]) -> dict[str, int]:
    if len(numbers) > STREAMS_MAX:
        raise LimitExceeded(
            f"last_numbers may name {STREAMS_MAX} streams; it names {len(numbers)}",
            facts={"field": "last_numbers", "limit": STREAMS_MAX, "size": len(numbers)},
        )
    for stream in numbers:
        parts = stream.split("/")
        if len(parts) != 3 or parts[1] not in {"run", "experiment"}:
            raise Invalid(
                f"last_numbers: {stream[:80]!r} is no stream",
                facts={"field": "last_numbers", "limit": "workspace/run/id", "size": stream[:80]},
            )
        check_workspace_name(parts[0], "last_numbers")
        check_run_id(parts[2], "last_numbers")
    return numbers


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
