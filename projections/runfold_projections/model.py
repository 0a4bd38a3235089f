"""What views answer: plain frozen Structs, the same over SDK, HTTP and CLI. Times are aware UTC datetimes.

Of those that lists have thousands of, the garbage collector keeps no account: they are plain values, part of no circle.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct

from runfold_events.contract.commands import ErrorInfo, Params, Properties, Tags
from runfold_events.contract.statuses import Status

Axis = Literal["step", "time", "index"]
CurveDtype = Literal["f64", "i64"]


class MetricSummary(Struct, frozen=True, omit_defaults=True, gc=False):
    """One metric of a run. ``latest`` is the value with the greatest (step, time, writer, number, index).

    ``min`` and ``max`` are over finite and infinite numbers, NaN left out; None where there was no number. Rows and
    tables are summarised per column under ``name.column``.
    """

    latest: bool | int | float | str | None
    count: int
    step: int | None = None
    time: datetime | None = None
    min: float | None = None
    max: float | None = None
    nan_count: int = 0
    kind: str = "scalar"


class ChildCounts(Struct, frozen=True, omit_defaults=True):
    """Direct children by status, and all descendants by status."""

    direct: dict[Status, int] = {}
    descendants: dict[Status, int] = {}


class RunView(Struct, frozen=True, kw_only=True, gc=False):
    """The summary row of one run."""

    workspace: str
    run_id: str
    experiment: str
    experiment_id: UUID
    number: int
    status: Status
    status_details: str | None = None  # of AdvanceRun
    parent_run_id: str | None = None
    root_run_id: str
    path: tuple[str, ...]
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    run_type: str | None = None
    target: str = "local"
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    created_by: str
    archived: bool = False
    erased: bool = False
    error: ErrorInfo | None = None
    cancel_reason: str | None = None
    tags: Tags = {}
    properties: Properties = {}
    params: Params = {}
    metrics: dict[str, MetricSummary] = {}
    rejections: int = 0  # commands refused and recorded
    lost_commands: int = 0  # commands that their writers declared lost
    lost_values: int = 0  # metric values in those, as far as the writers counted them
    updated_at: datetime  # recorded_at of the last event that is no metric batch


class Page(Struct, frozen=True):
    """Rows of a list, in order. ``next`` opens the following page; None on the last."""

    rows: list[RunView]
    next: str | None = None


class RunQuery(Struct, frozen=True, kw_only=True):
    """What a list of runs asks for.

    ``filter`` is an expression of the filter language; ``tags`` and ``properties`` are the compatible filters
    (all must match, compared as text): a key whose value is in ``tag_keys`` or ``property_keys`` must only exist.
    ``order_by`` is a field path, with a leading ``-`` or trailing `` desc`` for descending; what has no value comes
    last; ties are broken by the order of creation, in the same direction. ``fields`` names the fields to load
    (``metrics`` and ``params`` may be narrowed: ``metrics.loss``); empty = all.
    """

    experiment: str | None = None
    filter: str | None = None
    order_by: str = "-created_at"
    fields: tuple[str, ...] = ()
    limit: int = 50
    page: str | None = None
    tags: Tags = {}
    tag_keys: tuple[str, ...] = ()
    properties: Properties = {}
    property_keys: tuple[str, ...] = ()
    status: tuple[Status, ...] = ()
    run_type: str | None = None
    include_children: bool = False  # without it: root runs only
    parent_run_id: str | None = None  # direct children of this run
    ancestor_run_id: str | None = None  # all descendants of this run
    include_archived: bool = False
    search: str | None = (
        None  # plain words, each somewhere in names, description, tags, experiment or submitter
    )


class RunGroup(Struct, frozen=True, kw_only=True):
    """Runs that have the same value; None: those that have none, or null."""

    value: str | None
    count: int
    runs: dict[Status, int]


class RunGroups(Struct, frozen=True):
    """Groups of runs, largest first. Not ``complete``: there are more, and small ones are missing."""

    groups: list[RunGroup]
    complete: bool


class ExperimentView(Struct, frozen=True, kw_only=True):
    """One experiment with what its runs add up to."""

    workspace: str
    experiment: str
    experiment_id: UUID
    description: str | None = None
    tags: Tags = {}
    archived: bool = False
    archived_at: datetime | None = None
    created_at: datetime
    created_by: str
    last_activity_at: datetime
    runs: dict[Status, int] = {}  # all runs, children included, by status


class SeriesData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Points of one metric of one run, columnar, in compatible order: (time, writer, number, index).

    ``columns`` holds one list per column, all of ``count`` values (None where a point lacks the column). Points of
    several kinds under one name are merged; ``kind`` is that of the first.
    """

    run_id: str
    name: str
    kind: str
    count: int
    steps: list[int | None]
    times_ms: list[int]
    columns: dict[str, list[Any]]


class SeriesInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What there is of one metric of one run, without its points."""

    run_id: str
    name: str
    kind: str
    count: int
    columns: tuple[str, ...] = ()


class CurveQuery(Struct, frozen=True, kw_only=True, rename={"start": "from", "stop": "to"}):
    """Which curves, and how fine.

    The runs: ``runs`` (ids), or the page that ``query`` finds. ``names``: metrics, none named: all but those that are
    files. ``x``: the axis: ``step``, ``time`` (ms since the epoch) or ``index`` (the place of a point in its series,
    from 0, in the order in which points were recorded). ``from`` and ``to`` cut the axis: ``from <= x < to``.
    ``last``: only so many points, those with the greatest x, as they are. A curve that has more than ``points_max``
    points in the range is answered in at most so many buckets.
    """

    runs: tuple[str, ...] = ()
    query: RunQuery | None = None
    names: tuple[str, ...] = ()
    x: Axis = "step"
    start: int | None = None
    stop: int | None = None
    last: int | None = None
    points_max: int = 1_000


class CurvePoints(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Points as they are, sorted by x, those of equal x in the order in which they were recorded.

    Little-endian numbers of 8 bytes: ``values`` of the curve's ``dtype``, all others i64; a point without a step has
    the least i64 in ``steps``, which is absent where no point has one.
    """

    x: bytes
    values: bytes
    steps: bytes | None = None
    times_ms: bytes


class CurveBuckets(Struct, frozen=True, kw_only=True):
    """Points in buckets, sorted by ``x_first``; each point is in exactly one.

    ``x_first`` and ``x_last`` are the least and greatest x of a bucket; ``count`` its points, ``nan_count`` those that
    are NaN. ``min``, ``max`` and ``mean`` leave NaN out; ``first`` and ``last`` are those of the points. Little-endian
    numbers of 8 bytes, i64 for x and counts, f64 for values, NaN where there is none.
    """

    x_first: bytes
    x_last: bytes
    count: bytes
    nan_count: bytes
    min: bytes
    max: bytes
    mean: bytes
    first: bytes
    last: bytes


class Curve(Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    points: CurvePoints | None = None
    buckets: CurveBuckets | None = None


class FileInfo(Struct, frozen=True, kw_only=True):
    """A file that a run has recorded: where it stands in the run, and what its content is."""

    path: str
    sha256: str
    size_bytes: int
    content_type: str
    recorded_at: datetime


class HistoryEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a run's audit trail: who did, or was refused, what and when, in words and with the facts."""

    event_id: UUID
    stream_seq: int
    type: str
    recorded_at: datetime
    occurred_at: datetime
    actor: str
    actor_source: str
    door: str
    words: str
    late: bool = False  # came after the run's end
    erased: bool = False
    body: dict[str, Any] | None = None


class ProjectionState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where one projection stands on one partition. ``error`` names the event that it cannot fold."""

    projection: str
    version: int
    partition: int
    position: int  # the next position to fold
    end: int  # the store's end
    error: str | None = None
    rebuilt_version: int | None = None  # of the tables that are being built beside these, if any are
    rebuilt_position: int | None = None  # and how far they are
