"""``…/runs/{id}/{start,complete,fail,cancel}``."""

from __future__ import annotations

from typing import Any, Final

from runfold_events.contract.commands import CompleteRun, FailRun, RequestCancel, StartRun
from runfold_services.api.bodies import FailBody, HoldBody, NothingBody, ReasonBody, WriteAnswer
from runfold_services.api.call import Call
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.routes.runs import RUN


async def start_run(call: Call) -> Answer:
    return await call.write(StartRun(run_id=call.run_id), hold=call.body.hold)


async def complete_run(call: Call) -> Answer:
    return await call.write(CompleteRun(run_id=call.run_id))


async def fail_run(call: Call) -> Answer:
    return await call.write(FailRun(run_id=call.run_id, error=call.body.error))


async def cancel_run(call: Call) -> Answer:
    """Asks the holder; a run without a live holder is canceled at once."""
    return await call.write(RequestCancel(run_id=call.run_id, reason=call.body.reason))


def _operation(verb: str, summary: str, run: Any, body: type) -> Operation:
    return Operation(
        method="POST",
        path=f"{RUN}/{verb}",
        name=f"{verb}Run",
        tag="runs",
        summary=summary,
        run=run,
        body=body,
        body_is_optional=True,
        answer=WriteAnswer,
        is_command=True,
    )


OPERATIONS: Final = (
    _operation("start", "Start a run", start_run, HoldBody),
    _operation("complete", "End a run as Completed", complete_run, NothingBody),
    _operation("fail", "End a run as Failed", fail_run, FailBody),
    _operation(
        "cancel",
        "Ask the holder of a run to end it; without a live holder it is Canceled at once",
        cancel_run,
        ReasonBody,
    ),
)
