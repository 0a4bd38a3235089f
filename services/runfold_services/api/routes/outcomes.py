"""``/api/v1/outcomes``: what became of commands, for senders that got no answer, above all by Kafka."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from msgspec.structs import replace

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded, NotFound
from runfold_events.contract.ids import check_run_id, check_workspace_name
from runfold_events.contract.submission import Outcome
from runfold_services.api.bodies import OutcomeQuery, OutcomesAnswer
from runfold_services.api.call import Call
from runfold_services.api.negotiation import encode
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.parameters import OutcomeParams

RUN: Final = "run"
EXPERIMENT: Final = "experiment"


async def show_outcome(call: Call) -> Answer:
    """The outcome is that of the store, not of a view: what was answered once is found here at once.

    Not found: the command has not been handled, or was refused without an event. Its number is free either way, so it
    may be sent again.
    """
    params: OutcomeParams = call.query
    media, backend = call.format, call.runtime.backend
    stream = _checked(params.stream)

    async def work() -> Answer:
        outcome = await backend.outcome(stream, params.writer, params.number)
        if outcome is None:
            raise NotFound(
                f"command {params.number} of writer {params.writer} on {stream} is not known: it has not been handled, "
                "or was refused without an event",
                facts={"stream": stream, "writer_id": str(params.writer), "writer_seq": params.number},
            )
        return Answer(body=encode(outcome, media), content_type=media)

    return await call.runtime.threads.query(work)


async def query_outcomes(call: Call) -> Answer:
    """The same for many commands of one writer, in their order.

    ``outcome`` is null while a command is not known. Who says where Kafka keeps it learns more: ``passed`` says that
    the command topic is handled beyond that offset, and then an outcome is there also of what was refused without an
    event. Passed and without an outcome: the topic lost it, so send it again.
    """
    query: OutcomeQuery = call.body
    count = len(query.commands)
    if count > limits.OUTCOMES_PER_REQUEST_MAX:
        raise LimitExceeded(
            f"one request may ask about {limits.OUTCOMES_PER_REQUEST_MAX} commands; it asks about {count}",
            facts={"field": "commands", "limit": limits.OUTCOMES_PER_REQUEST_MAX, "size": count},
        )
    media, backend = call.format, call.runtime.backend
    asked = [replace(one, stream=_checked(one.stream)) for one in query.commands]

    async def work() -> Answer:
        fates = await backend.fates(query.writer, asked)
        return Answer(body=encode(OutcomesAnswer(fates=fates), media), content_type=media)

    return await call.runtime.threads.query(work)


def _checked(stream: str) -> str:
    """``stream``, if a command can be on it."""
    workspace, _, rest = stream.partition("/")
    kind, _, identity = rest.partition("/")
    if kind not in {RUN, EXPERIMENT}:
        raise _invalid(stream)
    check_workspace_name(workspace, "stream")
    if kind == RUN:
        check_run_id(identity, "stream")
        return stream
    try:
        return f"{workspace}/{EXPERIMENT}/{UUID(identity)}"
    except ValueError:
        raise _invalid(stream) from None


def _invalid(stream: str) -> Invalid:
    wanted = "{workspace}/run/{run id} or {workspace}/experiment/{experiment id}"
    return Invalid(
        f"stream must be {wanted}; got {stream[:80]!a}",
        facts={"field": "stream", "limit": wanted, "size": ascii(stream[:80])},
    )


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/outcomes",
        name="showOutcome",
        tag="commands",
        summary="What became of a command: by its stream, its writer and its number",
        run=show_outcome,
        query=OutcomeParams,
        answer=Outcome,
        finds_one=True,
    ),
    Operation(
        method="POST",
        path="/api/v1/outcomes:query",
        name="queryOutcomes",
        tag="commands",
        summary="What became of many commands of one writer, and of records of the command topic",
        run=query_outcomes,
        body=OutcomeQuery,
        answer=OutcomesAnswer,
    ),
)
