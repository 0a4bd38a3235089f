"""Which events set a run's status. Shared by the folds that count runs by status."""

from __future__ import annotations

from typing import Any, Final

from runfold_events.contract import events as e
from runfold_events.contract.statuses import Status

_FIXED: Final[dict[type, Status]] = {
    e.RunCreated: Status.NOT_STARTED,
    e.RunStarted: Status.RUNNING,
    e.RunCancelRequested: Status.CANCEL_REQUESTED,
    e.RunCompleted: Status.COMPLETED,
    e.RunFailed: Status.FAILED,
    e.RunCanceled: Status.CANCELED,
    e.RunLost: Status.NOT_RESPONDING,
}
_NAMED: Final = (e.RunAdvanced, e.RunFound, e.RunErased)


def tags_of(*kinds: Any) -> frozenset[str]:
    """The stable names of event Structs."""
    return frozenset(str(kind.__struct_config__.tag) for kind in kinds)


STATUS_EVENTS: Final = tags_of(*_FIXED, *_NAMED)


def status_after(body: e.AnyEvent) -> Status:
    """The status that an event of :data:`STATUS_EVENTS` leaves."""
    if isinstance(body, _NAMED):
        return body.status
    return _FIXED[type(body)]
