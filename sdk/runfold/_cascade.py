"""Cancel a run together with everything below it: one command each, one correlation id for all."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from runfold_events.contract.commands import CancelRun, Command, RequestCancel
from runfold_events.contract.errors import RunfoldError
from runfold_events.contract.limits import COMMANDS_PER_REQUEST_MAX
from runfold_events.contract.statuses import TERMINAL, Status

if TYPE_CHECKING:
    from runfold._run_base import RunBase
    from runfold._streams import Stream
    from runfold_projections.model import RunQuery

_POLL_S: Final = 0.2
_ACTIVE: Final = tuple(status for status in Status if status not in TERMINAL)


def cancel_tree(run: RunBase, reason: str | None, wait_s: float) -> None:
    """Cancel ``run`` and every run below it that has not ended, then wait up to ``wait_s`` for their ends.

    What this process holds is canceled by it, the others are asked. A child that is created meanwhile is left alone,
    and one that has ended meanwhile is no error.

    Raises:
        RunEnded: the run itself has another terminal status; what is below was asked all the same.
        Unavailable: with a strict workspace, the server is gone.
    """
    below = [view.run_id for view in run._workspace._pages(_active_below(run))]
    calls = [_call(run, run_id, reason) for run_id in (run.id, *below)]
    deed = uuid4()
    own: list[object] = []
    for start in range(0, len(calls), COMMANDS_PER_REQUEST_MAX):
        part = calls[start : start + COMMANDS_PER_REQUEST_MAX]
        own += run._connection.outcomes(part, strict=run._workspace._strict, correlation_id=deed)[:1]
    deadline = time.monotonic() + wait_s
    while _is_open(run) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    if isinstance(own[0], RunfoldError):
        raise own[0]


def _call(run: RunBase, run_id: str, reason: str | None) -> tuple[Stream, Command]:
    stream = run._connection.run_stream(run._workspace.name, run_id)
    if not stream.held:
        return stream, RequestCancel(run_id=run_id, reason=reason)
    stream.ended = True  # a with block around it leaves it at that
    return stream, CancelRun(run_id=run_id, reason=reason)


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


def _is_open(run: RunBase) -> bool:
    workspace, query = run._workspace, _active_below(run)
    return (
        run._fetch().status not in TERMINAL
        or run._ask(lambda transport, at: transport.count(workspace.name, query, at)) > 0
    )
