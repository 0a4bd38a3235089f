"""What is allowed in which status: the one table. Rules consult it, docs render it, tests walk it."""

from __future__ import annotations

from enum import Enum
from typing import Final

from runfold_events.contract import commands as c
from runfold_events.contract.statuses import TERMINAL, Status


class Verdict(Enum):
    """What a status says to a command, before the command's own rule speaks."""

    TAKE = "allowed"
    SAME = "no change"  # accepted without an event
    ENDED = "refused: run_ended"
    CONFLICT = "refused: conflict"


_ALL: Final = tuple(Status)
_ACTIVE: Final = tuple(status for status in Status if status not in TERMINAL)

Row = dict[Status, Verdict]


def _row(take: tuple[Status, ...], same: tuple[Status, ...] = (), conflict: tuple[Status, ...] = ()) -> Row:
    """TAKE, SAME and CONFLICT as given; a terminal status that is not named refuses."""
    row = dict.fromkeys(_ALL, Verdict.ENDED)
    row |= dict.fromkeys(take, Verdict.TAKE) | dict.fromkeys(same, Verdict.SAME)
    return row | dict.fromkeys(conflict, Verdict.CONFLICT)


_BEFORE_RUNNING: Final = (
    Status.NOT_STARTED,
    Status.UNAPPROVED,
    Status.PAUSING,
    Status.PAUSED,
    Status.STARTING,
    Status.PROVISIONING,
    Status.PREPARING,
    Status.QUEUED,
    Status.NOT_RESPONDING,  # starting a lost run adopts it
)
_DATA: Final = _row(_ALL)  # accepted after the end too, and marked late

ALLOWED: Final[dict[type, Row]] = {
    c.StartRun: _row(
        _BEFORE_RUNNING, same=(Status.RUNNING,), conflict=(Status.CANCEL_REQUESTED, Status.FINALIZING)
    ),
    c.AdvanceRun: _row(_ACTIVE),
    c.RequestCancel: _row(_ACTIVE, same=(Status.CANCELED,)),
    c.CompleteRun: _row(_ACTIVE, same=(Status.COMPLETED,)),
    c.FailRun: _row(_ACTIVE, same=(Status.FAILED,)),
    c.CancelRun: _row(_ACTIVE, same=(Status.CANCELED,)),
    c.MarkLost: _row(
        tuple(status for status in _ACTIVE if status is not Status.NOT_RESPONDING),
        same=(Status.NOT_RESPONDING, *sorted(TERMINAL)),
    ),
    c.MarkFound: _row(
        (Status.NOT_RESPONDING,), same=tuple(status for status in _ALL if status is not Status.NOT_RESPONDING)
    ),
    c.LogMetrics: _DATA,
    c.LogParams: _DATA,
    c.AddProperties: _DATA,
    c.SetTags: _DATA,
    c.RemoveTags: _DATA,
    c.UpdateRun: _DATA,
    c.ArchiveRun: _DATA,
    c.RestoreRun: _DATA,
    c.RecordArtifact: _DATA,
    c.DeclareLost: _DATA,
    c.EraseRun: _DATA,
}
