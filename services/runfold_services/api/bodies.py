"""Bodies of requests and answers that are no commands or views themselves. Unknown fields are refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from runfold_events.contract import limits
from runfold_events.contract.commands import ErrorInfo, Params, Properties, Tags
from runfold_events.contract.submission import EventRef, Outcome
from runfold_events.fates import Asked, Fate
from runfold_projections.model import Axis, Curve, CurveDtype, CurveQuery, RunQuery

Number = int | float | Literal["NaN", "Infinity", "-Infinity"]


class _Body(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of request bodies."""


class EnsureExperimentBody(_Body, frozen=True):
    """The experiment to create unless it exists."""

    experiment: str
    description: str | None = None
    tags: Tags = {}


class UpdateExperimentBody(_Body, frozen=True):
    """What to change of an experiment; absent fields stay."""

    set_tags: Tags = {}
    remove_tags: tuple[str, ...] = ()
    description: str | UnsetType | None = UNSET
    archived: bool | UnsetType = UNSET


class _RunFields(_Body, frozen=True):
    run_id: str | None = None
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    tags: Tags = {}
    properties: Properties = {}
    target: str = "local"
    run_type: str | None = None


class CreateRunBody(_RunFields, frozen=True):
    """A run to create, in the experiment that the path names. Without ``run_id`` the server makes one."""

    start: bool = True
    resume: bool = False
    parent_run_id: str | None = None
    hold: bool = False  # the process that Runfold-Writer names holds the run


class CreateRunInBody(CreateRunBody, frozen=True, kw_only=True):
    """A run to create in ``experiment``."""

    experiment: str


class ChildFields(_RunFields, frozen=True):
    """One child of a bulk creation."""


class CreateChildrenBody(_Body, frozen=True):
    """Children to create: ``count`` of them, or one for each of ``tag_values`` of ``tag_key``, or ``children``."""

    count: Annotated[int, Meta(ge=1)] | None = None
    tag_key: str | None = None
    tag_values: tuple[str | None, ...] | None = None
    children: tuple[ChildFields, ...] | None = None
    experiment: str | None = None  # default: the parent's
    start: bool = True
    hold: bool = False  # the process that Runfold-Writer names holds the children


class UpdateRunBody(_Body, frozen=True):
    """What to change of a run; absent fields stay."""

    display_name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    archived: bool | UnsetType = UNSET


class HoldBody(_Body, frozen=True):
    """With ``hold`` the process that Runfold-Writer names holds the run."""

    hold: bool = False


class FailBody(_Body, frozen=True):
    """Why the run failed."""

    error: ErrorInfo = ErrorInfo()


class ReasonBody(_Body, frozen=True):
    """Why."""

    reason: str | None = None


class NothingBody(_Body, frozen=True):
    """An empty object."""


class ParamsBody(_Body, frozen=True):
    """Write-once parameters."""

    params: Params


class PropertiesBody(_Body, frozen=True):
    """Write-once properties."""

    properties: Properties


class TagsBody(_Body, frozen=True):
    """Tags to set, and keys of tags to remove afterwards."""

    set: Tags = {}
    remove: tuple[str, ...] = ()


class ArtifactBody(_Body, frozen=True):
    """A file that is stored elsewhere: its path in the run, SHA-256 and size."""

    path: str
    sha256: str
    size_bytes: int
    content_type: str = "application/octet-stream"


class FinishLogBody(_Body, frozen=True):
    """Which log is complete."""

    path: str
    content_type: str = "text/plain; charset=utf-8"


class HeartbeatBody(_Body, frozen=True):
    """``last_numbers``: per stream the last number that the process has used."""

    last_numbers: dict[str, Annotated[int, Meta(ge=1, le=limits.WRITER_SEQ_MAX)]] = {}


class RunQueryBody(RunQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query for runs, as :class:`~runfold_projections.model.RunQuery` describes it."""


class RunGroupsBody(RunQueryBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, and the field whose values make the groups: ``tags.key``, ``params.key``, ``status`` and others."""

    by: str


class CurveQueryBody(CurveQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query for curves, as :class:`~runfold_projections.model.CurveQuery` describes it."""

    query: RunQueryBody | None = None


class CurvePointsAnswer(Struct, frozen=True, kw_only=True):
    """Points as they are, sorted by x, those of equal x in the order in which they were recorded.

    ``steps`` is absent where no point has one.
    """

    x: list[int]
    values: list[Number]
    steps: list[int | None] | None = None
    times_ms: list[int]


class CurveBucketsAnswer(Struct, frozen=True, kw_only=True):
    """Points in buckets, sorted by ``x_first``; each point is in exactly one.

    ``x_first`` and ``x_last`` are the least and greatest x of a bucket; ``count`` its points, ``nan_count`` those that
    are NaN. ``min``, ``max`` and ``mean`` leave NaN out; ``first`` and ``last`` are those of the points. Null where
    there is no number.
    """

    x_first: list[int]
    x_last: list[int]
    count: list[int]
    nan_count: list[int]
    min: list[Number | None]
    max: list[Number | None]
    mean: list[Number | None]
    first: list[Number | None]
    last: list[Number | None]


class CurveAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column of one metric of one run along an axis: its ``points`` when ``exact``, else ``buckets``.

    Only numbers are drawn: texts and booleans are not. A point without a step is not on the axis of steps; where no
    point of a metric has one, ``x`` is ``index`` in its place. ``total``: all points of the series, ``count``: those of
    the curve in the range that was asked for, NaN included.
    """

    run_id: str
    name: str
    column: str
    kind: str
    x: Axis
    dtype: CurveDtype
    total: int
    count: int
    nan_count: int
    exact: bool
    points: CurvePointsAnswer | None = None
    buckets: CurveBucketsAnswer | None = None


class CurvesAnswer(Struct, frozen=True, kw_only=True):
    """Curves in the order of the runs that were asked for, then of metrics and columns as they first came."""

    curves: list[CurveAnswer]


class PackedCurvesAnswer(Struct, frozen=True, kw_only=True):
    """The same in msgpack: every column is binary, as the schemas of its points and buckets say."""

    curves: list[Curve]


class CommandsAnswer(Struct, frozen=True, kw_only=True):
    """One outcome for each command, in the same order, and the position that includes all of them."""

    token: str | None
    outcomes: tuple[Outcome, ...]


class OutcomeQuery(_Body, frozen=True):
    """Commands of one writer to ask about, by stream and number; and where the command topic keeps them."""

    writer: UUID
    commands: tuple[Asked, ...]


class OutcomesAnswer(Struct, frozen=True, kw_only=True):
    """What became of each, in the same order."""

    fates: list[Fate]


class WriteAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A write was accepted. No events: it changed nothing. ``repeated``: it was answered before."""

    token: str
    run_id: str | None = None
    events: tuple[EventRef, ...] = ()
    repeated: bool = False


class FileAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file was stored and recorded. No events: it had been before, with the same content."""

    token: str
    path: str
    sha256: str
    size_bytes: int
    content_type: str
    events: tuple[EventRef, ...] = ()


class StoredAnswer(Struct, frozen=True):
    """Whether a content is in the file store."""

    stored: bool


class LogEnd(Struct, frozen=True):
    """Where a log ends, in bytes: what to append next begins there."""

    end: int


class ChildrenAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The children of a bulk creation in the order asked; ``created`` counts those that did not exist before."""

    token: str
    run_ids: tuple[str, ...]
    created: int


class CountAnswer(Struct, frozen=True):
    """How many runs match."""

    count: int


class EventOut(Struct, frozen=True, kw_only=True):
    """A recorded event. ``body`` is the stored JSON itself, base64 text where it is msgpack, null where erased."""

    id: UUID
    type: str
    stream: str
    stream_seq: int
    partition: int
    pos: int
    slice: int
    epoch: UUID
    occurred_at: int
    recorded_at: int
    actor: str
    actor_source: str
    door: str
    writer_id: UUID
    writer_seq: int
    causation_id: UUID | None
    correlation_id: UUID | None
    traceparent: str | None
    data_version: int
    content_type: str
    subject: str | None
    key_id: str | None
    salt: bytes | None
    digest: bytes
    chain: bytes
    body: Any


class EventsPage(Struct, frozen=True, kw_only=True):
    """Recorded events of one partition. Ask for ``next`` as ``from`` until it equals ``end``."""

    partition: int
    next: int
    end: int
    events: list[EventOut]


class RunEvents(Struct, frozen=True, kw_only=True):
    """Recorded events of one run. Ask for ``next`` as ``from_seq``; null: these were the last."""

    next: int | None
    events: list[EventOut]


class SystemAnswer(Struct, frozen=True, kw_only=True):
    """What the server that answers is, and what its store holds. ``ends``: the next position of each partition."""

    version: str
    started_at: datetime
    epoch: UUID
    ends: tuple[int, ...]
    leases: int  # processes that hold runs and have not fallen silent
    queued_commands: int  # waiting for their commit, in this process
    followers: int  # live streams, of this process
    actor: str  # whom the request comes from
    admin: bool


class HealthAnswer(Struct, frozen=True):
    """``ok``, ``starting`` or ``stopping``."""

    status: str
