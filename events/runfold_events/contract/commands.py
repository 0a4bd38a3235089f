"""Commands: requests to change a run or an experiment. Imperative names, stable tags, one Struct each.

Fields are only ever added, with defaults. A command names its run or experiment; the workspace, the writer
and its number, and who asked, stand around it in a :class:`~runfold_events.contract.submission.Submission`.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType

from runfold_events.contract.statuses import Status

Tags = dict[str, str | None]
Properties = dict[str, str | None]
ParamValue = bool | int | float | str | None
Params = dict[str, ParamValue]


class ErrorInfo(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Why a run failed; the shape of Azure ML's ``error`` entry."""

    message: str | None = None
    code: str = "UserError"
    details_uri: str | None = None
    error_type: str | None = None
    traceback: str | None = None


class _Command(
    Struct,
    frozen=True,
    tag_field="type",
    omit_defaults=True,
    forbid_unknown_fields=True,
    kw_only=True,
    gc=False,
):
    """Base of all commands: immutable, tagged by a stable name, unknown fields refused."""


class EnsureExperiment(_Command, frozen=True, tag="experiment.ensure"):
    """Create the experiment unless it exists; precedes its first run."""

    experiment: str
    description: str | None = None
    tags: Tags = {}


class UpdateExperiment(_Command, frozen=True, tag="experiment.update"):
    """Merge tags, remove tags, change the description, archive or reactivate. Absent fields stay."""

    experiment: str
    set_tags: Tags = {}
    remove_tags: tuple[str, ...] = ()
    description: str | UnsetType | None = UNSET
    archived: bool | UnsetType = UNSET


class RunCommand(_Command, frozen=True):
    """Base of the commands whose stream is a run."""

    run_id: str


class CreateRun(RunCommand, frozen=True, tag="run.create"):
    """Create a run; ``start`` also starts it.

    The same id with the same content returns the first answer. ``resume`` re-opens a run that has not ended,
    whatever its content, and creates it when it does not exist.
    """

    experiment: str
    start: bool = True
    resume: bool = False
    parent_run_id: str | None = None
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    tags: Tags = {}
    properties: Properties = {}
    target: str = "local"
    run_type: str | None = None


class StartRun(RunCommand, frozen=True, tag="run.start"):
    """Start, or adopt, a run. Refused while another process holds it."""


class AdvanceRun(RunCommand, frozen=True, tag="run.advance"):
    """Report a station between creation and end (see ``statuses.ADVANCE_TARGETS``).

    With ``claim`` an agent takes a submitted run: only one that waits in Starting, and that no other live process
    holds. So of several agents one executes it, and a late one cannot take it again. A sender that will not hold the
    run is refused: nobody would notice that it is gone.

    ``unless_adopted``: see :class:`FailRun`.
    """

    status: Status
    details: str | None = None
    claim: bool = False
    unless_adopted: bool = False


class RequestCancel(RunCommand, frozen=True, tag="run.request_cancel"):
    """Ask the run's holder to end it; without a live holder the run is canceled at once."""

    reason: str | None = None


class CompleteRun(RunCommand, frozen=True, tag="run.complete"):
    """End the run as Completed."""


class FailRun(RunCommand, frozen=True, tag="run.fail"):
    """End the run as Failed.

    With ``unless_adopted`` it is refused when another process holds the run and the sender's does not: an agent that
    was away for longer than its lease says nothing more of a run that another one executes by now.
    """

    error: ErrorInfo = ErrorInfo()
    unless_adopted: bool = False


class CancelRun(RunCommand, frozen=True, tag="run.cancel"):
    """End the run as Canceled; the holder's word."""

    reason: str | None = None


class MarkLost(RunCommand, frozen=True, tag="run.mark_lost"):
    """The lease keeper found that the run's last holder is gone."""

    internal: ClassVar[bool] = True


class MarkFound(RunCommand, frozen=True, tag="run.mark_found"):
    """The lease keeper found a live holder of a NotResponding run."""

    internal: ClassVar[bool] = True


class LogMetrics(RunCommand, frozen=True, tag="run.log_metrics", gc=False):
    """A batch of metric points, kept byte for byte: see :mod:`runfold_events.contract.metrics`."""

    batch: msgspec.Raw


class LogParams(RunCommand, frozen=True, tag="run.log_params"):
    """Write-once, typed parameters."""

    params: Params


class AddProperties(RunCommand, frozen=True, tag="run.add_properties"):
    """Write-once properties; string or null, as in Azure ML."""

    properties: Properties


class SetTags(RunCommand, frozen=True, tag="run.set_tags"):
    """Merge tags; a value may be null."""

    tags: Tags


class RemoveTags(RunCommand, frozen=True, tag="run.remove_tags"):
    """Remove tags by key; unknown keys are ignored."""

    keys: tuple[str, ...]


class UpdateRun(RunCommand, frozen=True, tag="run.update"):
    """Change display name or description; absent fields stay."""

    display_name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET


class ArchiveRun(RunCommand, frozen=True, tag="run.archive"):
    """Hide the run from lists that do not ask for archived ones."""


class RestoreRun(RunCommand, frozen=True, tag="run.restore"):
    """Undo :class:`ArchiveRun`."""


class RecordArtifact(RunCommand, frozen=True, tag="run.record_artifact"):
    """A file of the run is stored: its path, SHA-256 (64 hex digits) and size. Write-once per path."""

    path: str
    sha256: str
    size_bytes: int
    content_type: str = "application/octet-stream"


class DeclareLost(RunCommand, frozen=True, tag="run.declare_lost"):
    """The sender no longer has its commands ``first`` to ``last``; numbered ``first``, moves its mark to ``last``."""

    first: int
    last: int
    reason: str
    values: int = 0  # how many logged values those commands would have carried, where the sender counted them


class EraseRun(RunCommand, frozen=True, tag="run.erase"):
    """Erase the bodies of all of the run's events (admin). The chain still checks afterwards."""

    reason: str | None = None


Command = (
    EnsureExperiment
    | UpdateExperiment
    | CreateRun
    | StartRun
    | AdvanceRun
    | RequestCancel
    | CompleteRun
    | FailRun
    | CancelRun
    | MarkLost
    | MarkFound
    | LogMetrics
    | LogParams
    | AddProperties
    | SetTags
    | RemoveTags
    | UpdateRun
    | ArchiveRun
    | RestoreRun
    | RecordArtifact
    | DeclareLost
    | EraseRun
)

ExperimentCommand = EnsureExperiment | UpdateExperiment
INTERNAL_COMMANDS = (MarkLost, MarkFound)


def takes_over(command: RunCommand) -> bool:
    """True for the commands that only one process at a time may give: the sender would act for the run from then on."""
    return isinstance(command, StartRun) or (isinstance(command, AdvanceRun) and command.claim)


def yields(command: RunCommand) -> bool:
    """True for the commands that are for who holds the run, if anybody does."""
    return isinstance(command, (AdvanceRun, FailRun)) and command.unless_adopted


def holds(command: Command) -> bool:
    """True for the commands after which the sender's process may hold the run.

    A run that is only created is nobody's: it waits for whoever starts it.
    """
    if isinstance(command, CreateRun):
        return command.start or command.resume
    return isinstance(command, RunCommand) and takes_over(command)


def command_type(command: Command) -> str:
    """The stable name of a command, such as ``run.create``."""
    return str(type(command).__struct_config__.tag)


class CommandItem(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """One command of a batch as it goes over the wire, with its writer's number."""

    command: Command
    writer_seq: int | None = None
    occurred_at: int | None = None  # client clock, UTC µs since the epoch
    correlation_id: UUID | None = None
    causation_id: UUID | None = None


class CommandBatch(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """The body of ``POST /api/v1/commands``. With ``hold`` the writer's process holds the runs it starts."""

    workspace: str
    commands: tuple[CommandItem, ...]
    hold: bool = False
