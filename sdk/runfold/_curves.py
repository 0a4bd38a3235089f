"""Metrics as NumPy arrays along an axis: whole, cut to a range, or in buckets; of one run or of many."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, overload

from msgspec import Struct
from msgspec.structs import replace

from runfold._frames import check_engine, frame_of
from runfold_events.contract.errors import Invalid, LimitExceeded, NotFound
from runfold_events.contract.limits import CURVE_POINTS_PER_ANSWER_MAX, CURVE_RUNS_MAX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runfold._run import Run
    from runfold._workspace import Workspace
    from runfold_projections.model import Axis
    from runfold_projections.model import Curve as CurveData

FLUSH_BEFORE_S: Final = 30.0
_FIRST_LOOK_POINTS: Final = 1_000
AXES: Final = ("step", "time", "index")


class Buckets(Struct, frozen=True):
    """Neighbouring points of a curve, summed up; all arrays have one entry a bucket.

    Attributes:
        x_first: the least x of each bucket.
        x_last: the greatest.
        count: how many points it holds, NaN included.
        nan_count: how many of them are NaN.
        min: the least number; NaN where there is none.
        max: the greatest.
        mean: their mean.
        first: the value of the first point.
        last: the value of the last.
    """

    x_first: NDArray[Any]
    x_last: NDArray[Any]
    count: NDArray[Any]
    nan_count: NDArray[Any]
    min: NDArray[Any]
    max: NDArray[Any]
    mean: NDArray[Any]
    first: NDArray[Any]
    last: NDArray[Any]

    def __len__(self) -> int:
        return len(self.count)


class Curve:
    """One column of one metric of one run, sorted along an axis.

    Attributes:
        run_id: the run.
        name: the metric.
        column: of rows and tables the column; else the metric's name.
        kind: ``scalar``, ``list``, ``row`` or ``table``.
        x_axis: ``step``, ``time`` or ``index``; ``index`` also for ``step`` where no point has one.
        total: how many points the metric has.
        count: how many of them are here, or in the buckets: numbers with a place on the axis, inside the range.
    """

    def __init__(self, data: CurveData) -> None:
        self._data = data
        self.run_id = data.run_id
        self.name = data.name
        self.column = data.column
        self.kind = data.kind
        self.x_axis = data.x
        self.total = data.total
        self.count = data.count

    @property
    def exact(self) -> bool:
        """True when all points are here; else there are :attr:`buckets`."""
        return self._data.exact

    @property
    def buckets(self) -> Buckets | None:
        """Where more points are in the range than were asked for; None where the points are here themselves."""
        from runfold_projections.metrics.curve_table import unpacked

        return None if self._data.buckets is None else Buckets(**unpacked(self._data.buckets))

    @property
    def x(self) -> NDArray[Any]:
        """Where on the axis each point is: int64; times are ms since the epoch."""
        from runfold_projections.metrics.curve_table import integers

        return integers(self._points.x)

    @property
    def values(self) -> NDArray[Any]:
        """The values: int64 where all are integers, else float64."""
        from runfold_projections.metrics.curve_table import values_of

        return values_of(self._data, self._points)

    @property
    def steps(self) -> NDArray[Any]:
        """Steps: int64, or float64 with NaN where some points have none."""
        from runfold_projections.metrics.curve_table import steps_of

        return steps_of(self._points)

    @property
    def times(self) -> NDArray[Any]:
        """When each point was logged: ``datetime64[ms]``, UTC."""
        from runfold_projections.metrics.curve_table import times_of

        return times_of(self._points)

    @property
    def _points(self) -> Any:
        if self._data.points is None:
            raise Invalid(
                f"{self.name} has {self.count} points in this range and was asked for in buckets: see .buckets, or "
                "ask without buckets",
                facts={"field": "buckets", "limit": "None", "size": self.count},
            )
        return self._data.points

    def to_dataframe(self, engine: str = "pandas") -> Any:
        """Columns ``x``, ``step``, ``time`` and ``value``; of buckets theirs. ``engine``: ``pandas`` or ``polars``.

        Raises:
            Invalid: another engine, or its package is not installed.
        """
        check_engine(engine)
        return frame_of(_without_names(self._data), engine)

    def to_arrow(self) -> Any:
        """The same as a struct array that every Arrow library takes, such as ``pyarrow.table(…)``.

        Raises:
            Invalid: nanoarrow is not installed.
        """
        from runfold_projections.arrow import arrow_of

        return arrow_of(_without_names(self._data))

    def __len__(self) -> int:
        """How many points, or buckets, are here."""
        return len(self.x) if self._data.buckets is None else len(self._data.buckets.count) // 8

    def __repr__(self) -> str:
        what = "points" if self.exact else "buckets"
        return f"Curve({self.name!r}, run_id={self.run_id!r}, x={self.x_axis!r}, {what}={len(self)})"


def _without_names(data: CurveData) -> dict[str, Any]:
    from runfold_projections.metrics.curve_table import table_of

    names = {"run_id", "metric", "column"}
    return {name: values for name, values in table_of([data]).items() if name not in names}


class Curves(Sequence[Curve]):
    """Curves in the order of their runs, then of their metrics."""

    def __init__(self, curves: Iterable[Curve]) -> None:
        self._curves = list(curves)

    @overload
    def __getitem__(self, index: int) -> Curve: ...

    @overload
    def __getitem__(self, index: slice) -> Curves: ...

    def __getitem__(self, index: int | slice) -> Curve | Curves:
        return Curves(self._curves[index]) if isinstance(index, slice) else self._curves[index]

    def __len__(self) -> int:
        return len(self._curves)

    def to_dataframe(self, engine: str = "pandas") -> Any:
        """One long table: ``run_id``, ``metric``, ``column``, then the columns of each curve's own table.

        Where one is in buckets all are; a point is a bucket of one then.

        Raises:
            Invalid: another engine, or its package is not installed.
        """
        check_engine(engine)
        return frame_of(self._table(), engine)

    def to_arrow(self) -> Any:
        """The same as a struct array that every Arrow library takes.

        Raises:
            Invalid: nanoarrow is not installed.
        """
        from runfold_projections.arrow import arrow_of

        return arrow_of(self._table())

    def _table(self) -> dict[str, Any]:
        from runfold_projections.metrics.curve_table import table_of

        return table_of([curve._data for curve in self._curves])

    def __repr__(self) -> str:
        return f"Curves({self._curves!r})"


class Asked(Struct, frozen=True, kw_only=True):
    """What of each metric is wanted; see :meth:`runfold.Run.curve`."""

    names: tuple[str, ...] = ()
    x: Axis = "step"
    start: int | None = None
    stop: int | None = None
    last: int | None = None
    buckets: int | None = None


def one_curve(curves: Curves, run_id: str, name: str, column: str | None) -> Curve:
    """The one that was meant, of the curves of a metric.

    Raises:
        NotFound: the run has no such metric.
        Invalid: it has several columns, and none or none of them was named.
    """
    if not curves:
        raise NotFound(
            f"run {run_id!r} has no metric {name!r}", facts={"run_id": run_id, "metric": name[:512]}
        )
    found = [curve for curve in curves if column in {None, curve.column}]
    if len(found) != 1:
        columns = [curve.column for curve in curves]
        raise Invalid(
            f"{name} has the columns {', '.join(columns)}; column names one of them, not {column!r}",
            facts={"field": "column", "limit": columns, "size": column},
        )
    return found[0]


def run_ids_of(runs: Iterable[Run | str]) -> list[str]:
    """Ids of runs that are given by handles or ids."""
    return [run if isinstance(run, str) else run.id for run in runs]


def read_curves(workspace: Workspace, run_ids: Sequence[str], asked: Asked) -> Curves:
    """Read curves of many runs in as few requests as their size allows.

    Raises:
        NotFound: there is no such run.
        Invalid: the axis, the range or a number cannot be.
    """
    if asked.x not in AXES:
        raise Invalid(
            f"x must be one of {', '.join(AXES)}; got {asked.x!r}",
            facts={"field": "x", "limit": AXES, "size": str(asked.x)[:80]},
        )
    for field, value in (("buckets", asked.buckets), ("last", asked.last)):
        if value is not None and not 1 <= value <= CURVE_POINTS_PER_ANSWER_MAX:
            raise Invalid(
                f"{field} must be from 1 to {CURVE_POINTS_PER_ANSWER_MAX}; got {value}",
                facts={"field": field, "limit": [1, CURVE_POINTS_PER_ANSWER_MAX], "size": str(value)[:80]},
            )
    workspace._connection.deliver_values(FLUSH_BEFORE_S)
    return Curves(Curve(data) for data in _read(workspace, run_ids, asked))


def _read(workspace: Workspace, run_ids: Sequence[str], asked: Asked) -> Iterator[CurveData]:
    points_max = asked.buckets or max(_FIRST_LOOK_POINTS, asked.last or 0)
    for first in range(0, len(run_ids), CURVE_RUNS_MAX):
        found = _ask_in_parts(workspace, tuple(run_ids[first : first + CURVE_RUNS_MAX]), asked, points_max)
        columns = Counter((data.run_id, data.name) for data in found)
        for data in found:
            if data.exact or asked.buckets is not None:
                yield data
            else:
                yield _read_whole(workspace, data, asked, columns[data.run_id, data.name])


def _ask_in_parts(
    workspace: Workspace, run_ids: tuple[str, ...], asked: Asked, points_max: int
) -> list[CurveData]:
    """One question, or several about some runs each where one answer would be too large."""
    try:
        return _ask(workspace, run_ids, asked, points_max)
    except LimitExceeded:
        if len(run_ids) == 1:
            raise
    half = len(run_ids) // 2
    parts = (run_ids[:half], run_ids[half:])
    return [data for part in parts for data in _ask_in_parts(workspace, part, asked, points_max)]


def _ask(workspace: Workspace, run_ids: tuple[str, ...], asked: Asked, points_max: int) -> list[CurveData]:
    from runfold_projections.model import CurveQuery

    query = CurveQuery(
        runs=run_ids,
        names=asked.names,
        x=asked.x,
        start=asked.start,
        stop=asked.stop,
        last=asked.last,
        points_max=points_max,
    )
    return workspace._ask(lambda transport, at: transport.curves(workspace.name, query, at))


def _read_whole(workspace: Workspace, data: CurveData, asked: Asked, columns: int) -> CurveData:
    """All points of a long curve: page after page by their place in the series, then cut and sorted here.

    An answer holds all ``columns`` of a metric, so pages are the smaller the more there are.
    """
    from runfold_projections.metrics.curve_points import joined
    from runfold_projections.metrics.curve_table import packed_points, points_of

    pages: list[Any] = []
    size = CURVE_POINTS_PER_ANSWER_MAX // columns
    for start in range(0, data.total, size):
        stop = start + size
        page = replace(asked, names=(data.name,), x="index", start=start, stop=stop)
        for one in _ask(workspace, (data.run_id,), page, stop - start):
            if one.column == data.column:
                pages.append(points_of(one, data.x))
    points = joined(pages).between(asked.start, asked.stop).sorted()
    return replace(
        data,
        dtype="i64" if points.values.dtype.kind == "i" else "f64",
        count=len(points),
        nan_count=points.nan_count,
        exact=True,
        points=packed_points(points),
        buckets=None,
    )
