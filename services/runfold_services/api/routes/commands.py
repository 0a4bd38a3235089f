"""``POST /api/v1/commands``: any commands, answered one by one."""

from __future__ import annotations

from typing import Final

from runfold_events.contract import limits
from runfold_events.contract.commands import CommandBatch, CommandItem
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.ids import check_workspace_name
from runfold_events.contract.submission import Submission
from runfold_services.api.bodies import CommandsAnswer
from runfold_services.api.call import MINIMAL, Call, merged_token
from runfold_services.api.operations import Answer, Operation


async def submit_commands(call: Call) -> Answer:
    """Every command is atomic, the batch is not: a refusal stands in its outcome and its neighbours go on."""
    batch: CommandBatch = call.body
    count = len(batch.commands)
    if count > limits.COMMANDS_PER_REQUEST_MAX:
        raise LimitExceeded(
            f"one request may carry {limits.COMMANDS_PER_REQUEST_MAX} commands; it has {count}",
            facts={"field": "commands", "limit": limits.COMMANDS_PER_REQUEST_MAX, "size": count},
        )
    call.workspace = check_workspace_name(batch.workspace)
    call.check_hold(batch.hold)
    outcomes = await call.commit(_submissions(call, batch)) if count else []
    token = merged_token(outcomes)
    answer = call.answer(CommandsAnswer(token=token, outcomes=tuple(outcomes)), token=token)
    if call.prefers_little:
        answer.headers = (("preference-applied", MINIMAL),)
    return answer


def _submissions(call: Call, batch: CommandBatch) -> list[Submission]:
    if call.sender.is_process:
        numbers = [_own_number(item, index) for index, item in enumerate(batch.commands)]
    else:
        _refuse_numbers(batch)
        bare = [_submission(call, batch, item, 1) for item in batch.commands]
        numbers = call.sender.numbers([submission.stream for submission in bare])
    return [
        _submission(call, batch, item, number) for item, number in zip(batch.commands, numbers, strict=True)
    ]


def _submission(call: Call, batch: CommandBatch, item: CommandItem, number: int) -> Submission:
    return call.submission(
        item.command,
        number,
        hold=batch.hold,
        occurred_at=item.occurred_at,
        correlation_id=item.correlation_id,
        causation_id=item.causation_id,
        names_events=not call.prefers_little,
    )


def _own_number(item: CommandItem, index: int) -> int:
    if item.writer_seq is None:
        raise Invalid(
            f"commands[{index}].writer_seq is missing: the writer that Runfold-Writer names numbers its commands",
            facts={"field": f"commands[{index}].writer_seq", "limit": limits.WRITER_SEQ_MAX},
        )
    return item.writer_seq


def _refuse_numbers(batch: CommandBatch) -> None:
    for index, item in enumerate(batch.commands):
        if item.writer_seq is not None:
            raise Invalid(
                f"commands[{index}].writer_seq needs the header Runfold-Writer",
                facts={"field": f"commands[{index}].writer_seq", "limit": "Runfold-Writer"},
            )


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/v1/commands",
        name="submitCommands",
        tag="commands",
        summary="Submit a batch of commands; one outcome each, in the same order",
        run=submit_commands,
        body=CommandBatch,
        answer=CommandsAnswer,
        answer_may_be_brief=True,
        is_command=True,
    ),
)
