"""Events: facts the store has accepted. Past tense, immutable, stable tags, one Struct each.

Fields are only ever added, with defaults; a new meaning is a new type. Bodies never mention positions (they name
event ids), so an import into another store keeps them true. A metric batch is no Struct here: the body of
``run.metrics_logged`` is exactly what the client sent (:mod:`runfold_events.contract.metrics`).
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from runfold_events.contract.commands import ErrorInfo, Params, Properties, Tags
from runfold_events.contract.statuses import Status

METRICS_LOGGED: Final = "run.metrics_logged"
ERASED: Final = "run.erased"


class _Event(Struct, frozen=True, tag_field="type", omit_defaults=True, kw_only=True, gc=False):
    """Base of all event bodies. Unknown fields are ignored: a newer writer may have added some.

    What is frozen and made of plain values is part of no circle, so the garbage collector need not look at it.
    """


class ExperimentCreated(_Event, frozen=True, tag="experiment.created"):
    experiment: str
    experiment_id: UUID
    description: str | None = None
    tags: Tags = {}


class ExperimentUpdated(_Event, frozen=True, tag="experiment.updated"):
    set_tags: Tags = {}
    removed_tags: tuple[str, ...] = ()
    description: str | UnsetType | None = UNSET
    archived: bool | UnsetType = UNSET


class RunCreated(_Event, frozen=True, tag="run.created"):
    run_id: str
    experiment: str
    experiment_id: UUID
    number: int
    root_run_id: str
    path: tuple[str, ...]  # run ids from the root to this run, both included
    parent_run_id: str | None = None
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    tags: Tags = {}
    properties: Properties = {}
    target: str = "local"
    run_type: str | None = None
    start: bool = False  # the same command also started it: a run.started follows


class RunStarted(_Event, frozen=True, tag="run.started"):
    pass


class RunAdvanced(_Event, frozen=True, tag="run.advanced"):
    status: Status
    details: str | None = None


class RunCancelRequested(_Event, frozen=True, tag="run.cancel_requested"):
    reason: str | None = None


class RunCompleted(_Event, frozen=True, tag="run.completed"):
    pass


class RunFailed(_Event, frozen=True, tag="run.failed"):
    error: ErrorInfo = ErrorInfo()


class RunCanceled(_Event, frozen=True, tag="run.canceled"):
    reason: str | None = None


class RunLost(_Event, frozen=True, tag="run.lost"):
    pass


class RunFound(_Event, frozen=True, tag="run.found"):
    status: Status  # the status before it was lost


class ParamsLogged(_Event, frozen=True, tag="run.params_logged"):
    params: Params
    late: bool = False


class PropertiesAdded(_Event, frozen=True, tag="run.properties_added"):
    properties: Properties
    late: bool = False


class TagsSet(_Event, frozen=True, tag="run.tags_set"):
    tags: Tags
    late: bool = False


class TagsRemoved(_Event, frozen=True, tag="run.tags_removed"):
    keys: tuple[str, ...]
    late: bool = False


class RunUpdated(_Event, frozen=True, tag="run.updated"):
    display_name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET


class RunArchived(_Event, frozen=True, tag="run.archived"):
    pass


class RunRestored(_Event, frozen=True, tag="run.restored"):
    pass


class ArtifactRecorded(_Event, frozen=True, tag="run.artifact_recorded"):
    path: str
    sha256: str
    size_bytes: int
    content_type: str = "application/octet-stream"
    late: bool = False


class CommandsLost(_Event, frozen=True, tag="run.commands_lost"):
    first: int
    last: int
    reason: str
    values: int = 0


class CommandRejected(_Event, frozen=True, tag="run.command_rejected"):
    command: str  # the refused command's type, such as run.add_properties
    code: str
    message: str
    facts: dict[str, Any] = {}


class RunErased(_Event, frozen=True, tag=ERASED):
    """What stays of an erased run: its place in the tree, its number and how it stood."""

    run_id: str
    experiment: str
    experiment_id: UUID
    number: int
    root_run_id: str
    path: tuple[str, ...]
    status: Status
    parent_run_id: str | None = None
    reason: str | None = None


class CommandUnreadable(_Event, frozen=True, tag="command.unreadable"):
    """A record of the command topic that could not be handled, with its bytes, so that it can be sent again."""

    code: str
    message: str
    offset: int
    timestamp_ms: int
    facts: dict[str, Any] = {}
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class LogLost(_Event, frozen=True, tag="commands.lost"):
    """Records of the command topic are gone before they were handled: offsets ``first`` to ``last``."""

    first: int
    last: int
    reason: str


class StoreRestored(_Event, frozen=True, tag="store.restored"):
    """The store was restored from a backup; what the previous epoch said beyond this position is void."""

    previous_epoch: UUID


class CommandRedriven(_Event, frozen=True, tag="command.redriven"):
    """The record that a ``command.unreadable`` keeps was sent again and read again, at ``offset`` of this partition.

    ``handled`` False: it is unreadable still, and kept once more. The envelope's writer is the id of the event that
    is answered, its number is 1: so the answer is found by that key, in whichever partition it was given.
    """

    offset: int
    handled: bool


class ImportStarted(_Event, frozen=True, tag="store.import_started"):
    """Events of another store begin to be copied into this one; without ``store.import_ended`` half of them is here."""

    sha256: str  # of the file, whose trailer says the same
    source_epoch: UUID
    workspace: str | None = None  # None: the whole ledger


class ImportEnded(_Event, frozen=True, tag="store.import_ended"):
    """Everything of the file with this digest is here."""

    sha256: str
    events: int


SystemEvent = CommandUnreadable | LogLost | StoreRestored | CommandRedriven | ImportStarted | ImportEnded

Event = (
    ExperimentCreated
    | ExperimentUpdated
    | RunCreated
    | RunStarted
    | RunAdvanced
    | RunCancelRequested
    | RunCompleted
    | RunFailed
    | RunCanceled
    | RunLost
    | RunFound
    | ParamsLogged
    | PropertiesAdded
    | TagsSet
    | TagsRemoved
    | RunUpdated
    | RunArchived
    | RunRestored
    | ArtifactRecorded
    | CommandsLost
    | CommandRejected
    | RunErased
    | CommandUnreadable
    | LogLost
    | StoreRestored
    | CommandRedriven
    | ImportStarted
    | ImportEnded
)


class MetricsLogged(Struct, frozen=True, gc=False):
    """Stands for ``run.metrics_logged`` where events are decided; ``batch`` is stored untouched."""

    batch: bytes
    content_type: str


AnyEvent = Event | MetricsLogged


def event_type(event: AnyEvent) -> str:
    """The stable name of an event, such as ``run.created``."""
    return _tag_of(type(event))


@cache  # a Struct's configuration is made anew whenever somebody looks at it
def _tag_of(kind: type[Struct]) -> str:
    return METRICS_LOGGED if issubclass(kind, MetricsLogged) else str(kind.__struct_config__.tag)
