"""Which events set a run's status. Shared by the folds that count runs by status."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from runfold_events.contract import events as e
from runfold_events.contract.statuses import Status
from runfold_projections.projection import FoldEvent

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
CREATED: Final = tags_of(e.RunCreated)


def streams_to_load(events: Iterable[FoldEvent]) -> list[str]:
    """The streams of ``events``, each once, but for those that begin among them: no table knows those yet."""
    wanted: dict[str, bool] = {}
    for event in events:
        wanted.setdefault(event.recorded.stream, event.type not in CREATED)
    return [stream for stream, is_wanted in wanted.items() if is_wanted]


def status_after(body: e.AnyEvent) -> Status:
    """The status that an event of :data:`STATUS_EVENTS` leaves."""
    if isinstance(body, _NAMED):
        return body.status
    return _FIXED[type(body)]
