"""Cancel a run together with everything below it: one command each, one correlation id for all."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from runfold._transport import Batch, Item
from runfold_events.contract.commands import CancelRun, RequestCancel
from runfold_events.contract.errors import Unavailable, error_from
from runfold_events.contract.limits import COMMANDS_PER_REQUEST_MAX
from runfold_events.contract.statuses import TERMINAL, Status
from runfold_events.contract.submission import Refused

if TYPE_CHECKING:
    from runfold._run_base import RunBase
    from runfold_projections.model import RunQuery

_TRIES: Final = 3
_RETRY_S: Final = 0.5
_POLL_S: Final = 0.2
_ACTIVE: Final = tuple(status for status in Status if status not in TERMINAL)


def cancel_tree(run: RunBase, reason: str | None, wait_s: float) -> None:
    """Cancel ``run`` and every run below it that has not ended, then wait up to ``wait_s`` for their ends.

    What this process holds is canceled by it, the others are asked. A child that is created meanwhile is left alone.

    Raises:
        RunEnded: the run itself has another terminal status; what is below was asked all the same.
        Unavailable: no answer came; calling it again is safe.
    """
    connection, workspace = run._connection, run._workspace
    below = [view.run_id for view in workspace._pages(_active_below(run))]
    if not connection.flush(wait_s):  # what was logged before comes first, as with every end
        raise Unavailable("what this process logged before is not delivered yet", facts={"retry_after": 1.0})
    deed = uuid4()
    refusals: dict[str, Refused] = {}
    targets = [run.id, *below]
    for start in range(0, len(targets), COMMANDS_PER_REQUEST_MAX):
        refusals |= _submit(run, targets[start : start + COMMANDS_PER_REQUEST_MAX], reason, deed)
    deadline = time.monotonic() + wait_s
    while _open(run) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    refused = refusals.get(run.id)
    if refused is not None:
        raise error_from(refused.code, refused.message, refused.facts)


def _active_below(run: RunBase) -> RunQuery:
    from runfold_projections.model import RunQuery

    return RunQuery(
        ancestor_run_id=run.id,
        status=_ACTIVE,
        include_children=True,
        include_archived=True,
        fields=("run_id",),
        order_by="created_at",
    )


def _open(run: RunBase) -> bool:
    workspace, query = run._workspace, _active_below(run)
    return (
        run._fetch().status not in TERMINAL
        or run._ask(lambda transport, at: transport.count(workspace.name, query, at)) > 0
    )


def _submit(run: RunBase, run_ids: Sequence[str], reason: str | None, deed: UUID) -> dict[str, Refused]:
    """Send the commands under a writer of their own, so that a retry repeats them and nothing else."""
    connection, workspace = run._connection, run._workspace.name
    now_us = time.time_ns() // 1_000
    items = [
        Item(
            CancelRun(run_id=run_id, reason=reason)
            if connection.run_stream(workspace, run_id).held
            else RequestCancel(run_id=run_id, reason=reason),
            1,
            now_us,
            deed,
        )
        for run_id in run_ids
    ]
    batch = Batch(workspace=workspace, writer_id=uuid4(), items=items)
    for attempt in range(_TRIES):
        try:
            answer = connection.transport().submit(batch)
            break
        except Unavailable:
            if attempt == _TRIES - 1:
                raise
            time.sleep(_RETRY_S)
    else:
        raise AssertionError("unreachable: the last try raises")
    connection._settled(answer.token)
    pairs = zip(run_ids, answer.outcomes, strict=True)
    return {run_id: outcome for run_id, outcome in pairs if isinstance(outcome, Refused)}
